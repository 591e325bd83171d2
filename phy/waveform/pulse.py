"""Root-raised-cosine pulses: shaping, and the matched filter at any instant. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Reals, Samples

PHASES = 256
"""Instants within a sample at which the matched filter is tabulated."""


@dataclass(frozen=True)
class Pulse:
    """A root-raised-cosine pulse of unit energy, cut off on both sides.

    Attributes:
        samples_per_symbol: 2 or more.
        rolloff: above 0, up to 1.
        span: symbols to either side.
    """

    samples_per_symbol: int
    rolloff: float
    span: int

    def shape(self, symbols: Samples) -> NDArray[np.complex64]:
        """Σ_k x_k p(t - k), (n,) to ((n + 2·span)·samples_per_symbol,): symbol 0 at sample span·samples_per_symbol."""
        sps, length = self.samples_per_symbol, 2 * self.span + 1
        padded = np.zeros(len(symbols) + 2 * (length - 1), dtype=np.complex64)
        padded[length - 1 : length - 1 + len(symbols)] = symbols
        # Row j of the taps multiplies the symbol j before, column p is the sample p of a symbol.
        taps = np.zeros(length * sps, dtype=np.float32)
        taps[: self.half * 2 + 1] = self.taps(0.0)[0]
        windows = np.lib.stride_tricks.sliding_window_view(padded, length)[:, ::-1]
        shaped: NDArray[np.complex64] = (np.ascontiguousarray(windows) @ taps.reshape(length, sps)).ravel()
        return shaped[: (len(symbols) + 2 * self.span) * sps]

    def matched(self, samples: Samples, times: Reals) -> NDArray[np.complex64]:
        """Output of the matched filter at `times` in samples, (n,), each at least `half` + 1 from either end."""
        first = np.floor(times)
        phase = np.rint((times - first) * PHASES).astype(np.intp)
        rows, taps = first.astype(np.intp) - self.half, self._bank[phase]
        taken = np.empty(len(times), dtype=np.complex64)
        # Real and imaginary parts by themselves: a product of two types is twice as slow.
        for out, part in ((taken.real, samples.real), (taken.imag, samples.imag)):
            part = np.ascontiguousarray(part, dtype=np.float32)
            windows = np.lib.stride_tricks.sliding_window_view(part, 2 * self.half + 1)
            out[...] = np.einsum("nt,nt->n", windows[rows], taps)
        return taken

    @property
    def half(self) -> int:
        """Samples to either side."""
        return self.span * self.samples_per_symbol

    def taps(self, late: float | Reals) -> NDArray[np.float32]:
        """The pulse, `late` samples late, at samples -half … half: (…, 2·half + 1)."""
        lags = np.arange(-self.half, self.half + 1) - np.atleast_1d(np.asarray(late, dtype=np.float64))[..., None]
        values = root_raised_cosine(lags / self.samples_per_symbol, self.rolloff)
        return (values * self._scale).astype(np.float32)

    @cached_property
    def _scale(self) -> float:
        lags = np.arange(-self.half, self.half + 1) / self.samples_per_symbol
        return float(1 / np.sqrt(np.sum(root_raised_cosine(lags, self.rolloff) ** 2)))

    @cached_property
    def _bank(self) -> NDArray[np.float32]:
        return self.taps(np.arange(PHASES + 1) / PHASES)

    def slope(self, symbols: Samples) -> Samples:
        """Derivative by time, in symbols, of the raised-cosine signal through symbols (n,), at each of them.

        Of symbols that are not known, let 0 stand.
        """
        lags = np.arange(1, 2 * self.span + 1)
        edge = 1 - (2 * self.rolloff * lags) ** 2
        # Where the edge vanishes, l'Hôpital: cos(πx/2) / (1 - x²) tends to π/4 for x = 2αn to 1.
        ratio = np.where(np.abs(edge) > 1e-9, np.cos(np.pi * self.rolloff * lags) / np.where(edge, edge, 1), np.pi / 4)
        right = (-1.0) ** lags / lags * ratio
        kernel = np.concatenate([-right[::-1], [0.0], right])
        derivative: Samples = np.convolve(symbols, kernel)[len(lags) : len(lags) + len(symbols)]
        return derivative


def root_raised_cosine(times: Reals, rolloff: float) -> NDArray[Any]:
    """The pulse at `times` in symbols, of unit energy over all time.

    Source: J. G. Proakis and M. Salehi, "Digital Communications", 5th edition, clause 9.2-3.
    """
    x, a = np.asarray(times, dtype=np.float64), rolloff
    middle, edge = np.abs(x) < 1e-9, np.abs(np.abs(4 * a * x) - 1) < 1e-9
    safe = np.where(middle | edge, 0.1234 / a, x)
    general = np.sin(np.pi * safe * (1 - a)) + 4 * a * safe * np.cos(np.pi * safe * (1 + a))
    general = general / (np.pi * safe * (1 - (4 * a * safe) ** 2))
    at_edge = a / np.sqrt(2) * ((1 + 2 / np.pi) * np.sin(np.pi / 4 / a) + (1 - 2 / np.pi) * np.cos(np.pi / 4 / a))
    return np.where(middle, 1 - a + 4 * a / np.pi, np.where(edge, at_edge, general))
