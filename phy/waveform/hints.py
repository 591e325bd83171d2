"""What a stream may be, in which a receiver has found nothing that it could read. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Reals, Samples, Waveform
from semlink.phy.waveform.loopback import resample
from semlink.phy.waveform.ofdm import OfdmWaveform
from semlink.phy.waveform.receiver import BurstReceiver, checked
from semlink.phy.waveform.single_carrier import SingleCarrier
from semlink.phy.waveform.sync import energy, turn

LONGEST = 1 << 17
"""Samples that are looked at."""
_BINS = 1024
_COARSE = 64
"""Bins of a spectrum in which noise alone looks flat."""
_FLAT = 1.4
"""Ratio of the largest of them to the smallest, up to which it does; 2048 spectra are averaged, which leaves 2 %."""
_TONE = 0.5
"""Share of the energy in one place of the spectrum from which on a tone is named."""
_PIECE = 1 << 14
_REFUSED, _NOTHING = 10, 100
"""Headers that failed, and places without a burst, after which no better ones are waited for."""
_NEAR = 1e-3
"""Carrier offset in cycles per sample that needs no hint."""


class Excerpt:
    """Keeps the strongest of the stretches of `LONGEST` samples that a stream is cut into."""

    def __init__(self) -> None:
        self._best: NDArray[np.complex64] = np.zeros(0, dtype=np.complex64)
        self._strength = 0.0
        self._open: list[Samples] = []
        self._length = 0

    def push(self, samples: Samples) -> None:
        """Take samples (n,)."""
        while len(samples):
            room = LONGEST - self._length
            self._open.append(checked(samples[:room])[0])
            self._length += len(self._open[-1])
            samples = samples[room:]
            if self._length == LONGEST:
                self._best, self._strength = self._stronger()
                self._open, self._length = [], 0

    def take(self) -> NDArray[np.complex64]:
        """The strongest until now, (n,); what the receiver takes for 0 is 0."""
        return self._stronger()[0]

    def _stronger(self) -> tuple[NDArray[np.complex64], float]:
        if not self._open:
            return self._best, self._strength
        last = np.concatenate(self._open)
        strength = float(np.sum(energy(last), dtype=np.float64))
        return (last, strength) if strength > self._strength or not len(self._best) else (self._best, self._strength)


def find_hints(samples: Samples, waveform: Waveform) -> tuple[str, ...]:
    """What samples may be in which a receiver of this waveform read no header: in words, none where nothing is known.

    Told are a tone or a constant, the flat spectrum of noise, and under what other assumption headers can be read:
    another waveform, another number of samples per symbol, I and Q swapped, a carrier further off, half or twice the
    sample rate. Takes up to a second or two.

    Args:
        samples: (n,), such as those of an `Excerpt`.
        waveform: of the receiver.
    """
    if len(samples) < _BINS or not np.any(samples):
        return ()
    spectrum = _spectrum(samples, _BINS)
    if tone := _tone(spectrum):
        return (tone,)
    for words, other, change in _assumptions(waveform, _centre(spectrum)):
        if _reads(other, change(samples)):
            return (f"headers can be read {words}",)
    coarse = _spectrum(samples, _COARSE)  # a weak burst in much silence looks as flat as noise
    return ("its spectrum is flat, as that of noise",) if np.max(coarse) < _FLAT * np.min(coarse) else ()


_Change = Callable[[Samples], Samples]


def _assumptions(waveform: Waveform, centre: float) -> Iterator[tuple[str, Waveform, _Change]]:
    """Words, the receiver's waveform, and what is done to the samples first."""
    if abs(centre) > _NEAR:
        yield f"with the carrier off by {centre:+.4f} cycles per sample", waveform, lambda x: turn(x, -centre)
    yield "with I and Q swapped", waveform, np.conj
    single = waveform if isinstance(waveform, SingleCarrier) else SingleCarrier()
    if isinstance(waveform, SingleCarrier):
        yield "as OFDM", OfdmWaveform(), _same
    for sps in (4, 8, 2, 3, 5, 6, 7, 10, 12, 16):
        other = replace(single, samples_per_symbol=sps)
        if other != waveform:
            times = {2.0: "twice", 0.5: "half"}.get(sps / single.samples_per_symbol)
            why = f", as at {times} the sample rate" if times and isinstance(waveform, SingleCarrier) else ""
            yield f"as a single carrier of {sps} samples per symbol{why}", other, _same
    for rate, words in ((2.0, "half"), (0.5, "twice")):
        yield f"as OFDM at {words} of this sample rate", OfdmWaveform(), partial(_every, step=rate)


def _same(samples: Samples) -> Samples:
    return samples


def _every(samples: Samples, step: float) -> Samples:
    return resample(samples, np.arange(int(len(samples) / step)) * step)


def _reads(waveform: Waveform, samples: Samples) -> bool:
    """Whether a header is read somewhere."""
    receiver = BurstReceiver(waveform)
    silence = np.zeros(2 * waveform.block + waveform.head, dtype=np.complex64)
    for start in range(0, len(samples), _PIECE):
        piece = samples[start : start + _PIECE]
        receiver.push(piece if start + _PIECE < len(samples) else np.concatenate([piece, silence]))
        if receiver.receiving or receiver.counts.received:
            return True
        if receiver.counts.refused > _REFUSED or receiver.counts.nothing > _NOTHING:
            break
    return False


def _spectrum(samples: Samples, bins: int) -> Reals:
    """Energy by frequency from -0.5 to 0.5 cycles per sample, (bins,), averaged over the samples (n,)."""
    pieces = samples[: len(samples) // bins * bins].reshape(-1, bins) * np.hanning(bins)
    power: Reals = np.fft.fftshift(energy(np.fft.fft(pieces)).mean(axis=0))
    return power


def _tone(spectrum: Reals) -> str:
    """Of a tone that has most of the energy."""
    place = int(np.argmax(spectrum))
    share = float(spectrum[max(place - 2, 0) : place + 3].sum() / spectrum.sum())
    if share < _TONE:
        return ""
    cycles = place / len(spectrum) - 0.5
    what = f"a tone at {cycles:+.3f} cycles per sample" if abs(cycles) > 1.5 / len(spectrum) else "a constant (DC)"
    return f"{100 * share:.0f} % of its energy is {what}"


def _centre(spectrum: Reals) -> float:
    """Middle of what stands above the floor, in cycles per sample."""
    above = np.maximum(spectrum - 2 * np.quantile(spectrum, 0.1), 0)
    above *= above > 0.05 * np.max(above)
    return float(above @ (np.arange(len(spectrum)) / len(spectrum) - 0.5) / max(float(above.sum()), 1e-30))
