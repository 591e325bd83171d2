"""The source coders of the separate chain, by name."""

from __future__ import annotations

import importlib

from semlink.baselines.source import SourceCoder

SOURCES = {
    "jpeg": "JPEG",
    "jpeg2000": "JPEG2000",
    "webp": "WebP",
    "avif": "AVIF",
    "heic": "HEIC",
}
"""Class of each source coder, by its name, which is also the module's."""


def find_source(name: str) -> SourceCoder:
    """The source coder of this name; its module is imported only now.

    Raises:
        ValueError: there is none, or what it needs is not installed.
    """
    if name not in SOURCES:
        raise ValueError(f"source={name!r} must be one of: {', '.join(SOURCES)}")
    module = importlib.import_module(f"semlink.baselines.{name}")
    coder: SourceCoder = getattr(module, SOURCES[name])()
    return coder
