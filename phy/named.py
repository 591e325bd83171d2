"""Names: what MODULE:NAME stands for, from a module that Python finds or of the working folder, and near misses."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any

FORM = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")
"""MODULE:NAME."""


def import_named(module: str, attribute: str, *, said: str) -> Any:  # noqa: ANN401 - whatever the user made
    """What a module calls by a name, dots in it included; `said` is what errors call it.

    Raises:
        ValueError: a module that is not there or cannot be imported, or has no such name.
    """
    look_here()
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:  # a user's module can raise anything
        raise ValueError(f"{said}: module {module} cannot be imported ({type(error).__name__}: {error})") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ValueError(f"{said}: module {module} has no {attribute}")
        found = getattr(found, part)
    return found


def look_here() -> None:
    """The working folder is where a user's module lies; the path of an installed command lacks it."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())


def meant(name: str, known: Iterable[str]) -> str:
    """Which of the known names may have been meant, " (did you mean 'swin'?)" for an error message, or "" for none.

    Capitals are read as small letters, and a whole part of a name, as jpeg is of jpeg-ldpc-qam, is near it; of names
    that are equally near it is the first.
    """
    nearness = {one: _nearness(name.casefold(), one.casefold()) for one in known}
    near = max(nearness, key=nearness.__getitem__, default="")
    return f" (did you mean {near!r}?)" if near and nearness[near] >= 0.7 else ""


def _nearness(given: str, known: str) -> float:
    part = 0.9 if given in re.split("[-:+]", known) else 0.0
    return max(part, SequenceMatcher(None, known, given).ratio())
