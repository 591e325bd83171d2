"""OFDM bursts with the carriers of 802.11a, for symbols of any value. NumPy alone.

Two known words, seven words of header, and the payload 48 symbols to a word, four pilots in every word but the first
two. The first word has even carriers only, so that its halves are equal; the second has all.

Sources: IEEE 802.11-2020 clause 17 (carriers, pilots, cyclic prefix); T. M. Schmidl and D. C. Cox, "Robust frequency
and timing synchronization for OFDM", IEEE Trans. Commun. 45 (1997) 1613-1621.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import ERASED, Acquired, Reals, ReceivedBurst, Samples, check_burst
from semlink.phy.waveform.header import CHECKSUM, HEADER_SYMBOLS, BurstHeader, Refused, likely_symbols, read_header
from semlink.phy.waveform.ofdm_response import SPREAD, estimate, estimation_error
from semlink.phy.waveform.ofdm_words import (
    CARRIERS,
    DATA,
    EVEN,
    FFT,
    HEAD,
    HEADER_WORDS,
    PILOTS,
    PREFIX,
    TRAINING,
    WORD,
    header_order,
    header_words,
    known_grid,
    padding,
    scrambling,
    to_samples,
    to_words,
    training,
)
from semlink.phy.waveform.reach import OFDM_REACH
from semlink.phy.waveform.sync import (
    Tracker,
    cfar_threshold,
    energy,
    frequency,
    last_alive,
    local_variance,
    share,
    turn,
    window_sum,
)

_LOOSE = 1e-3
"""Probability that noise passes the first look, which the known words then go over."""
_REACH = 32
"""Samples to either side of a place at which the known words are looked for."""
_SHIFTS = np.arange(-6, 7, 2)
"""Carriers by which the offset may be larger than the first word's halves can tell: they tell up to ±1."""
_BEYOND = 0.25
"""Carriers beyond `OFDM_REACH` that are tried as well: at its ends noise decides which shift is the right one."""
_ATTEMPTS = 4
"""To read a header, each with what the last one thought that it was."""
_CLOCKS = 100e-6
"""Standard deviation of sampling offsets, before anything is known of them."""


