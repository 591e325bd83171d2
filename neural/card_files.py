"""Cards as files: read, and every field checked for what it may be, so that a damaged one is told when it is read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import MISSING, fields
from importlib import resources
from pathlib import Path
from typing import Any

from semlink.phy.documents import read_json, short

Check = Callable[[object], bool]
TRAINED = re.compile(r"; Es/N0 (-?\d+(?:\.\d+)?)(?: to (-?\d+(?:\.\d+)?))? dB$")
"""How cards say at which Es/N0 a network was trained: "awgn; Es/N0 -1 to 21 dB", "awgn; Es/N0 10 dB"."""
Stamp = tuple[str, int, int]
"""A file's path, when it was written (ns), and its bytes: another one when it was changed."""


def packaged(package: str) -> AbstractContextManager[Path]:
    """The folder of a package of cards and weights, a temporary one where the package is in an archive."""
    return resources.as_file(resources.files(package))


def stamps(folder: Path) -> tuple[Stamp, ...]:
    """The cards of a folder, in order."""
    with os.scandir(folder) as entries:
        found = [(entry.path, entry.stat()) for entry in entries if entry.name.endswith(".json")]
    return tuple((path, stat.st_mtime_ns, stat.st_size) for path, stat in sorted(found, key=lambda one: one[0]))


def is_text(value: object) -> bool:
    """A text, an empty one too."""
    return isinstance(value, str)


def is_file_name(value: object) -> bool:
    """A name without a folder."""
    return isinstance(value, str) and value not in ("", "..") and value == Path(value).name


def is_count(value: object) -> bool:
    """A whole number from 0."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def is_number(value: object) -> bool:
    """A finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def is_ratio(value: object) -> bool:
    """Complex channel uses / (c·h·w)."""
    return is_number(value) and 0 < float(value) <= 1  # type: ignore[arg-type]


def is_range(value: object) -> bool:
    """Of ratios, the lower one first; or none."""
    if value is None:
        return True
    return isinstance(value, list) and len(value) == 2 and all(map(is_ratio, value)) and value[0] <= value[1]


def is_esno_range(value: object) -> bool:
    """The lowest and the highest Es/N0 in dB; or none."""
    if value is None:
        return True
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value)) and value[0] <= value[1]


def is_table(value: object) -> bool:
    """A table of anything."""
    return isinstance(value, Mapping)


def is_figures(depth: int) -> Check:
    """A check for tables of tables … of numbers, so many within each other."""

    def check(value: object, left: int = depth) -> bool:
        """A table of figures."""
        if not left:
            return is_number(value) or isinstance(value, float)
        return isinstance(value, Mapping) and all(check(one, left - 1) for one in value.values())

    return check


def trained_esno_db(channel: str) -> tuple[float, float] | None:
    """The average Es/N0 of a training, of what its card says of channels; None where it says nothing of it."""
    found = TRAINED.search(channel)
    if found is None:
        return None
    low, high = found.groups()
    return float(low), float(low if high is None else high)


def read_fields(path: Path, kind: type, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The values of a card's fields.

    Args:
        path: of the card.
        kind: the dataclass that they are of.
        checks: by field, what it may be.

    Raises:
        ValueError: no JSON, a field that is unknown, missing or of another kind.
        OSError: it cannot be read.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"it holds no table but {short(values)}")
    needed = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
    if missing := sorted(needed - values.keys()):
        raise ValueError(f"it lacks {', '.join(missing)}")
    if unknown := sorted(values.keys() - checks.keys()):
        raise ValueError(f"{', '.join(unknown)} must be among: {', '.join(checks)}")
    for name, value in values.items():
        if not checks[name](value):
            said = (checks[name].__doc__ or "as `semlink train` writes it").rstrip(".")
            raise ValueError(f"{name}={short(value)} must be {said[0].lower()}{said[1:]}")
    return values
