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

from semlink.baselines.doors import CONSTELLATIONS, QAM_NAME, code_spec
from semlink.baselines.information import esno_db_for
from semlink.baselines.mcs import MCS, NR_SCHEMES
from semlink.baselines.waterfall import Point, length_of
from semlink.phy.documents import in_short
from semlink.phy.fec import K_MAX, LDPC5G

COLUMNS = ("order", "rate_1024", "k", "n", "esno_db", "errors", "blocks", "seed", "iterations")
OWN_COLUMNS = ("code", "constellation")
"""Of a table of one's own, before the others; without them 5G LDPC and square QAM are meant."""
MANY_FILLERS = 0.07
"""Share of the information bits from which on a stored size tells what fillers cost."""
STORED = ("ldpc", "nr")
"""Channel codes whose block error rates are in the package."""
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
    """Points by scheme and block size k from a table with `COLUMNS`, and maybe `OWN_COLUMNS`."""
    points: dict[Key, list[Point]] = {}
    for row in csv.DictReader(StringIO(text)):
        mcs = MCS(int(row["order"]), Fraction(row["rate_1024"]) / 1024, row.get("constellation") or QAM_NAME)
        if mcs.constellation != QAM_NAME:  # of a denominator that a decimal does not hold: 2/3 of 1024
            mcs = MCS(mcs.order, mcs.rate.limit_denominator(1024), mcs.constellation)
        point = Point(float(row["esno_db"]), int(row["errors"]), int(row["blocks"]))
        points.setdefault((mcs, int(row["k"])), []).append(point)
    return points


def write_points(
    points: Mapping[Key, Sequence[Point]], path: Path, *, seed: int, iterations: int, code: str = "ldpc"
) -> None:
    """The table that `read_points` reads, in order of efficiency, block size and Es/N0.

    Of another code than 5G LDPC, or another constellation than square QAM, it names both.
    """
    whole = path.with_suffix(".part")
    own = code != "ldpc" or any(mcs.constellation != QAM_NAME for mcs, _ in points)
    with whole.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*(OWN_COLUMNS if own else ()), *COLUMNS])
        for (mcs, k), curve in sorted(points.items(), key=lambda item: (item[0][0].efficiency, item[0][1])):
            before = [code, mcs.constellation] if own else []
            for point in sorted(curve, key=lambda point: point.esno_db):
                rate, n = f"{float(mcs.rate * 1024):.9g}", length_of(mcs, k)
                row = [mcs.order, rate, k, n, point.esno_db, point.errors, point.blocks, seed, iterations]
                table.writerow([*before, *row])
    whole.replace(path)


@lru_cache(maxsize=1)
def curves() -> Mapping[MCS, Mapping[int, Curve]]:
    """The fitted curves by scheme and block size k."""
    return _fitted(stored_points())


@lru_cache(maxsize=16)
def own_curves(code: str) -> Mapping[MCS, Mapping[int, Curve]]:
    """The fitted curves of the table that a code names by ",table=FILE".

    Raises:
        ValueError: a file that cannot be read, is no such table, or was measured with another code.
    """
    spec = code_spec(code)
    path = Path(spec.table or "")
    try:
        text = path.read_text()
        points = read_points(text)
        codes = {row.get("code") or "ldpc" for row in csv.DictReader(StringIO(text))}
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"table={path}: holds no block error rates ({in_short(error)}); `semlink bench bler` makes one"
        ) from error
    if not points or codes != {spec.name}:
        measured = ", ".join(sorted(codes)) or "nothing"
        raise ValueError(f"table={path}: was measured with {measured}, and the code is {spec.name}")
    usable = {key: found for key, found in points.items() if sum(0 < p.errors < p.blocks for p in found) >= 2}
    if not usable:
        raise ValueError(f"table={path}: no curve has two points where some blocks are lost and some are not")
    return _fitted(usable)


def _fitted(points: Mapping[Key, Sequence[Point]]) -> dict[MCS, dict[int, Curve]]:
    by_scheme: dict[MCS, dict[int, Curve]] = {}
    for (mcs, k), curve in points.items():
        by_scheme.setdefault(mcs, {})[k] = Curve.fit(curve)
    return by_scheme


def check_table(code: str, constellation: str = QAM_NAME) -> None:
    """Raise ValueError unless there are block error rates of a code with a constellation."""
    spec = code_spec(code)
    if spec.table is not None and spec.name == "nr":
        raise ValueError(f"table={spec.table}: nr has none of its own; its code blocks are those of ldpc, as stored")
    if spec.table is not None:
        found = {mcs.constellation for mcs in own_curves(code)}
        if found != {constellation}:
            raise ValueError(
                f"table={spec.table}: is of {', '.join(sorted(found))}; the constellation is {constellation}"
            )
        if unknown := found - {QAM_NAME, *CONSTELLATIONS}:
            raise ValueError(f"table={spec.table}: unknown constellation {', '.join(unknown)}")
    elif spec.name not in STORED or constellation != QAM_NAME:
        raise ValueError(
            f"link adaptation needs code='ldpc' or 'nr' and QAM, whose block error rates are stored; code={code!r} has "
            f"none with {constellation}: measure a table by `semlink bench bler --code {spec.name} --constellation "
            f"{constellation} --out FILE` and give code='{code},table=FILE'"
        )


def schemes_of(code: str) -> tuple[MCS, ...]:
    """The schemes that a link with a code may choose from, from the most robust on: NR's, or those of its own table."""
    return NR_SCHEMES if code_spec(code).table is None else _own_schemes(code)


