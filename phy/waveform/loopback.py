"""What lies between two radios, sample by sample: clocks, carriers, echoes, levels and noise. NumPy alone.

Beside the stages of `semlink.phy.impairments`, which need torch, for GNU Radio's Python and for the loopback of a
waveform.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Reals, Samples

MOST_N0 = 1e6
"""Noise variance of a sample at most: no burst is received at a thousandth of it."""
_SIDE = 24
"""Taps of the interpolator to either side of a sample."""
_PHASES = 512
_KAISER_BETA = 9.0
_PIECE = 1 << 14


@dataclass(frozen=True)
class Loopback:
    """Samples from a transmitter's converter to a receiver's, in this order: echoes, clock, carrier, gain, DC, noise.

    Args:
        n0: noise variance of a sample, relative to a gain of 0 dB: the noise is scaled like the signal.
        cfo: carrier frequency offset in cycles per sample.
        ppm: by how much the receiver's sampling period is too long, in parts per million.
        delay: of the signal, in samples; fractional.
        phase: in radians.
        taps: impulse response at the sample rate.
        gain_db: of all but the constant.
        dc: a constant that is added.

    Raises:
        ValueError: an option that is not finite or out of range.
    """

    _: KW_ONLY
    n0: float = 0.0
    cfo: float = 0.0
    ppm: float = 0.0
    delay: float = 0.0
    phase: float = 0.0
    taps: tuple[complex, ...] = (1.0,)
    gain_db: float = 0.0
    dc: complex = 0.0

    def __post_init__(self) -> None:
        limits = {
            "n0": (0, MOST_N0),
            "cfo": (-0.5, 0.5),
            "ppm": (-1e4, 1e4),
            "delay": (0, 1e6),
            "phase": (-1e3, 1e3),
            "gain_db": (-200, 200),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}={getattr(self, name)!r} must be from {low:g} to {high:g}")
        if not len(self.taps) or not np.isfinite([*self.taps, self.dc]).all():
            raise ValueError(f"taps={self.taps!r} and dc={self.dc!r} must be finite numbers, and one tap at least")

    def __call__(self, samples: Samples, *, rng: np.random.Generator) -> NDArray[np.complex64]:
        """What arrives of samples (n,): (m,), longer by the echoes and the delay."""
        carried = self.carry(samples)
        noise = rng.standard_normal((len(carried), 2), dtype=np.float32).view(np.complex64)[:, 0]
        return self.receive(carried, noise * np.float32(math.sqrt(0.5)))

    def carry(self, samples: Samples) -> NDArray[np.complex64]:
        """Echoes and clock, without anything that is added: (n,) to (m,)."""
        signal = np.asarray(samples, dtype=np.complex64)
        if len(self.taps) > 1 or self.taps[0] != 1:
            signal = np.convolve(signal, np.asarray(self.taps)).astype(np.complex64)
        if self.ppm or self.delay:
            count = math.ceil((len(signal) + self.delay) / (1 + self.ppm * 1e-6))
            signal = resample(signal, np.arange(count) * (1 + self.ppm * 1e-6) - self.delay)
        return signal

    def receive(self, carried: Samples, noise: Samples) -> NDArray[np.complex64]:
        """Carrier, gain and DC, and noise (m,) of unit variance, which is scaled: (m,)."""
        turns = 2 * np.pi * self.cfo * np.arange(len(carried)) + self.phase
        signal = carried * np.exp(1j * turns) if self.cfo or self.phase else carried
        received = 10 ** (self.gain_db / 20) * (signal + math.sqrt(self.n0) * noise) + self.dc
        return np.asarray(received, dtype=np.complex64)


def resample(samples: Samples, times: Reals) -> NDArray[np.complex64]:
    """The signal through samples (n,) at `times` (m,), in samples; zeros lie outside.

    A sinc of 48 taps under a Kaiser window: the error is below -70 dB up to 0.43 of the sample rate, and what lies
    above is lost by and by.
    """
    padded = np.concatenate([np.zeros(2 * _SIDE, np.complex64), samples, np.zeros(2 * _SIDE, np.complex64)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _SIDE)
    bank, out = _bank(), np.empty(len(times), dtype=np.complex64)
    for start in range(0, len(times), _PIECE):
        piece = np.clip(times[start : start + _PIECE], -_SIDE, len(samples) + _SIDE - 1)
        first = np.floor(piece)
        phase = (piece - first) * _PHASES
        below = phase.astype(np.intp)
        right = (phase - below).astype(np.float32)[:, None]
        taps = bank[below] * (1 - right) + bank[below + 1] * right
        out[start : start + _PIECE] = np.einsum("nt,nt->n", windows[first.astype(np.intp) + _SIDE + 1], taps)
    return out


@lru_cache(maxsize=1)
def _bank() -> NDArray[np.float32]:
    """Row p: the taps at samples 1 - _SIDE … _SIDE for a time p / _PHASES, (_PHASES + 1, 2·_SIDE)."""
    away = np.arange(1 - _SIDE, _SIDE + 1) - np.arange(_PHASES + 1)[:, None] / _PHASES
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(1 - (away / _SIDE) ** 2, 0))) / np.i0(_KAISER_BETA)
    return (np.sinc(away) * window).astype(np.float32)
