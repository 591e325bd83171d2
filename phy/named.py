"""What MODULE:NAME stands for: a thing of the user's own, from a module that Python finds or of the working folder."""

from __future__ import annotations

import importlib
import os
import re
import sys
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
