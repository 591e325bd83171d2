"""Finding the preamble of a single carrier whose frequency is not known. NumPy alone.

Two looks. The first multiplies each symbol by the conjugate of the one or two before it, and correlates the products
with the preamble's: an offset turns all of them by the same small angle, so one correlation serves all offsets. The
second goes over the few places that pass: of the received symbols times the conjugates of the preamble's it takes the
periodogram, whose peak over all offsets is the generalised likelihood ratio of a preamble in white noise.

Sources: products of symbols: Z. Y. Choi and Y. H. Lee, "Frame synchronization in the presence of frequency offset",
IEEE Trans. Commun. 50 (2002) 1062-1065. The peak of a periodogram: D. C. Rife and R. R. Boorstyn, "Single-tone
parameter estimation from discrete-time observations", IEEE Trans. Inf. Theory 20 (1974) 591-598.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Reals, Samples
from semlink.phy.waveform.layout import PREAMBLE, preamble
from semlink.phy.waveform.pulse import Pulse
from semlink.phy.waveform.sync import energy, share, tone_threshold, window_sum

_RATE, _ROUGH_RATE = 4, 2
"""Samples per symbol behind the matched filter, whatever the signal has; and for looks that others go over."""
_MISMATCH = 0.08
"""Cycles per symbol by which a matched filter may be off: it costs 0.24 dB at a roll-off of 0.25."""
_LAGS = (1, 2)
"""Symbols between the factors of a product; the second turns by up to 1 radian, a third would tell nothing more."""
_LOOSE = 1e-2
"""Probability that noise passes the first look."""
_POINTS = 512
"""Of the periodogram over a cycle per symbol."""
_NEAR = 0.6
"""Of the threshold, what a preamble between two places and two points of the periodogram still has."""
_FLOOR = 1e-6
"""Of the largest energy: below it products are rounding."""


class Found(NamedTuple):
    """Places in a block where there may be a preamble, (m,); in samples, rising.

    Attributes:
        places: of its first symbol.
        shares: of the energy behind the matched filter that it explains.
        strengths: the energy explained.
    """

    places: NDArray[np.intp]
    shares: Reals
    strengths: Reals


@dataclass(frozen=True)
class PreambleSearch:
    """Looks for the preamble at all offsets up to `reach`.

    Attributes:
        pulse: of each symbol.
        samples: of a block.
        reach: cycles per sample.
        false_alarm: probability that noise passes, at each place.
    """

    pulse: Pulse
    samples: int
    reach: float
    false_alarm: float

    @cached_property
    def threshold(self) -> float:
        """Of the share of the energy."""
        width = 2 * self._half_width * len(self._centres)
        return tone_threshold(PREAMBLE, width, self.false_alarm, pieces=len(self._centres))

    def find(self, samples: Samples, first: int, count: int) -> Found:
        """What passes at the places from `first` on.

        Args:
            samples: (samples,), without a constant.
            first: place.
            count: of places; what is behind the last one must reach to the end of its preamble.
        """
        spectrum = np.fft.fft(samples)
        parts = [self._search(spectrum, centre, first, count) for centre in self._centres]
        places, shares, strengths = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(places, kind="stable")
        return Found(places[order], shares[order], strengths[order])

    @property
    def _sps(self) -> int:
        return self.pulse.samples_per_symbol

    @cached_property
    def _centres(self) -> list[int]:
        """Middles of the ranges of offsets, each with a matched filter, in points of the spectrum."""
        count = math.ceil(self.reach * self._sps / _MISMATCH - 1e-9)
        return [round((2 * i + 1 - count) / count * self.reach * self.samples) for i in range(count)]

    @cached_property
    def _half_width(self) -> float:
        """Cycles per symbol to either side of a middle; a point more, so that the ends are like all others."""
        return self.reach * self._sps / len(self._centres) + 2 / _POINTS

    @cached_property
    def _filter(self) -> NDArray[np.complex64]:
        """Spectrum of the matched filter, (samples,)."""
        half, taps = self.pulse.half, np.zeros(self.samples)
        taps[np.arange(-half, half + 1)] = self.pulse.taps(0.0)[0]
        return np.conj(np.fft.fft(taps)).astype(np.complex64)

    def _search(self, spectrum: Samples, centre: int, first: int, count: int) -> Found:
        step = self._sps / _RATE
        begin, end = math.ceil(first / step), int((first + count - 1) / step)
        places = self._look_roughly(self._matched(spectrum, centre, _ROUGH_RATE), begin, end)
        if not len(places):
            return Found(places, np.zeros(0), np.zeros(0))
        near = np.clip(places[:, None] + np.arange(-1, 2), begin, end).ravel()
        taken = self._matched(spectrum, centre, _RATE)[near[:, None] + _RATE * np.arange(PREAMBLE)]
        strengths = _best_tone(taken * _sent().conj(), self._half_width, _POINTS)
        shares = share(strengths, energy(taken).sum(axis=1))
        passed = shares > self.threshold
        places = np.clip(np.rint(near[passed] * step), first, first + count - 1).astype(np.intp)
        return Found(places, shares[passed], strengths[passed])

    def _matched(self, spectrum: Samples, centre: int, rate: int) -> Samples:
        """Behind the matched filter, with the carrier at `centre` turned back, at `rate` a symbol."""
        count = self.samples // self._sps * rate
        kept = min(self.samples, count) // 2
        turned = np.roll(spectrum, -centre) if centre else spectrum
        narrow = np.zeros(count, dtype=np.complex64)
        for part in (slice(0, kept), slice(-kept, None)):
            narrow[part] = turned[part] * self._filter[part]
        return np.fft.ifft(narrow)

    def _look_roughly(self, y: Samples, begin: int, end: int) -> NDArray[np.intp]:
        """Places from `begin` to `end`, at `_RATE` a symbol, near which there may be a preamble; y at `_ROUGH_RATE`."""
        step, stride = _RATE // _ROUGH_RATE, _ROUGH_RATE
        offset = -(-begin // step)
        y = y[offset : end // step + (PREAMBLE - 1) * stride + 1]
        places = self._first_look(y, stride)
        taken = y[places[:, None] + stride * np.arange(PREAMBLE)]
        straight = taken * _sent().conj()
        # Two by two: the periodogram is half as long, and the largest offset costs 0.3 dB.
        explained = _best_tone(straight[:, ::2] + straight[:, 1::2], 2 * self._half_width, _POINTS // 4) / 2
        shares = share(explained, energy(taken).sum(axis=1))
        return (places[shares > _NEAR * self.threshold] + offset) * step

    def _first_look(self, y: Samples, stride: int) -> NDArray[np.intp]:
        """Where products of symbols look like the preamble's; of y at `stride` samples a symbol, (n,)."""
        count, size = len(y) - (PREAMBLE - 1) * stride, 1 << (len(y) - 1).bit_length()
        products = np.zeros((2 * len(_LAGS), size), dtype=y.real.dtype)
        for row, lag in enumerate(_LAGS):
            product = y[lag * stride :] * y[: len(y) - lag * stride].conj()
            products[2 * row, : len(product)] = product.real
            products[2 * row + 1, : len(product)] = product.imag
        found = np.fft.irfft((np.fft.rfft(products) * _product_combs(size, stride)).sum(axis=0), size)[:count]
        total = window_sum(energy(y), PREAMBLE, stride)
        return np.flatnonzero(found > self._level * (total + _FLOOR * np.max(total, initial=0.0)))

    @cached_property
    def _level(self) -> float:
        """Of the sum of products over the energy; about Gaussian under noise, of which `_LOOSE` passes."""
        passing = max(_LOOSE, 10 * self.false_alarm)
        return NormalDist().inv_cdf(1 - passing) * math.sqrt(sum(PREAMBLE - lag for lag in _LAGS) / 2) / PREAMBLE


