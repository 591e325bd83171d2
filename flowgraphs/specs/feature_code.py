"""Features as bits: a trained scalar quantiser, and an arithmetic code for what it gives. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

PRECISION = 12
"""Bits of the probabilities that the arithmetic code reckons with."""
ROUNDS = 1000
"""Of Lloyd's algorithm, at most."""


@dataclass(frozen=True)
class Quantiser:
    """A Lloyd–Max quantiser for features that were made alike, and how often each of them takes each level.

    Lloyd, "Least squares quantization in PCM", 1957; Max, "Quantizing for minimum distortion", 1960.

    Attributes:
        mean: of each feature.
        std: of each, by which it is divided once its mean is off.
        levels: rising.
        counts: of each feature and level, adding up to 2^PRECISION.
    """

    mean: Float[NDArray[np.float64], " f"]
    std: Float[NDArray[np.float64], " f"]
    levels: Float[NDArray[np.float64], " k"]
    counts: Int[NDArray[np.int64], "f k"]

    @property
    def order(self) -> NDArray[np.int64]:
        """The features in the order in which they are sent: those that vary most come first."""
        return np.argsort(-self.std, kind="stable")

    def quantise(self, features: Float[NDArray[np.float64], "b f"]) -> Int[NDArray[np.int64], "b f"]:
        """The nearest level of each feature."""
        return _nearest((features - self.mean) / self.std, self.levels)

    def restore(self, index: Int[NDArray[np.int64], "b f"]) -> Float[NDArray[np.float64], "b f"]:
        """Features of these levels."""
        return self.levels[index] * self.std + self.mean

    def lengths(self, index: Int[NDArray[np.int64], " f"]) -> Float[NDArray[np.float64], " f"]:
        """Bits that the first features take, in the order in which they are sent, so many and each more."""
        order = self.order
        bits: NDArray[np.float64] = np.cumsum(PRECISION - np.log2(self.counts[order, index[order]]))
        return bits

    def encode(self, index: Int[NDArray[np.int64], " f"], count: int) -> list[int]:
        """Bits of the first `count` features in the order in which they are sent: at most one more than `lengths`."""
        low, width, whole = 0, 1, PRECISION * count
        for feature in self.order[:count].tolist():
            ends = self._ends(feature)
            at = int(index[feature])
            low, width = (low << PRECISION) + width * ends[at], width * (ends[at + 1] - ends[at])
        for length in range(whole + 1):  # the fewest bits that, with zeros behind them, lie in the interval
            step = whole - length
            value = -(-low >> step)
            if value << step < low + width:
                return [value >> i & 1 for i in reversed(range(length))]
        raise AssertionError("a whole code word lies in its interval")

    def decode(self, bits: Sequence[int], count: int) -> Int[NDArray[np.int64], " f"]:
        """The levels of the first `count` features, -1 for the others; bits beyond the code word do not count."""
        whole = PRECISION * count
        value = int("".join(map(str, [*bits[:whole], *[0] * (whole - len(bits))])) or "0", 2)
        index, low, width = np.full(len(self.mean), -1), 0, 1
        for i, feature in enumerate(self.order[:count].tolist()):
            ends, scale = self._ends(feature), whole - PRECISION * (i + 1)
            place = ((value >> scale) - (low << PRECISION)) // width
            at = int(np.searchsorted(ends, place, side="right")) - 1
            index[feature] = at = min(max(at, 0), len(self.levels) - 1)
            low, width = (low << PRECISION) + width * ends[at], width * (ends[at + 1] - ends[at])
        return index

    def _ends(self, feature: int) -> list[int]:
        return [0, *np.cumsum(self.counts[feature]).tolist()]


def train_quantiser(features: Float[NDArray[np.float64], "n f"], bits: int) -> Quantiser:
    """The quantiser of 2^bits levels that is best in the mean square for these features, each scaled to variance 1."""
    mean, std = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    alike = (features - mean) / std
    levels = _lloyd(np.sort(alike, axis=None), 1 << bits)
    index = _nearest(alike, levels)
    seen = np.stack([np.bincount(column, minlength=len(levels)) for column in index.T])
    return Quantiser(mean, std, levels, _to_counts(seen.astype(np.float64) + 1))


def _lloyd(values: Float[NDArray[np.float64], " n"], count: int) -> Float[NDArray[np.float64], " k"]:
    """The levels; `values` rise."""
    levels = np.unique(np.quantile(values, (np.arange(count) + 0.5) / count))
    levels = np.concatenate([levels, levels[-1] + 1e-3 * np.arange(1, count - len(levels) + 1)])
    total = np.concatenate([[0.0], np.cumsum(values)])
    for _ in range(ROUNDS):
        ends = np.searchsorted(values, [-np.inf, *(levels[1:] + levels[:-1]) / 2, np.inf])
        sizes = np.diff(ends)
        new = np.where(sizes > 0, np.diff(total[ends]) / np.maximum(sizes, 1), levels)
        if np.allclose(new, levels, atol=1e-6):
            break
        levels = new
    return levels


def _nearest(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.searchsorted((levels[1:] + levels[:-1]) / 2, values)
    return found


def _to_counts(seen: Float[NDArray[np.float64], "f k"]) -> Int[NDArray[np.int64], "f k"]:
    """Shares as whole numbers from 1 that add up to 2^PRECISION in each row."""
    whole = 1 << PRECISION
    counts: NDArray[np.int64] = np.maximum(1, np.floor(seen / seen.sum(axis=1, keepdims=True) * whole)).astype(np.int64)
    rows = np.arange(len(counts))
    counts[rows, counts.argmax(axis=1)] += whole - counts.sum(axis=1)
    return counts
