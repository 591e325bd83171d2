"""What a results folder holds, checked as it is read: anybody may have written, cut off or edited it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from semlink.flowgraphs.studies.engine import STUDY_COLUMNS
from semlink.flowgraphs.studies.plan import Point
from semlink.phy.documents import parse_json, short

TEXTS = ("codec", "spec", "error")
LABELS = ("channel", "csi", "coherence", "equaliser", "mode", "modulation")
"""What a channel says of itself, one of one's own too."""
COUNTS = ("failed", "images", "realisations", "seed", "block_errors", "blocks")
NEEDED = ("codec", "spec", "asked_ratio", "esno_db", "error", "pictures", "images", "realisations", "failed")
MOST = 2**63 - 1
SUM = re.compile(rb', "sum": "([0-9a-f]{16})"\}$')
"""How a line of `points.jsonl` ends."""
_TABLES = ("study", "images", "versions", "blocks", "machine")


def write_row(key: str, row: Mapping[str, Any]) -> str:
    """A line of `points.jsonl`, with a checksum of all that stands before it."""
    body = json.dumps({"key": key, "row": row})[:-1]
    return f'{body}, "sum": "{_sum(body.encode())}"}}\n'


class Row(NamedTuple):
    """A line of `points.jsonl`; `summed` unless it was written before lines had a checksum."""

    key: str
    row: dict[str, Any]
    summed: bool


def read_row(line: bytes) -> Row:
    """What a line of `points.jsonl` holds, without its end.

    Raises:
        ValueError: it is none, or was changed; the message says why.
    """
    entry = parse_json(line)
    row = entry.get("row") if isinstance(entry, dict) else None
    if not isinstance(row, dict) or entry.keys() - {"key", "row", "sum"}:
        raise ValueError("it must be a table of key, row and sum")
    if summed := "sum" in entry:
        found = SUM.search(line)
        if found is None or found[1].decode() != _sum(line[: found.start()]):
            raise ValueError("it is not what its checksum is of: it was changed or is damaged")
    if missing := [name for name in NEEDED if name not in row]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    for name, value in row.items():
        if not _fits(name, value):
            raise ValueError(f"{name}={short(value)} must be {_wanted(name)}")
    point = Point(row["codec"], row["spec"], float(row["asked_ratio"]), float(row["esno_db"]))
    if entry.get("key") != point.key:
        raise ValueError(f"key={short(entry.get('key'))} must be {short(point.key)}")
    return Row(point.key, row, summed)


def _sum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]


def check_about(about: object) -> dict[str, Any]:
    """What `study.json` says, whose format is known.

    Raises:
        ValueError: a part is missing or of another kind; the message names it.
    """
    assert isinstance(about, dict)
    for name in _TABLES:
        if not isinstance(about.get(name, {}), dict) or (name in ("study", "images") and name not in about):
            raise ValueError(f"{name}={short(about.get(name))} must be a table")
    if not all(isinstance(one, str) for one in about["images"].values()):
        raise ValueError("images must be a table of texts")
    if not isinstance(about.get("resumed", []), list):
        raise ValueError(f"resumed={short(about['resumed'])} must be a list")
    return {"versions": {}, **about}


def _fits(name: str, value: object) -> bool:
    if name in TEXTS:
        return isinstance(value, str)
    if name in LABELS:
        return value is None or isinstance(value, str | int | float)
    if name == "pictures":
        return isinstance(value, Mapping) and all(map(is_inside, value.values()))
    if isinstance(value, bool):
        return False
    if name in COUNTS:
        return isinstance(value, int) and 0 <= value <= MOST
    if name in ("asked_ratio", "esno_db"):
        return isinstance(value, int | float) and abs(value) <= 1e9
    return name not in STUDY_COLUMNS or isinstance(value, float) or (isinstance(value, int) and abs(value) <= MOST)


def _wanted(name: str) -> str:
    if name in TEXTS:
        return "a text"
    if name == "pictures":
        return "a table of files in the folder"
    return "a whole number from 0" if name in COUNTS else "a number"


def is_inside(file: object) -> bool:
    """Whether it is the path of a file within the folder that it is read from."""
    if not isinstance(file, str):
        return False
    path = PurePosixPath(file)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts
