"""A results folder: every finished point is kept at once, and nothing else ever counts.

`study.json` says what was asked and with what it was run, `points.jsonl` has a row a finished point, in the order in
which they finished, `pictures/` the received images and `sent/` those that were sent; `table.parquet` is written from
these in the order of the grid.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from semlink.flowgraphs.comparison import Pixels, digest_of, sent_file, write_image
from semlink.flowgraphs.studies.checked import check_about, read_row, write_row
from semlink.flowgraphs.studies.engine import STUDY_COLUMNS, Outcome
from semlink.flowgraphs.studies.plan import Plan, Point, differences
from semlink.flowgraphs.studies.provenance import provenance
from semlink.phy.documents import in_short, read_json, short

FORMAT = 1


class Results:
    """The folder of one study, locked while it is open.

    Points that ended in an error count as missing: whoever begins again has them sent again.

    Args:
        folder: made where there is none.
        study: what is asked; that of the folder must be the same.
        images: SHA-256 of each image's pixels by name; those of the folder must be the same.

    Raises:
        ValueError: the folder holds another study, other images or another format, or something that is no results
            folder; or somebody else has it open.
        OSError: it cannot be written.
    """

    def __init__(self, folder: str | Path, study: Plan, images: Mapping[str, str]) -> None:
        self.folder, self.study = Path(folder), study
        about = self.folder / "study.json"
        if self.folder.exists() and not about.exists() and (not self.folder.is_dir() or _has_others(self.folder)):
            raise ValueError(f"results {folder}: holds something else, and no study.json; give another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = (self.folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise ValueError(f"results {folder}: another sweep writes there; wait for it or stop it") from None
        try:
            if about.exists():
                _check_same(self.folder, study, images)
            else:
                _write(about, json.dumps(_about(study, images), indent=2) + "\n")
            self._kept = read_rows(self.folder)
            self.rows = {key: row for key, row in self._kept.items() if not row["error"]}
            self._truncate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others have the folder."""
        self._lock.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, point: Point, outcome: Outcome) -> None:
        """Keep a finished point: once this returns, nothing but the loss of the disk undoes it.

        Raises:
            OSError: it cannot be written; what was there before stays as it was.
        """
        if point.key in self.rows:
            raise ValueError(f"point {point.key} is there already")
        row = outcome.row | {"pictures": self._keep_pictures(point, outcome)}
        line = write_row(point.key, row)
        path = self.folder / "points.jsonl"
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(path, size)
            raise
        self.rows[point.key] = self._kept[point.key] = row

    def keep_sent(self, images: Mapping[str, Pixels]) -> None:
        """Keep images as they are sent, for a report to show beside what was received.

        Raises:
            OSError: they cannot be written.
        """
        for picture in images.values():
            path = self.folder / sent_file(digest_of(picture))
            path.parent.mkdir(exist_ok=True)
            if not path.is_file():
                write_image(picture, path)

    def table(self) -> pd.DataFrame:
        """All rows so far, curve by curve in the order of the grid, each by rising Es/N0."""
        return make_table(self.study, self._kept)

    def write_table(self) -> Path:
        """Write `table.parquet`, whole or not at all."""
        path = self.folder / "table.parquet"
        partial = path.with_suffix(".part")
        try:
            self.table().to_parquet(partial, index=False)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _keep_pictures(self, point: Point, outcome: Outcome) -> dict[str, str]:
        if not outcome.pictures:
            return {}
        digest = hashlib.sha256(point.key.encode()).hexdigest()[:8]
        label = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{point.codec}_{point.channel}_{point.esno_db:g}dB")[:80]
        folder = self.folder / "pictures" / f"{label}_{digest}"
        folder.mkdir(parents=True, exist_ok=True)
        kept = {}
        for i, (name, picture) in enumerate(outcome.pictures.items()):
            write_image(picture, folder / f"{i}.png")
            kept[name] = str((folder / f"{i}.png").relative_to(self.folder))
        return kept

    def _truncate(self) -> None:
        """Drop a last line that was cut off by a kill, so that the next one does not end up behind it."""
        path = self.folder / "points.jsonl"
        if path.exists():
            whole = path.read_bytes()
            end = whole.rfind(b"\n") + 1
            if end < len(whole):
                os.truncate(path, end)


def _has_others(folder: Path) -> bool:
    """Whether there is more than what a sweep leaves that is killed before it has written `study.json`."""
    return any(path.name not in (".lock", "study.part") for path in folder.iterdir())


