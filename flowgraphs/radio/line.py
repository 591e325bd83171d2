"""The loopback between two radios for a stream that comes in pieces. NumPy alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semlink.flowgraphs.radio.jamming import Jammer, Jamming
from semlink.phy.waveform import Loopback, Samples, resample

REACH = 24
"""Samples to either side of an instant that the interpolator looks at."""


class Line:
    """`semlink.phy.waveform.Loopback` on a stream: what comes out does not depend on how it is cut into pieces.

    Args:
        options: of the loopback; `set` changes them between two pieces, without a jump of clock or carrier.
        seed: of the noise.
        jamming: of a friendly jammer, whose noise is scaled like the signal; None for none.
    """

    def __init__(self, options: Loopback, *, seed: int = 0, jamming: Jamming | None = None) -> None:
        self._jammer = None if jamming is None else Jammer(jamming, seed=seed)
        self._rng = np.random.default_rng(seed)
        self._options, self._taps = options, np.asarray(options.taps, dtype=np.complex64)
        self._echoes = np.zeros(len(options.taps) - 1, dtype=np.complex64)
        # The buffer begins at a sample whose instant is 0; the next output is due at `_due`.
        self._buffer = np.zeros(REACH, dtype=np.complex64)
        self._due = REACH - options.delay % 1
        self._silence = int(options.delay)
        self._turned = 0.0

    def set(
        self,
        *,
        n0: float | None = None,
        cfo: float | None = None,
        ppm: float | None = None,
        phase: float | None = None,
        gain_db: float | None = None,
    ) -> None:
        """Change options; None leaves one as it is.

        Raises:
            ValueError: an option out of range.
        """
        given: dict[str, Any] = {"n0": n0, "cfo": cfo, "ppm": ppm, "phase": phase, "gain_db": gain_db}
        self._options = replace(self._options, **{name: value for name, value in given.items() if value is not None})

    def push(self, samples: Samples) -> NDArray[np.complex64]:
        """What arrives of the next samples (n,): (m,), with m within ±1 of n / (1 + ppm·1e-6) once the line is full."""
        carried = self._clock(self._echo(np.asarray(samples, dtype=np.complex64)))
        noise = self._rng.standard_normal((len(carried), 2), dtype=np.float32).view(np.complex64)[:, 0]
        if self._jammer is not None:
            carried = carried + self._jammer.take(len(carried))
        options = replace(self._options, phase=math.remainder(self._options.phase + self._turned, 2 * math.pi))
        self._turned = math.remainder(self._turned + 2 * math.pi * options.cfo * len(carried), 2 * math.pi)
        return options.receive(carried, noise * np.float32(math.sqrt(0.5)))

    def _echo(self, samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
        if len(self._taps) == 1:
            return samples if self._taps[0] == 1 else samples * self._taps[0]
        history = np.concatenate([self._echoes, samples])
        self._echoes = history[len(samples) :].copy()
        echoed: NDArray[np.complex64] = np.convolve(history, self._taps, mode="valid") if len(samples) else samples
        return echoed

    def _clock(self, samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
        """The samples at the receiver's instants, as far as what the interpolator needs is there."""
        if self._silence:
            samples, self._silence = np.concatenate([np.zeros(self._silence, np.complex64), samples]), 0
        self._buffer = np.concatenate([self._buffer, samples])
        step = 1 + self._options.ppm * 1e-6
        count = max(math.ceil((len(self._buffer) - REACH - self._due) / step), 0)
        if step == 1 and self._due == int(self._due):
            taken = self._buffer[int(self._due) : int(self._due) + count].copy()
        else:
            taken = resample(self._buffer, self._due + step * np.arange(count))
        self._due += step * count
        done = max(int(self._due) - REACH, 0)
        self._buffer, self._due = self._buffer[done:].copy(), self._due - done
        return taken


def to_n0(esno_db: float) -> float:
    """N0 for symbols of unit energy.

    Raises:
        ValueError: outside of -50 to 200 dB.
    """
    if not -50 <= esno_db <= 200:
        raise ValueError(f"esno_db={esno_db!r} must be from -50 to 200 dB")
    return float(10 ** (-esno_db / 10))


def parse_taps(text: str) -> tuple[complex, ...]:
    """An impulse response written with commas.

    Raises:
        ValueError: something that is no number.
    """
    try:
        return tuple(complex(word.replace(" ", "")) for word in text.split(","))
    except ValueError as error:
        raise ValueError(f"taps={text!r} must be numbers between commas, such as '1, 0.2-0.1j'") from error