@dataclass(frozen=True)
class OfdmWaveform:
    """OFDM bursts; a `Waveform`. Offsets of up to ±5 carriers and echoes within the prefix are borne.

    Args:
        memory: words to either side over which gain and phase are smoothed; less for a worse oscillator.
        false_alarm: probability that noise is taken for the known words, at each sample.

    Raises:
        ValueError: an option out of range.
    """

    _: KW_ONLY
    memory: int = 8
    false_alarm: float = 1e-8

    def __post_init__(self) -> None:
        for name, low, high in (("memory", 1, 1 << 12), ("false_alarm", 1e-15, 1e-3)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}={getattr(self, name)!r} must be from {low:g} to {high:g}")

    # What a transmitter does

    def modulate(self, header: BurstHeader, symbols: Samples) -> NDArray[np.complex64]:
        """Samples of one burst, (words · 80,).

        A symbol of unit energy has unit energy in samples, prefix apart: noise of variance N0 a sample is N0 a symbol.

        Args:
            header: of this segment.
            symbols: of the payload, (header.count,).

        Raises:
            ValueError: another number of symbols than the header has, or some that are not finite.
        """
        check_burst(header, symbols)
        grid = known_grid(header.count, header)
        data = np.concatenate([symbols, padding(header.count)])
        grid[HEAD:, DATA] = data.reshape(-1, len(DATA))
        return to_samples(grid)

    def account(self, symbols: int) -> dict[str, int]:
        """Channel uses of a burst with so many symbols, by purpose: elements of the 52 carriers in use.

        The cyclic prefix and the carriers that stay empty are not counted.
        """
        words = -(-symbols // len(DATA))
        return {
            "payload": symbols,
            "preamble": TRAINING * len(CARRIERS),
            "header": HEADER_SYMBOLS,
            "pilot": (HEADER_WORDS + words) * len(PILOTS),
            "padding": words * len(DATA) - symbols,
        }

    # How a receiver finds a burst

    @property
    def block(self) -> int:
        """Samples that `score` takes."""
        return 8192

    @property
    def lead(self) -> int:
        """Samples needed before a place, which is that of the first word's prefix."""
        return 2 * _REACH

    @property
    def head(self) -> int:
        """Samples from a place to the end of the header, and what timing needs."""
        return HEAD * WORD + 3 * _REACH

    @property
    def spread(self) -> int:
        """The first word's halves look equal as long as its prefix does."""
        return WORD

    @property
    def threshold(self) -> float:
        """Of the correlation from half to half, squared; loose: `acquire` goes over it."""
        return 1 - float(_LOOSE ** (1 / (PREFIX + FFT // 2 - 1)))

    @property
    def reach(self) -> float:
        """Carrier offset up to which bursts are found, to either side, in cycles per sample."""
        return OFDM_REACH

    def score(self, samples: Samples) -> tuple[Reals, Reals]:
        """Correlation over 32 samples (Schmidl and Cox eq. 5 to 8), squared and normalised; and not normalised.

        A moving average over a word is taken away first: it holds what is at the carrier, as DC, and no symbols.
        """
        n = len(samples)
        mean = np.asarray(window_sum(samples, FFT)) / FFT
        centred = samples.astype(np.complex128)
        centred[FFT // 2 : FFT // 2 + len(mean)] -= mean
        lag, length = FFT // 2, PREFIX + FFT // 2
        products = centred[lag:] * centred[:-lag].conj()
        correlation = energy(np.asarray(window_sum(products, length)))[self.lead :]
        sums = window_sum(energy(centred), length)
        mean_energy = np.asarray(sums[: n - lag - length + 1] + sums[lag:][: n - lag - length + 1])[self.lead :] / 2
        count = n - 2 * self.lead - lag - length
        return share(correlation[:count], mean_energy[:count] ** 2), correlation[:count]

    def acquire(self, samples: Samples, place: int) -> Acquired | Refused | None:
        """Offset from halves and from word to word, timing from the known words; then the header.

        Args:
            samples: with `lead` before and `head` behind the place.
            place: of the first word's prefix, roughly.
        """
        first = place - self.lead
        piece = samples[first : place + self.head].astype(np.complex128)
        offset = complex(np.mean(piece[self.lead + WORD : self.lead + HEAD * WORD]))
        piece = piece - offset
        halves = piece[self.lead :][: PREFIX + FFT]
        cfo = float(np.angle(np.vdot(halves[: -FFT // 2], halves[FFT // 2 :]))) / (np.pi * FFT)
        found = self._training(piece, cfo)
        if found is None:
            return None
        start, cfo = found
        words = to_words(turn(piece, -cfo), start, TRAINING)
        both = words[1, EVEN] * words[0, EVEN].conj() * (training()[0] * training()[1].conj())[EVEN]
        cfo += float(np.angle(np.sum(both))) / (2 * np.pi * WORD)
        header = _read_header(to_words(turn(piece, -cfo), start, HEAD))
        if isinstance(header, Refused):
            return header
        length = len(known_grid(header.count)) * WORD
        return Acquired(header, first + start, cfo, offset, length)

    def _training(self, piece: Samples, cfo: float) -> tuple[int, float] | None:
        """Place of the first word's prefix and offset, if both words are there with whatever echoes they have.

        The share of the energy that echoes within a prefix explain is Beta-distributed under noise.
        """
        known, count = to_samples(training())[PREFIX:], 2 * _REACH + PREFIX
        part = piece[self.lead - _REACH + PREFIX :][: len(known) + count - 1]
        # Offsets of whole carriers: each is tried.
        offsets = cfo + _SHIFTS / FFT
        offsets = offsets[np.abs(offsets) <= OFDM_REACH + _BEYOND / FFT]
        turned = np.stack([turn(part, -offset) for offset in offsets])
        spectrum = np.fft.fft(turned, 512) * np.conj(np.fft.fft(known, 512))
        echoes = np.lib.stride_tricks.sliding_window_view(np.fft.ifft(spectrum)[:, :count], PREFIX, axis=1)
        explained = np.einsum("slp,pq,slq->sl", echoes.conj(), _echo_inverse(), echoes, optimize=True).real
        statistic = share(explained, window_sum(energy(part), len(known) + PREFIX - 1))
        row, best = np.unravel_index(np.argmax(explained), explained.shape)
        if statistic[row, best] < cfar_threshold(PREFIX, len(known) + PREFIX - 1, self.false_alarm):
            return None
        windows = energy(echoes[row]).sum(axis=1)
        column = int(np.argmax(windows))
        # As long as the window holds all echoes its energy stays the same: its middle leaves room on both sides.
        near = np.flatnonzero(windows > 0.97 * windows[column])
        near = near[np.abs(near - column) < PREFIX]
        start = self.lead - _REACH + round(float(np.mean([near[0], near[-1]])))
        return start, float(offsets[row])

    # What it makes of it

    def demodulate(self, samples: Samples, burst: Acquired) -> ReceivedBurst:
        """The payload, tracked by pilots.

        Args:
            samples: with `lead` before the burst and behind it.
            burst: as `acquire` found it in them.
        """
        return _Demodulation(self, samples, burst).run()


@lru_cache(maxsize=1)
def _echo_inverse() -> Samples:
    """Inverse of the inner products of the known words' echoes, sample after sample, (16, 16)."""
    known = to_samples(training())[PREFIX:].astype(np.complex128)
    delayed = np.stack([np.pad(known, (i, PREFIX - 1 - i)) for i in range(PREFIX)])
    inverse: Samples = np.linalg.inv(delayed.conj() @ delayed.T)
    return inverse


class _Demodulation:
    """One burst on its way from words to symbols."""

    def __init__(self, waveform: OfdmWaveform, samples: Samples, burst: Acquired) -> None:
        self.waveform, self.burst = waveform, burst
        self.sent = grid = known_grid(burst.header.count, burst.header)
        piece = samples[int(burst.place) :][: len(grid) * WORD]
        self.received = to_words(turn(piece, -burst.cfo), 0, len(grid))
        self.tone = to_words(turn(np.ones(len(piece)), -burst.cfo), 0, len(grid))
        self.words = self.received - burst.offset * self.tone
        self.index = np.arange(len(grid), dtype=np.float64)
        self.phase = np.zeros(len(grid))  # of all carriers of each word, and per carrier
        self.slope = np.zeros(len(grid))
        self.alive = len(grid)

    def run(self) -> ReceivedBurst:
        """Estimate the channel by the head, follow it further and further, and divide by it."""
        for _ in range(3):
            response, n0 = estimate(self.words[:HEAD], self.sent[:HEAD])
            self._remove_constant(response)
        horizon = 4 * HEAD
        while horizon < self.alive:
            self._refine(response, n0, horizon)
            horizon *= 3
        for _ in range(2):
            self._refine(response, n0, self.alive)
            response, n0 = estimate(self._straight(HEAD), self.sent[:HEAD])
        return self._finish(response, n0)

    def _remove_constant(self, response: Samples) -> None:
        """Take out DC, by least squares in what the channel leaves of the head.

        The mean that `acquire` took away held a part of the carrier on which the constant lies, too.
        """
        known = self.sent[:HEAD] != 0
        rest, tone = (self.received[:HEAD] - response * self.sent[:HEAD])[known], self.tone[:HEAD][known]
        self.words = self.received - np.vdot(tone, rest) / np.vdot(tone, tone) * self.tone

    def _straight(self, count: int) -> Samples:
        """The first words with their phases and slopes turned back, (count, 52)."""
        # Powers of one phasor a word, for the carriers from 1 to 26, save most of the exponentials.
        step = np.exp(-1j * self.slope[:count])[:, None]
        right = np.cumprod(np.broadcast_to(step, (len(step), len(CARRIERS) // 2)), axis=1)
        turned = np.concatenate([right[:, ::-1].conj(), right], axis=1) * np.exp(-1j * self.phase[:count])[:, None]
        straight: Samples = self.words[:count] * turned
        return straight

    def _refine(self, response: Samples, n0: float, horizon: int) -> None:
        """Straight lines for phase and slope from the known elements up to the horizon."""
        words, gain, weights, tracker = self._track(response, n0, horizon)
        index = self.index[: len(gain)]
        away = index - np.average(index, weights=weights)
        phases = np.unwrap(np.angle(tracker.smooth(gain)))
        rate = float((weights * away) @ phases / ((weights * away) @ away))
        known = self.sent[: len(gain)] * response
        error = (words * np.exp(-1j * phases)[:, None] * known.conj()).imag
        self.phase += rate * self.index
        self._update_slope(index, error @ CARRIERS, energy(known) @ CARRIERS**2, n0)

    def _update_slope(self, index: Reals, moment: Reals, weight: Reals, n0: float) -> None:
        """Slope and drift by least squares; a priori drifts are small."""
        system = np.array([[np.sum(weight * index ** (i + j)) for i in (0, 1)] for j in (0, 1)], dtype=np.float64)
        prior = n0 / 2 / (WORD * 2 * np.pi / FFT * _CLOCKS) ** 2
        drift = float(self.slope[1] - self.slope[0])
        system[1, 1] += prior
        line = np.linalg.solve(system, np.array([np.sum(moment), np.sum(moment * index) - prior * drift]))
        self.slope += line[0] + line[1] * self.index

    def _track(self, response: Samples, n0: float, horizon: int) -> _Track:
        """Gain of each word up to the horizon beside the response; `alive` shrinks where the signal ends."""
        horizon = min(horizon, self.alive)
        words, known = self._straight(horizon), self.sent[:horizon] * response
        weights = np.sum(energy(known), axis=1) + 1e-30
        gain: Samples = np.sum(words * known.conj(), axis=1) / weights
        tracker = Tracker(self.index[:horizon], weights, self.waveform.memory)
        smoothed = tracker.smooth(gain)
        value = (gain * smoothed.conj()).real / (np.abs(smoothed) + 1e-30)
        last = last_alive(value, np.sqrt(n0 / 2 / weights))
        if last < horizon - 1:
            self.alive = last + 1
            return self._track(response, n0, horizon)
        return _Track(words, gain, weights, tracker)

    def _finish(self, response: Samples, head_n0: float) -> ReceivedBurst:
        header, memory = self.burst.header, self.waveform.memory
        words, gain, _, tracker = self._track(response, head_n0, len(self.sent))
        sent = self.sent[: self.alive]
        channel = tracker.smooth(gain)[:, None] * response
        known = sent != 0
        places = np.nonzero(known)[0]
        squares = energy(words - channel * sent)[known]
        local = local_variance(squares, places, 4 * memory, lost=SPREAD + tracker.parameters)
        variance = local[np.searchsorted(places, np.arange(self.alive))][:, None]
        variance = variance * (1 + estimation_error(response, head_n0) + tracker.error[:, None] * energy(response))
        arrived = slice(0, max(self.alive - HEAD, 0))
        symbols = np.zeros((len(self.sent) - HEAD, len(DATA)), dtype=np.complex64)
        n0 = np.full(symbols.shape, ERASED, dtype=np.float32)
        power = np.maximum(energy(channel), 1e-30)
        symbols[arrived] = (words * channel.conj() / power)[HEAD:, DATA]
        n0[arrived] = np.minimum(variance / power, ERASED)[HEAD:, DATA]
        level, whole = float(np.mean(energy(response))), self.alive == len(self.sent)
        return ReceivedBurst(
            header=header,
            symbols=symbols.ravel()[: header.count],
            n0=n0.ravel()[: header.count],
            start=self.burst.place,
            samples=self.burst.samples if whole else self.alive * WORD,
            cfo=self.burst.cfo + float(self.phase[1] - self.phase[0]) / (2 * np.pi * WORD),
            timing_ppm=float(self.slope[1] - self.slope[0]) * FFT / (2 * np.pi * WORD) * 1e6,
            gain=level**0.5,
            esno_db=float(10 * np.log10(level / max(float(np.mean(local)), 1e-30))),
            complete=whole,
        )


class _Track(NamedTuple):
    """Words turned back, the gain of each beside the channel's response, the weight of that, and the smoothing."""

    words: Samples
    gain: Samples
    weights: Reals
    tracker: Tracker


def _read_header(words: Samples) -> BurstHeader | Refused:
    """The header from words (9, 52) whose offset is nearly right: what is left is told by the pilots.

    Where the CRC fails, the words most likely sent stand for pilots and the header is read again: with the noise of
    two known words alone, every fourth symbol's channel is off too far at 3 dB.
    """
    grid = known_grid(0)
    index = np.arange(HEAD) - (TRAINING - 1) / 2
    response, _ = estimate(words[:TRAINING], grid[:TRAINING])
    header: BurstHeader | Refused = Refused(CHECKSUM)
    for _ in range(_ATTEMPTS):
        sums = np.sum(words * (response * grid).conj(), axis=1)
        rate = frequency(sums, index, centre=0.0, reach=0.1)
        words = words * np.exp(-2j * np.pi * rate * index)[:, None]
        soft = np.zeros(HEADER_SYMBOLS)
        matched = (words * response.conj())[TRAINING:, DATA].ravel()
        soft[header_order()] = (matched * scrambling().conj()).real
        header = read_header(soft)
        if header != Refused(CHECKSUM):
            return header
        grid[TRAINING:, DATA] = header_words(likely_symbols(soft))
        response, _ = estimate(words, grid)
    return header