def read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """The rows of a results folder by key of their point. A last line without an end was never finished.

    A warning tells of rows that were written before they had a checksum.

    Raises:
        ValueError: a line before it is no row, or not the one that was written.
    """
    path, rows, unsummed = folder / "points.jsonl", dict[str, dict[str, Any]](), 0
    if not path.exists():
        return {}
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            key, rows[key], summed = read_row(line)
            unsummed += not summed
        except ValueError as error:
            said = f"line {number} is no row ({in_short(error)}); remove the line to have its point sent again"
            raise ValueError(f"results {path}: {said}") from error
    if unsummed:
        said = "of an earlier version: whether their numbers are as they were written cannot be told"
        warnings.warn(f"results {path}: {unsummed} points without a checksum, {said}", stacklevel=3)
    return rows


def make_table(study: Plan, rows: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Rows by key as a table, curve by curve in the order of the study, each by rising Es/N0."""
    place = {
        (name, spec, ratio): (i, j, k)
        for i, spec in enumerate(study.channels)
        for j, ratio in enumerate(study.ratios)
        for k, name in enumerate(study.codecs)
    }

    for row in rows.values():
        if (row["codec"], row["spec"], row["asked_ratio"]) not in place:
            said = f"{row['codec']} on {row['spec']} at ratio {row['asked_ratio']:g}"
            raise ValueError(f"results: a row of {said}, which is not of the study; remove its line of points.jsonl")

    def order(row: Mapping[str, Any]) -> tuple[object, ...]:
        return (*place[row["codec"], row["spec"], row["asked_ratio"]], row["esno_db"])

    ordered = sorted(rows.values(), key=order)
    table = pd.DataFrame(ordered, columns=list(STUDY_COLUMNS))
    table["pictures"] = [json.dumps(one) for one in table["pictures"]]
    return table


def _about(study: Plan, images: Mapping[str, str]) -> dict[str, Any]:
    return {"format": FORMAT, "study": study.to_dict(), "images": dict(images), **provenance(study)}


def _check_same(folder: Path, study: Plan, images: Mapping[str, str]) -> None:
    about = read_about(folder)
    asked, given = ({**one, "name": ""} for one in (about["study"], json.loads(json.dumps(study.to_dict()))))
    changed = differences(asked, given)  # but for the name, which no number depends on
    if changed:
        raise ValueError(f"results {folder}: of another study: {'; '.join(changed)}; give another folder")
    if other := _other(about["images"], images):
        raise ValueError(f"results {folder}: image {other[0]} had other pixels, is new or is gone; give another folder")
    now = provenance(study)
    if other := _other(about.get("blocks", {}), now["blocks"]):
        raise ValueError(f"results {folder}: the code or weights of {other[0]} have changed; give another folder")
    was, here = about["versions"], now["versions"]
    if was.get("semlink") != here["semlink"]:
        said = f"begun with semlink {was.get('semlink')}, this is {here['semlink']}"
        raise ValueError(f"results {folder}: {said}; give another folder")
    changed = [f"{name} {was.get(name)}, now {here[name]}" for name in _other(was, here)]
    processors = [one.get("machine", {}).get("processor") for one in (about, now)]
    changed += [f"processor {processors[0]}, now {processors[1]}"] if processors[0] != processors[1] else []
    changed += ["another state of semlink's code"] if about.get("code") != now["code"] else []
    if changed:
        said = f"begun with {'; '.join(changed)}: the points to come may differ from those that are there"
        warnings.warn(f"results {folder}: {said}", stacklevel=4)
        about["resumed"] = [*about.get("resumed", []), now]
        _write(folder / "study.json", json.dumps(about, indent=2) + "\n")


def _other(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names that stand for something else, or for nothing, in one of the two."""
    return [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]


def read_about(folder: Path) -> dict[str, Any]:
    """What `study.json` of a results folder says.

    Raises:
        ValueError: no such file, or one of another format.
    """
    path = folder / "study.json"
    try:
        about = read_json(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"results {folder}: no study.json that can be read ({in_short(error)})") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        told = about.get("format") if isinstance(about, dict) else None
        raise ValueError(f"results {folder}: of format {short(told)}, this version reads {FORMAT}; give another folder")
    try:
        return check_about(about)
    except ValueError as error:
        raise ValueError(f"results {folder}: study.json: {in_short(error)}; give another folder") from error


def _write(path: Path, text: str) -> None:
    partial = path.with_suffix(".part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
