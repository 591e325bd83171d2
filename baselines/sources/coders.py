"""The source coders of the separate chain, by name."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable

from semlink.baselines.sources.source import SourceCoder

SOURCES: dict[str, str | Callable[[], SourceCoder]] = {
    "jpeg": "JPEG",
    "jpeg2000": "JPEG2000",
    "webp": "WebP",
    "avif": "AVIF",
    "heic": "HEIC",
}
"""Class of each source coder, by its name, which is also the module's; or what makes one that was registered."""


def register_source(name: str, make: Callable[[], SourceCoder]) -> None:
    """Have a source coder of one's own under a name, for `SeparateCodec` and SOURCE-CODE-qam alike.

    Raises:
        ValueError: a name with other than small letters and digits, or one that is taken.
    """
    if not re.fullmatch("[a-z][a-z0-9]*", name):
        raise ValueError(f"name={name!r} must be small letters and digits, such as bpg")
    if SOURCES.get(name, make) is not make:
        raise ValueError(f"name={name!r} must be none of: {', '.join(SOURCES)}")
    SOURCES[name] = make


def find_source(name: str | SourceCoder) -> SourceCoder:
    """The source coder of this name, whose module is imported only now; a coder itself as it is.

    Raises:
        ValueError: there is none, or what it needs is not installed.
    """
    if not isinstance(name, str):
        return name
    if name not in SOURCES:
        raise ValueError(f"source={name!r} must be one of: {', '.join(SOURCES)}")
    made = SOURCES[name]
    if not isinstance(made, str):
        return made()
    coder: SourceCoder = getattr(importlib.import_module(f"semlink.baselines.sources.{name}"), made)()
    return coder
