"""`semlink bench bler --published`: the stored block error rates against those that Sionna's system level ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
from rich.table import Table

from semlink.baselines.bler import curve, curves
from semlink.baselines.mcs import MCS, NR_TABLES
from semlink.flowgraphs.comparison import make_console

SIZES = (100, 500, 1000, 2000)
"""Information bits of a block, of theirs; those of 24 bits are below what is stored."""
RATES = (0.01, 0.9)
"""Block error rates that both know well: theirs are of 600 to 3000 blocks."""
LEVELS_DB = tuple(np.arange(0.0, 20.25, 0.25).tolist())
"""Es/N0 at which the best scheme is chosen."""
TARGET = 0.1


@dataclass(frozen=True)
class Ahead:
    """By how much what is stored needs less than a published point.

    Attributes:
        mcs: the scheme.
        k: information bits of a block.
        bler: of the published point.
        db: Es/N0 of the published point less that at which the stored curve has the same block error rate.
    """

    mcs: MCS
    k: int
    bler: float
    db: float


def published_points() -> Iterator[Ahead]:
    """Every point of Sionna's tables of the downlink, 1, 2 and 4, that is neither hopeless nor nearly sure.

    Raises:
        ValueError: Sionna has no such tables.
    """
    found = find_spec("sionna")
    folder = Path(found.origin).parent / "sys/bler_tables" if found and found.origin else Path()
    for number, schemes in NR_TABLES.items():
        file = folder / f"PDSCH_table{number}.json"
        if not file.is_file():
            raise ValueError(f"{file.name} is not among the files of Sionna; sionna-no-rt 2.0.1 has it")
        # Of Sionna's own package, as it is installed: its form is known.
        read = json.loads(file.read_text())["category"]["1"]["index"][str(number)]["MCS"]
        for index, rows in read.items():
            if schemes[int(index)] not in curves():
                continue
            for k in SIZES:
                lost, levels = rows["CBS"][str(k)]["BLER"], rows["SNR_db"]
                for bler, level in zip(lost, levels, strict=True):
                    if RATES[0] <= bler <= RATES[1]:
                        mcs = schemes[int(index)]
                        yield Ahead(mcs, k, bler, level - curve(mcs, k).esno_db(bler))


def run_published(*, as_json: bool) -> None:
    """`semlink bench bler --published`.

    Raises:
        ValueError: as `published_points`.
    """
    points = list(published_points())
    rows = [_row(str(k), [one.db for one in points if one.k == k]) for k in SIZES]
    rows.append(_row("all", [one.db for one in points]))
    gains = _gains(points)
    if as_json:
        print(json.dumps({"ahead": rows, "throughput": gains}, indent=2))
        return
    table = Table(title="Stored block error rates ahead of Sionna's published ones, at the same block error rate")
    for name in ("k", "points", "median (dB)", "quartiles (dB)", "middle 90 % (dB)"):
        table.add_column(name, justify="right")
    for row in rows:
        quartiles, most = cast(list[float], row["quartiles_db"]), cast(list[float], row["middle_90_db"])
        table.add_row(
            str(row["k"]), str(row["points"]), f"{row['median_db']:.2f}",
            f"{quartiles[0]:.2f} to {quartiles[1]:.2f}", f"{most[0]:.2f} to {most[1]:.2f}",
        )  # fmt: skip
    console = make_console()
    console.print(table)
    ours, theirs = (sum(gain[name] for gain in gains) for name in ("bits", "published_bits"))
    console.print(
        f"The best scheme of blocks of {SIZES[-1]} bits at BLER up to {TARGET:g}, Es/N0 from {LEVELS_DB[0]:g} to "
        f"{LEVELS_DB[-1]:g} dB: {100 * (ours / theirs - 1):+.1f} % information on average, at most "
        f"{max(gain['percent'] for gain in gains):+.1f} %"
    )


def _row(k: str, ahead: list[float]) -> dict[str, object]:
    low, first, middle, third, high = (round(float(v), 3) for v in np.percentile(ahead, [5, 25, 50, 75, 95]))
    return {
        "k": k,
        "points": len(ahead),
        "median_db": middle,
        "quartiles_db": [first, third],
        "middle_90_db": [low, high],
    }


def _gains(points: list[Ahead]) -> list[dict[str, float]]:
    """What the best scheme delivers at some Es/N0 by the stored curves, and by each of them shifted to theirs."""
    long = [one for one in points if one.k == SIZES[-1]]
    usual = float(np.median([one.db for one in long]))
    behind = {mcs: float(np.median([one.db for one in long if one.mcs == mcs] or [usual])) for mcs in curves()}
    gains = []
    for level in LEVELS_DB:
        ours, theirs = _delivered(level, dict.fromkeys(behind, 0.0)), _delivered(level, behind)
        percent = round(100 * (ours / theirs - 1), 2)
        gains.append({"esno_db": level, "bits": round(ours, 4), "published_bits": round(theirs, 4), "percent": percent})
    return gains


def _delivered(esno_db: float, behind: dict[MCS, float]) -> float:
    lost = {mcs: float(curve(mcs, SIZES[-1]).bler(esno_db - off)) for mcs, off in behind.items()}
    return max(mcs.efficiency * (1 - share) for mcs, share in lost.items() if share <= TARGET)
