"""How strong a stream of samples is, and whether its converter was overdriven. NumPy alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.sync import energy

_TOP = 4
"""Values that are kept, the largest there were."""
_PLATEAU = 16
"""Samples that a plateau has at least."""


class LevelMeter:
    """Mean and peak level of samples, and the share of them that was clipped; the same however a stream is cut.

    Full scale is 1 for a real or imaginary part. Of integers, which have a largest value, a sample with a part there is
    clipped. Floats do not tell their converter's: a plateau does, which is the largest part if far more samples have
    it than have the three next to it, and if some are larger in magnitude (the other part goes on: a tone's does not).
    Without a plateau nothing is known.

    Args:
        integers: whether the samples were integers, scaled so that the largest is 1.
    """

    def __init__(self, *, integers: bool = False) -> None:
        self.integers = integers
        self.samples = 0
        self._energy = self._largest = 0.0
        self._full = 0
        self._parts: NDArray[np.float32] = np.zeros(0, dtype=np.float32)  # magnitudes of parts, the largest last
        self._counts = np.zeros(0, dtype=np.int64)

    def push(self, samples: NDArray[np.complex64]) -> None:
        """Take samples (n,), finite."""
        if not len(samples):
            return
        squares = energy(samples)
        self.samples += len(samples)
        self._energy += float(np.sum(squares, dtype=np.float64))
        self._largest = max(self._largest, math.sqrt(float(squares.max())))
        floor = self._parts[0] if len(self._parts) == _TOP else np.float32(0)
        floor = min(floor, np.float32(1)) if self.integers else floor
        strong = np.ascontiguousarray(samples[squares >= floor * floor])  # those alone may have what is looked for
        largest = np.abs(strong.view(np.float32).reshape(-1, 2)).max(axis=1)
        if self.integers:
            self._full += int(np.count_nonzero(largest >= 1))
        parts, counts = np.unique(largest, return_counts=True)
        values, where = np.unique(np.concatenate([self._parts, parts[-_TOP:]]), return_inverse=True)
        total = np.bincount(where.ravel(), np.concatenate([self._counts, counts[-_TOP:]]))
        self._parts, self._counts = values[-_TOP:], total[-_TOP:].astype(np.int64)

    @property
    def mean_db(self) -> float:
        """Mean energy of a sample in dB, 0 where its magnitude is 1: NaN without samples, -inf for zeros alone."""
        return _decibels(self._energy / self.samples) if self.samples else math.nan

    @property
    def peak_db(self) -> float:
        """Of the largest real or imaginary part, in dB, 0 at full scale."""
        return _decibels(float(self._parts[-1]) ** 2) if self.samples else math.nan

    @property
    def clipped(self) -> float | None:
        """Share of samples at full scale or on a plateau; None where that cannot be told."""
        if not self.samples:
            return None
        plateau = self._plateau()
        if plateau or self.integers:
            return max(plateau, self._full) / self.samples
        return None

    def _plateau(self) -> int:
        """Samples on it."""
        if len(self._parts) < _TOP or self._parts[-2] < 0.9 * self._parts[-1]:
            return 0
        most, others = int(self._counts[-1]), int(self._counts[:-1].sum())
        flat = most >= _PLATEAU and most > 2 * others and self._largest > 1.05 * self._parts[-1]
        return most if flat else 0


def _decibels(power: float) -> float:
    return 10 * math.log10(power) if power > 0 else -math.inf
