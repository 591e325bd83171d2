"""Codecs, channels, source coders, channel codes and more from elsewhere: by entry point, or by MODULE:NAME.

A package that offers a codec names it in its own pyproject.toml, and it is there under that name:

    [project.entry-points."semlink.codecs"]
    mine = "mypackage.codec:MyCodec"

The groups are `semlink.codecs`, `semlink.channels`, `semlink.sources` and `semlink.classifiers`, and of the digital
link's parts `semlink.codes`, `semlink.interleavers` and `semlink.constellations`. Without a package, `mymodule:MyCodec`
is the thing itself, from a module that Python finds, the working folder included.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType
from typing import Any, Literal

from semlink.baselines.sources import SOURCES, register_source
from semlink.flowgraphs.specs.prompts import PROMPT, prompt_coder
from semlink.phy.named import FORM, import_named, look_here

Kind = Literal["codecs", "channels", "sources", "classifiers", "codes", "interleavers", "constellations"]
"""What a block of one's own may be; with `semlink.` before it, the group of its entry point."""
HERE = "__main__"
"""The module of a script, or of a notebook's cells: its blocks are known to this process alone."""


def is_own(name: str, kind: Kind) -> bool:
    """Whether a name is one of an entry point, or of the form MODULE:NAME with a module that is there."""
    if name in own_names(kind):
        return True
    form = FORM.fullmatch(name)
    if form is None:
        return False
    if form[1] == HERE:
        return hasattr(sys.modules[HERE], form[2])
    look_here()
    try:
        return importlib.util.find_spec(form[1]) is not None
    except (ImportError, ValueError):
        return False
    except Exception:  # of the package that the module lies in: there, but broken, as `load_own` will say
        return True


def missing_module(name: str) -> str | None:
    """What is wrong with a name of the form MODULE:NAME whose module is not there; None of any other."""
    form = FORM.fullmatch(name)
    if form is None or form[1] == HERE or is_own(name, "codecs"):
        return None
    return f"no module {form[1]}: Python finds none of this name, nor does the working folder hold one"


def own_names(kind: Kind) -> list[str]:
    """Names that installed packages offer."""
    return sorted(one.name for one in entry_points(group=f"semlink.{kind}"))


def load_own(name: str, kind: Kind) -> Any:  # noqa: ANN401 - whatever the user made
    """What a name stands for: a class, a function or an object.

    Raises:
        ValueError: no such entry point, module or name in it, or a module that cannot be imported.
    """
    look_here()
    for one in entry_points(group=f"semlink.{kind}"):
        if one.name == name:
            return import_named(one.module, one.attr, said=name)
    form = FORM.fullmatch(name)
    if form is None:
        raise ValueError(f"{name!r} must be MODULE:NAME, or the name of an entry point of semlink.{kind}")
    return import_named(form[1], form[2], said=name)


def source_files(name: str, kind: Kind) -> list[Path]:
    """The file of the module that a name of `is_own` stands for, or all of Python in its package if it is in one.

    None of a block that was made in a notebook: `code_of` has its code.
    """
    if lives_here(name):
        file = getattr(sys.modules[HERE], "__file__", None)
        return [Path(file)] if file else []
    look_here()
    offered = {one.name: one.module for one in entry_points(group=f"semlink.{kind}")}
    found = importlib.util.find_spec(offered.get(name) or name.partition(":")[0])
    if found is None or not found.origin:
        return []
    package = Path(found.origin).parent
    if not (package / "__init__.py").is_file():
        return [Path(found.origin)]
    while (package.parent / "__init__.py").is_file():
        package = package.parent
    return list(package.rglob("*.py"))


def lives_here(name: str) -> bool:
    """Whether a name stands for something that was made in this very process, a cell of a notebook say."""
    return name.partition(":")[0] == HERE


def code_of(name: str, kind: Kind) -> bytes:
    """What the code of a block does, wherever it was written down: the same for the same text in another cell."""
    made = load_own(name, kind)
    made = made if inspect.isclass(made) or inspect.isroutine(made) else type(made)
    classes = (
        [one for one in inspect.getmro(made) if one.__module__ == made.__module__] if inspect.isclass(made) else []
    )
    parts = [part for one in classes for part in vars(one).items()] if classes else [(name, made)]
    told = [f"{key}: {_told(value)}" for key, value in parts if not key.startswith("__") or inspect.isroutine(value)]
    return "\n".join(told).encode()


def _told(value: object) -> str:
    value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    code = value if isinstance(value, CodeType) else getattr(value, "__code__", None)
    if not isinstance(code, CodeType):
        return repr(value) if isinstance(value, bool | int | float | str | bytes | tuple) else type(value).__name__
    inner = [_told(one) for one in code.co_consts]
    defaults = [_told(one) for one in getattr(value, "__defaults__", None) or ()]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {inner} {defaults}"


def register_sources() -> None:
    """Have the source coders that installed packages offer, and that of prompts.

    Raises:
        ValueError: a name that is taken or that no --codec can have, or a module that cannot be imported.
    """
    if PROMPT not in SOURCES:
        register_source(PROMPT, prompt_coder)
    for name in own_names("sources"):
        if name not in SOURCES:
            register_source(name, load_own(name, "sources"))


def make_own(name: str, kind: Kind, **given: object) -> Any:  # noqa: ANN401 - whatever the user made
    """The object itself: a class or function is called, with those of `given` that it takes.

    Raises:
        ValueError: as `load_own`, or the call raises.
    """
    made = load_own(name, kind)
    if not (inspect.isclass(made) or inspect.isroutine(made)):
        return made
    try:
        taken = inspect.signature(made).parameters
        if not any(one.kind is one.VAR_KEYWORD for one in taken.values()):
            given = {key: value for key, value in given.items() if key in taken}
        return made(**given)
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"{name}: cannot be made with {', '.join(given) or 'no arguments'} ({said})") from error
