"""How likely each number of a code is: learned scales of its components, corrected by those that came before.

A component is taken for Laplacian. The logarithm of its scale over the quantiser's step, in whole eighths of an octave,
picks a table; that of the sizes of the earlier components of the same tile over what was to be expected moves it. Both
ends do this in whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from semlink.neural.prompts.range_coder import FREQUENCY_BITS

LEAST, MOST = -40, 80
"""Logarithms of scale over step, in 1/8 octave, that there are tables of."""
QUIET = 4
"""Components that do not tell how lively a tile is: its mean colour, mostly."""
UNIT = 64
"""Expected sizes are counted in 1/UNIT."""
TRUST = 3 * UNIT
"""How much is expected of a tile before anything is known of it."""
SWING = 24
"""The furthest that a tile moves its tables, in 1/8 octave: three octaves."""
DEAD_ZONE = 0.6
"""In steps: half the width of the quantiser's zero."""


@lru_cache(maxsize=1)
def tables() -> list[list[int]]:
    """Cumulative frequencies of −Q … Q for each scale from `LEAST` to `MOST`; Q is half their number, rounded down."""
    return [_table(scale) for scale in range(LEAST, MOST + 1)]


@lru_cache(maxsize=1)
def reaches() -> Int[np.ndarray, " scales"]:
    """Q of each table: larger numbers are not told."""
    return np.array([len(table) // 2 - 1 for table in tables()])


@lru_cache(maxsize=1)
def flat_tables() -> tuple[Int[np.ndarray, " all"], Int[np.ndarray, " scales"]]:
    """All tables in a row, and where the zero of each lies."""
    starts = np.cumsum([0, *(len(table) for table in tables())])[:-1]
    return np.concatenate([np.array(table) for table in tables()]), starts + reaches()


@lru_cache(maxsize=1)
def expected() -> Int[np.ndarray, " scales"]:
    """The mean size of the numbers of each table, in 1/`UNIT`."""
    found = []
    for table in tables():
        reach = len(table) // 2 - 1
        sizes = [abs(i - reach) * (high - low) for i, (low, high) in enumerate(pairwise(table))]
        found.append(max(1, round(UNIT * sum(sizes) / (1 << FREQUENCY_BITS))))
    return np.array(found)


@lru_cache(maxsize=1)
def logarithms() -> list[int]:
    """8·log2 of the numbers below 8192, rounded."""
    return [0, *(round(8 * math.log2(x)) for x in range(1, 8192))]


@lru_cache(maxsize=1)
def _logarithms() -> Int[np.ndarray, " 8192"]:
    return np.array(logarithms())


def eighth(value: int) -> int:
    """8·log2 of a whole number from 1 on, rounded, from its first 13 bits."""
    shift = max(value.bit_length() - 13, 0)
    return logarithms()[value >> shift] + 8 * shift


def eighths(value: Int[np.ndarray, "*any"]) -> Int[np.ndarray, "*any"]:
    """`eighth` of each."""
    shift = np.maximum(np.frexp(value.astype(np.float64))[1] - 13, 0)
    found: np.ndarray = _logarithms()[value >> shift] + 8 * shift
    return found


def moved(seen: Int[np.ndarray, "*any"], hoped: Int[np.ndarray, "*any"]) -> Int[np.ndarray, "*any"]:
    """By how much a tile moves its tables: sizes `seen` and `hoped` for, in 1/`UNIT`."""
    found: np.ndarray = np.clip(eighths(seen + TRUST) - eighths(hoped + TRUST), -SWING, SWING)
    return found


def tables_after(scale: int, seen: Sequence[int], hoped: int) -> list[int]:
    """The numbers of the tables of the next number of every tile, as `table_numbers` has them, without NumPy: a decoder
    asks for a few at a time."""
    middle = eighth(hoped + TRUST)
    moves = (max(-SWING, min(SWING, eighth(size + TRUST) - middle)) for size in seen)
    return [max(LEAST, min(MOST, scale + move)) - LEAST for move in moves]


def pick(scale: Int[np.ndarray, "*any"]) -> Int[np.ndarray, "*any"]:
    """The numbers of the tables of these scales."""
    found: np.ndarray = np.clip(scale, LEAST, MOST) - LEAST
    return found


def table_numbers(values: Int[np.ndarray, "n k"], scale: Int[np.ndarray, " k"]) -> Int[np.ndarray, "n k"]:
    """Which table each number of each tile is coded with."""
    hoped = expected()[pick(scale)]
    hoped[:QUIET] = 0
    sizes = np.abs(values) * UNIT
    sizes[:, :QUIET] = 0
    before = np.cumsum(sizes, axis=1) - sizes
    return pick(scale + moved(before, np.broadcast_to(np.cumsum(hoped) - hoped, before.shape)))


def cost_bits(values: Int[np.ndarray, "n k"], numbers: Int[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """What an ideal coder would need for each."""
    flat, zeros = flat_tables()
    at = zeros[numbers] + values
    found: np.ndarray = FREQUENCY_BITS - np.log2(flat[at + 1] - flat[at])
    return found


def within_reach(values: Int[np.ndarray, "n k"], scale: Int[np.ndarray, " k"]) -> Int[np.ndarray, "n k"]:
    """The numbers that can be told: those too large are cut, first ones first, for each moves the tables after it."""
    while True:
        reach = reaches()[table_numbers(values, scale)]
        cut = np.clip(values, -reach, reach)
        if np.array_equal(cut, values):
            return values
        values = cut


def _table(scale: int) -> list[int]:
    """Of a Laplacian law whose standard deviation is 2^(scale/8) steps."""
    rate = math.sqrt(2) / 2 ** (scale / 8)  # 1/b, in steps
    reach = min(400, 2 + math.ceil(11 / rate))
    tails = [0.5 * math.exp(-rate * (DEAD_ZONE + i)) for i in range(reach)]  # P(q > i)
    side = [high - low for high, low in zip(tails, [*tails[1:], 0.0], strict=True)]
    shares = [*reversed(side), 1 - 2 * tails[0], *side]
    return _cumulative(shares)


def _cumulative(shares: Sequence[float]) -> list[int]:
    """Whole frequencies of at least 1 each."""
    left = (1 << FREQUENCY_BITS) - len(shares)
    counts = [1 + math.floor(share * left) for share in shares]
    counts[len(shares) // 2] += (1 << FREQUENCY_BITS) - sum(counts)
    return [0, *np.cumsum(counts).tolist()]
