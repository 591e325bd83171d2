"""Stored block error rates of the modulation-and-coding schemes on AWGN, and what follows from them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from importlib import resources
from io import StringIO
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from semlink.baselines.capacity import esno_db_for
from semlink.baselines.mcs import MCS
from semlink.baselines.waterfall import Point, code_of

COLUMNS = ("order", "rate_1024", "k", "n", "esno_db", "errors", "blocks", "seed", "iterations")
Key = tuple[MCS, int]


# Scores, the normal quantiles of block error rates, at which a curve is kept: from 3e-7 to 0.999.
SCORES = np.linspace(-5, 3, 81)


@dataclass(frozen=True, eq=False)
class Curve:
    """The block error rate of a scheme and block size against Es/N0.

    On normal-probability paper it goes straight from point to point, and beyond them on as the line fitted to all.

    Attributes:
        levels_db: Es/N0 in dB at the `SCORES`, falling.
    """

    levels_db: Float[np.ndarray, " scores"]

    def bler(self, esno_db: ArrayLike) -> Float[np.ndarray, " *shape"]:
        """Block error rate at an Es/N0 in dB, of any shape."""
        esno = np.clip(np.asarray(esno_db, dtype=np.float64), -1e3, 1e3)
        score = np.interp(esno, self.levels_db[::-1], SCORES[::-1])
        beyond = np.minimum(self.levels_db[0] - esno, 0) + np.maximum(self.levels_db[-1] - esno, 0)
        ends = (SCORES[-1] - SCORES[-2]) / (self.levels_db[-2] - self.levels_db[-1])
        return np.asarray(ndtr(score + ends * beyond))

    def esno_db(self, bler: float) -> float:
        """Es/N0 in dB at a block error rate from 1e-6 to 0.99."""
        return float(np.interp(ndtri(bler), SCORES, self.levels_db))

    @classmethod
    def fit(cls, points: Iterable[Point]) -> Curve:
        """Through the points, after what chance made rise has been levelled."""
        used = sorted((point for point in points if 0 < point.errors < point.blocks), key=lambda point: point.esno_db)
        esno = np.array([point.esno_db for point in used])
        rate = np.array([point.bler for point in used])
        score = ndtri(rate)
        density = np.exp(-(score**2) / 2) / np.sqrt(2 * np.pi)
        deviation = np.sqrt(rate * (1 - rate) / [point.blocks for point in used]) / density
        slope = min(np.polyfit(esno, score, 1, w=1 / np.hypot(deviation, 0.05))[0], -0.1)
        falling = np.minimum.accumulate(score) - 1e-9 * np.arange(len(score))
        levels = np.interp(SCORES, falling[::-1], esno[::-1])
        levels += np.minimum(SCORES - falling[-1], 0) / slope + np.maximum(SCORES - falling[0], 0) / slope
        return cls(levels)


def stored_points() -> Mapping[Key, Sequence[Point]]:
    """The points in the package: `semlink bench bler` measured them, with the seed and iterations that stand beside."""
    return read_points(resources.files("semlink.baselines").joinpath("data/bler.csv").read_text())


def read_points(text: str) -> dict[Key, list[Point]]:
    """Points by scheme and block size k from a table with `COLUMNS`."""
    points: dict[Key, list[Point]] = {}
    for row in csv.DictReader(StringIO(text)):
        mcs = MCS(int(row["order"]), Fraction(row["rate_1024"]) / 1024)
        point = Point(float(row["esno_db"]), int(row["errors"]), int(row["blocks"]))
        points.setdefault((mcs, int(row["k"])), []).append(point)
    return points


def write_points(points: Mapping[Key, Sequence[Point]], path: Path, *, seed: int, iterations: int) -> None:
    """The table that `read_points` reads, in order of efficiency, block size and Es/N0."""
    whole = path.with_suffix(".part")
    with whole.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for (mcs, k), curve in sorted(points.items(), key=lambda item: (item[0][0].efficiency, item[0][1])):
            for point in sorted(curve, key=lambda point: point.esno_db):
                rate = f"{float(mcs.rate * 1024):g}"
                n = code_of(mcs, k).n
                table.writerow([mcs.order, rate, k, n, point.esno_db, point.errors, point.blocks, seed, iterations])
    whole.replace(path)


@lru_cache(maxsize=1)
def curves() -> Mapping[MCS, Mapping[int, Curve]]:
    """The fitted curves by scheme and block size k."""
    by_scheme: dict[MCS, dict[int, Curve]] = {}
    for (mcs, k), points in stored_points().items():
        by_scheme.setdefault(mcs, {})[k] = Curve.fit(points)
    return by_scheme


@lru_cache(maxsize=4096)
def curve(mcs: MCS, k: int) -> Curve:
    """The curve of a scheme for a block of k bits, between the stored sizes in proportion to log k.

    Below the smallest and above the largest stored size the curve is that size's.

    Raises:
        ValueError: a scheme without stored curves.
    """
    stored = curves().get(mcs)
    if stored is None:
        raise ValueError(f"mcs={mcs} has no stored block error rates; those of TS 38.214 tables 1 and 2 have")
    sizes = sorted(stored)
    at = np.interp(np.log(k), np.log(sizes), np.arange(len(sizes)))
    low, share = int(at), at - int(at)
    high = min(low + 1, len(sizes) - 1)
    return Curve((1 - share) * stored[sizes[low]].levels_db + share * stored[sizes[high]].levels_db)


def gap_db(mcs: MCS, k: int, *, bler: float = 1e-2) -> float:
    """Es/N0 in dB at a block error rate above where the constrained capacity is the rate that is really sent."""
    code = code_of(mcs, k)
    bits = k / code.n * mcs.bits_per_symbol
    return curve(mcs, k).esno_db(bler) - float(esno_db_for(bits, order=mcs.order))