@lru_cache(maxsize=8)
def _product_combs(size: int, stride: int) -> Samples:
    """Conjugate spectra of the preamble's products, real and imaginary part of each lag, (2 · lags, size // 2 + 1)."""
    sent, combs = _sent(), np.zeros((2 * len(_LAGS), size))
    for row, lag in enumerate(_LAGS):
        product = sent[lag:] * sent[:-lag].conj()
        combs[2 * row, : len(product) * stride : stride] = product.real
        combs[2 * row + 1, : len(product) * stride : stride] = product.imag
    return np.conj(np.fft.rfft(combs)).astype(np.complex64)


def _best_tone(values: Samples, half_width: float, points: int) -> Reals:
    """How much of the energy of each row of values (m, n) a tone explains, (m,).

    Args:
        values: (m, n).
        half_width: frequencies tried to either side of 0, in cycles per value.
        points: of the periodogram, in a cycle per value.
    """
    reach = math.ceil(half_width * points)
    spectrum = np.fft.fft(values, points)[:, np.arange(-reach, reach + 1)]
    explained: Reals = energy(spectrum).max(axis=1, initial=0.0) / values.shape[1]
    return explained


@lru_cache(maxsize=1)
def _sent() -> NDArray[np.complex64]:
    return np.tile(preamble(), 2)
