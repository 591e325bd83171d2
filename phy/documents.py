"""Files that anybody may have written or damaged, where whatever is wrong is a ValueError; and files written whole."""

from __future__ import annotations

import json
import math
import secrets
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MOST_DEPTH = 32
"""Of lists and tables within each other; ours are 6 deep."""


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401 - whatever it says
    """What a text says.

    Raises:
        ValueError: no JSON, or more than `MOST_DEPTH` deep.
    """
    return _parse(json.loads, text)


def read_json(path: Path) -> Any:  # noqa: ANN401
    """What a file in UTF-8 says.

    Raises:
        ValueError: as `parse_json`, or no UTF-8.
        OSError: it cannot be read.
    """
    return parse_json(path.read_text(encoding="utf-8"))


def read_toml(path: Path) -> dict[str, Any]:
    """What a file in UTF-8 says.

    Raises:
        ValueError: no TOML, more than `MOST_DEPTH` deep, or no UTF-8.
        OSError: it cannot be read.
    """
    found: dict[str, Any] = _parse(tomllib.loads, path.read_text(encoding="utf-8"))
    return found


def _parse(parse: Callable[[Any], Any], text: str | bytes) -> Any:  # noqa: ANN401
    try:
        found = parse(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    _check_depth(found)
    return found


def _check_depth(found: object) -> None:
    level = [found]
    for _ in range(MOST_DEPTH + 1):
        level = [inner for one in level for inner in _within(one)]
        if not level:
            return
    raise ValueError(f"nested more than {MOST_DEPTH} deep")


def _within(one: object) -> list[Any]:
    if isinstance(one, dict):
        return list(one.values())
    return one if isinstance(one, list) else []


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all: beside it first, so that a full disk leaves the earlier one as it was.

    Text is in UTF-8. What is there keeps its permissions.

    Raises:
        OSError: it cannot be written.
    """
    with written_whole(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside a file, which takes its place when all has gone well; otherwise nothing is left behind.

    Where nothing was written there, the file stays as it is. What is no plain file, such as /dev/stdout or a pipe, is
    written to without a detour.

    Raises:
        OSError: there is no folder for it, or it cannot take its place.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    place = path.resolve()  # of a link, what it points at
    if not place.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {place.parent} to write to")
    partial = place.with_name(f".{secrets.token_hex(8)}.part{place.suffix}")  # whatever threads, and however long
    try:
        yield partial
        if partial.exists() and place.exists():
            partial.chmod(stat.S_IMODE(place.stat().st_mode))
        if partial.exists():
            partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)


def for_json(value: Any) -> Any:  # noqa: ANN401 - whatever JSON may hold
    """A value, or a row of values, for JSON, which has no such numbers: NaN, unknown, is null, infinity "Infinity".

    Python's `float` and JavaScript's `Number` read "Infinity" and "-Infinity".
    """
    if isinstance(value, Mapping):
        return {key: for_json(one) for key, one in value.items()}
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def short(value: object) -> str:
    """A value in an error message, of bounded length: it came from outside."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def in_short(error: Exception) -> str:
    """What an error says of something that came from outside: one line, of bounded length.

    Of a file that cannot be read it is the reason alone: who tells it names the file.
    """
    said = error.strerror if isinstance(error, OSError) else None
    text = " ".join((said or str(error)).split())
    return text if len(text) <= 600 else f"{text[:400]} ... {text[-190:]}"


def error_line(error: Exception) -> str:
    """Of what kind an error is and what it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