@lru_cache(maxsize=16)
def _own_schemes(code: str) -> tuple[MCS, ...]:
    return tuple(sorted(own_curves(code), key=lambda mcs: (mcs.efficiency, mcs.order)))


@lru_cache(maxsize=4096)
def curve(mcs: MCS, k: int, code: str = "ldpc") -> Curve:
    """The curve of a scheme for a block of k bits in the fewest symbols, between measured sizes in proportion to log k.

    What goes in proportion is the distance from constrained capacity at the rate that is really sent, less what filler
    bits cost. Below the smallest and above the largest size that distance is this size's. Sizes of one base graph alone
    stand for one another: where it changes the block error rate jumps (TS 38.212 clause 7.2.2), and from the last size
    before that to there the line of the last two goes on.

    Raises:
        ValueError: a scheme without measured curves.
    """
    own = code_spec(code).table is not None
    stored = (own_curves(code) if own else curves()).get(mcs)
    if stored is None:
        raise ValueError(f"mcs={mcs} has no stored block error rates; those of TS 38.214 tables 1, 2 and 4 have")
    if k in stored:
        return stored[k]
    sizes = sorted(stored) if own else _alike(mcs, k, sorted(stored))
    distance = needed_db if own else _expected_db
    (low, high), share = _between(sizes, k, ends=(min(stored), max(stored)))
    gaps = [stored[size].levels_db - distance(mcs, size) for size in (low, high)]
    return Curve((1 - share) * gaps[0] + share * gaps[1] + distance(mcs, k))


def _alike(mcs: MCS, k: int, stored: Sequence[int]) -> list[int]:
    """The sizes of the base graph that a block of k bits has, without those that tell what fillers cost."""
    graph = _base_graph(mcs, min(max(k, stored[0]), stored[-1]))
    return [size for size in stored if _base_graph(mcs, size) == graph and _filler_share(mcs, size) < MANY_FILLERS]


def _between(sizes: Sequence[int], k: int, *, ends: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """The two sizes whose line k is on, and where, in log k; beyond the ends of all sizes it is at the last one."""
    if len(sizes) == 1:
        return (sizes[0], sizes[0]), 0.0
    at = min(max(k, ends[0]), ends[1])
    i = min(max(int(np.searchsorted(sizes, at)), 1), len(sizes) - 1)
    low, high = sizes[i - 1], sizes[i]
    return (low, high), float(np.log(at / low) / np.log(high / low))


@lru_cache(maxsize=4096)
def _expected_db(mcs: MCS, k: int) -> float:
    """`needed_db` and what the filler bits of a block of 5G LDPC cost."""
    return needed_db(mcs, k) + (0.0 if k > K_MAX else _filler_cost(mcs) * _filler_share(mcs, k))


@lru_cache(maxsize=256)
def _filler_cost(mcs: MCS) -> float:
    """As measured, or else that of the nearest rate of the same order, if it is one: a gain is not counted on."""
    costs = filler_costs()
    fellows = [one for one in costs if one.order == mcs.order]
    nearest = min(fellows, key=lambda one: abs(one.rate - mcs.rate), default=None)
    if mcs in costs or nearest is None:
        return costs.get(mcs, 0.0)
    return max(0.0, costs[nearest])


@lru_cache(maxsize=1)
def filler_costs() -> Mapping[MCS, float]:
    """What filler bits cost on base graph 1: dB for each unit of their share of the information bits.

    Of the schemes that are stored at a size with many fillers too, against what their other sizes foretell: up to
    0.1 dB in a block that has many, in some schemes a gain. On base graph 2 nothing could be measured of it.
    """
    found = {}
    for mcs, stored in curves().items():
        plain = sorted(k for k in stored if _base_graph(mcs, k) == 1 and _filler_share(mcs, k) < MANY_FILLERS)
        for k in stored:
            if (share := _filler_share(mcs, k)) >= MANY_FILLERS and plain and k > plain[0]:
                gaps = [stored[size].esno_db(0.1) - needed_db(mcs, size) for size in plain]
                shares = [_filler_share(mcs, size) for size in plain]
                more = stored[k].esno_db(0.1) - needed_db(mcs, k) - np.interp(np.log(k), np.log(plain), gaps)
                found[mcs] = float(more / (share - np.interp(np.log(k), np.log(plain), shares)))
    return found


def _filler_share(mcs: MCS, k: int) -> float:
    """Of the information bits of base graph 1 those that are fillers; 0 on base graph 2."""
    code = LDPC5G(k, length_of(mcs, k))
    return code.fillers / (k + code.fillers) if code.base_graph == 1 else 0.0


@lru_cache(maxsize=4096)
def needed_db(mcs: MCS, k: int) -> float:
    """Es/N0 in dB at which constrained capacity is the rate of a block of k bits in the fewest symbols."""
    return float(esno_db_for(mcs, k / length_of(mcs, k) * mcs.bits_per_symbol))


@lru_cache(maxsize=4096)
def _base_graph(mcs: MCS, k: int) -> int:
    return LDPC5G(k, length_of(mcs, k)).base_graph


def gap_db(mcs: MCS, k: int, *, bler: float = 1e-2) -> float:
    """Es/N0 in dB at a block error rate above where the constrained capacity is the rate that is really sent."""
    return curve(mcs, k).esno_db(bler) - needed_db(mcs, k)
