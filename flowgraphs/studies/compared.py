"""What `semlink compare` leaves in its folder, read as if it were a study's results: for figures and reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from semlink.flowgraphs.comparison import RECORD
from semlink.flowgraphs.specs import parse_ratio
from semlink.flowgraphs.studies.checked import is_inside
from semlink.flowgraphs.studies.engine import STUDY_COLUMNS
from semlink.flowgraphs.studies.plan import Plan
from semlink.flowgraphs.studies.results import read_about
from semlink.flowgraphs.studies.study import read_results
from semlink.phy.documents import in_short, read_json

TABLE = "compare.csv"
NEEDED = ("codec", "spec", "esno_db", "ratio", "psnr_db", "failed", "images", "realisations", "seed")
COUNTS = ("failed", "images", "realisations", "seed")
MOST = 2.0**53
"""Of a count: beyond it a table's numbers are not whole any more."""
_WORDS = ("codec", "channel", "csi", "coherence", "equaliser", "mode", "modulation", "spec", "error", "pictures")


class Shown(NamedTuple):
    """What a figure or a report is made of: a study, its table, and what is known of how it came about.

    `folder` is where the files of the table's pictures lie, `swept` whether `semlink sweep` made it.
    """

    study: Plan
    table: pd.DataFrame
    about: Mapping[str, Any]
    folder: Path
    swept: bool


def read_shown(results: str | Path) -> Shown:
    """A results folder of `semlink sweep`, or a folder of `semlink compare` or the compare.csv in it.

    Raises:
        ValueError: neither, or a file in it that is damaged.
    """
    path = Path(results)
    if path.is_dir() and not (path / TABLE).is_file():
        study, table = read_results(path)
        return Shown(study, table, read_about(path), path, swept=True)
    if not (path.is_file() and path.suffix == ".csv") and not path.is_dir():
        raise ValueError(f"results {results}: no folder of `semlink sweep` or `semlink compare`, and no compare.csv")
    return _compared(path / TABLE if path.is_dir() else path)


def read_table(path: Path) -> pd.DataFrame:
    """The table of a CSV, of a comparison or a study, with the columns that a study's has.

    Raises:
        ValueError: no such table; the message names what is missing or is no number.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise ValueError(f"table {path}: {in_short(error)}") from error
    if missing := [name for name in NEEDED if name not in table]:
        raise ValueError(f"table {path}: lacks {', '.join(missing)}")
    if table.empty:
        raise ValueError(f"table {path}: has no row")
    for name in table.columns:
        if name in _WORDS:
            table[name] = ["" if pd.isna(value) else str(value) for value in table[name]]
        elif not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"table {path}: {name} must be numbers")
    for name in COUNTS:
        if not all(0 <= value <= MOST and value == int(value) for value in table[name].astype(float)):
            raise ValueError(f"table {path}: {name} must be whole numbers from 0")
    absent = {name: "" if name in _WORDS else float("nan") for name in STUDY_COLUMNS if name not in table}
    table = table.assign(**absent)
    if "outage" in absent:
        table["outage"] = table["failed"] / (table["images"] * table["realisations"])
    return table


def _compared(path: Path) -> Shown:
    table, about = read_table(path), _record(path.parent / RECORD)
    ratio = about.get("ratio", float(table["ratio"].median()))
    table["asked_ratio"] = table["asked_ratio"].fillna(parse_ratio(repr(float(ratio))))
    table["pictures"] = [_pictures(row["codec"], row["esno_db"], about) for row in table.to_dict("records")]
    try:
        study = Plan(
            images=about.get("images", ["?"]),
            codecs=list(dict.fromkeys(table["codec"])),
            channels=list(dict.fromkeys(table["spec"])),
            esno_db=sorted(set(table["esno_db"])),
            ratios=list(dict.fromkeys(table["asked_ratio"])),
            mcs=about.get("mcs", "16qam-1/2"),
            realisations=int(table["realisations"].max()),
            metrics=about.get("metrics", ()),
            seed=int(table["seed"].iloc[0]),
            name=path.parent.resolve().name,
        )
    except (ValueError, OverflowError) as error:
        raise ValueError(f"table {path}: {in_short(error)}") from error
    return Shown(study, table, {"versions": {}, **about, "images": about.get("sent", {})}, path.parent, swept=False)


def _pictures(codec: str, esno_db: float, about: Mapping[str, Any]) -> str:
    of_row = [one for one in about.get("pictures", []) if (one["codec"], one["esno_db"]) == (codec, esno_db)]
    return json.dumps({one["image"]: one["file"] for one in of_row})


def _record(path: Path) -> dict[str, Any]:
    """What `compare.json` says; nothing where there is none, as in folders of before it was written."""
    if not path.is_file():
        return {}
    try:
        about = read_json(path)
        if not isinstance(about, dict) or not all(check(about.get(name)) for name, check in _CHECKS.items()):
            raise ValueError("a part of it is missing or of another kind")
    except (OSError, ValueError) as error:
        raise ValueError(f"comparison {path}: {in_short(error)}; remove it to do without its pictures") from error
    return about


def _is_picture(one: object) -> bool:
    return (
        isinstance(one, dict)
        and all(isinstance(one.get(name), str) for name in ("image", "codec"))
        and isinstance(one.get("esno_db"), int | float)
        and is_inside(one.get("file"))
    )


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _texts_by_name(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())


_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "images": _texts,
    "metrics": _texts,
    "ratio": lambda value: isinstance(value, float) and 0 < value <= 1,
    "mcs": lambda value: isinstance(value, str),
    "created": lambda value: isinstance(value, str),
    "sent": _texts_by_name,
    "versions": _texts_by_name,
    "pictures": lambda value: isinstance(value, list) and all(map(_is_picture, value)),
}
