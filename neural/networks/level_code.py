"""Levels of cells as one whole number: asymmetric numeral systems (Duda, arXiv 1311.2540) in Python's own integers.

The probabilities of a level depend on the sum of its left and its upper neighbour's (1 beyond the border): frequencies
counted in photographs at ratio 1/16. The number has a fixed length, so that a receiver knows where the plan ends; where
an image's levels do not fit, the least expected ones are replaced by what their neighbours suggest until they do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

PRECISION = 12  # bits of a frequency
FREQUENCIES = (
    (3638, 331, 94, 33),
    (2318, 1384, 328, 66),
    (942, 2097, 938, 119),
    (545, 1360, 1769, 422),
    (205, 725, 2543, 623),
    (205, 352, 1749, 1790),
    (156, 180, 803, 2957),
)
STARTS = tuple(tuple(accumulate(row, initial=0)) for row in FREQUENCIES)
COSTS = tuple(tuple(PRECISION - math.log2(count) for count in row) for row in FREQUENCIES)  # in bits
LIKELIEST = tuple(row.index(max(row)) for row in FREQUENCIES)
LIMITS = (*sorted({cost for row in COSTS for cost in row}, reverse=True), 0.0)  # of the dearest level that is left
BITS_OF_CELL = 1.5
SPARE = 16  # bits beside those of the cells: what beginning costs
OUTSIDE = 1  # the level of a neighbour beyond the border


def length(cells: int) -> int:
    """Bits of the number for the levels of an image."""
    return math.ceil(BITS_OF_CELL * cells) + SPARE


def simplified(levels: Sequence[int], columns: int) -> list[int]:
    """The levels, row by row, or so much like them that `encode` needs no more than `length`."""
    for limit in LIMITS:
        tried = _limited(levels, columns, limit)
        if encode(tried, columns).bit_length() <= length(len(levels)):
            break
    return tried


def _limited(levels: Sequence[int], columns: int, limit: float) -> list[int]:
    tried: list[int] = []
    for level in levels:
        context = _context(tried, len(tried), columns)
        tried.append(level if COSTS[context][level] <= limit else LIKELIEST[context])
    return tried


def encode(levels: Sequence[int], columns: int) -> int:
    """The number of levels that were `simplified`."""
    number = 1
    for place in range(len(levels) - 1, -1, -1):
        context, level = _context(levels, place, columns), levels[place]
        above, within = divmod(number, FREQUENCIES[context][level])
        number = (above << PRECISION) + STARTS[context][level] + within
    return number


def decode(number: int, cells: int, columns: int) -> list[int]:
    """The levels of a number."""
    levels: list[int] = []
    for place in range(cells):
        context = _context(levels, place, columns)
        slot = number & (1 << PRECISION) - 1
        level = bisect_right(STARTS[context], slot) - 1
        number = FREQUENCIES[context][level] * (number >> PRECISION) + slot - STARTS[context][level]
        levels.append(level)
    return levels


def _context(levels: Sequence[int], place: int, columns: int) -> int:
    left = levels[place - 1] if place % columns else OUTSIDE
    return left + (levels[place - columns] if place >= columns else OUTSIDE)
