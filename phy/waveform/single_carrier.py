"""A single carrier for symbols of any value: root-raised-cosine pulses, and pilots instead of decisions. NumPy alone.

A burst is a preamble of two equal halves, then the header and the payload with a block of pilots after every so many
of their symbols and at the end. Nothing in the receiver decides on a symbol of the payload: the header is read from
preamble and pilots, and once its CRC holds it is as good as pilots itself.

Sources: frequency from known symbols: D. C. Rife and R. R. Boorstyn, "Single-tone parameter estimation from
discrete-time observations", IEEE Trans. Inf. Theory 20 (1974) 591-598. Timing and phase from them: H. Meyr, M.
Moeneclaey and S. A. Fechtel, "Digital Communication Receivers", 1998, chapters 5 and 8.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Acquired, Reals, ReceivedBurst, Samples, check_burst
from semlink.phy.waveform.demodulation import Demodulation
from semlink.phy.waveform.header import HEADER_SYMBOLS, BurstHeader, Refused, read_header
from semlink.phy.waveform.layout import (
    HALF,
    HEADER_BLOCKS,
    PILOTS,
    PREAMBLE,
    known_symbols,
    lay_out,
    preamble,
    scrambling,
)
from semlink.phy.waveform.preamble_search import PreambleSearch
from semlink.phy.waveform.pulse import Pulse
from semlink.phy.waveform.reach import SINGLE_CARRIER_REACH
from semlink.phy.waveform.sync import (
    energy,
    frequency,
    parabola_peak,
    turn,
    without_constant,
)

_AVERAGED = 256
"""Symbols over which a constant is looked for."""
_SLOWEST = 200e-6
"""Sampling offset for which there are samples at the end of a burst: 2 symbols more are there in any case."""


@dataclass(frozen=True)
class SingleCarrier:
    """Bursts on a single carrier; a `Waveform`.

    Args:
        samples_per_symbol: from 2 to 16.
        rolloff: of the pulses, from 0.1 to 1.
        span: symbols of a pulse to either side, from 4 to 32. The residual interference depends on it and the rolloff:
            -59 dB for the defaults.
        memory: symbols to either side over which gain and phase are smoothed; less for a worse oscillator.
        false_alarm: probability that noise passes the detector, at each sample.

    Raises:
        ValueError: an option out of range.
    """

    samples_per_symbol: int = 4
    _: KW_ONLY
    rolloff: float = 0.25
    span: int = 8
    memory: int = 512
    false_alarm: float = 1e-8

    def __post_init__(self) -> None:
        limits = {
            "samples_per_symbol": (2, 16),
            "rolloff": (0.1, 1),
            "span": (4, 32),
            "memory": (32, 1 << 16),
            "false_alarm": (1e-15, 1e-3),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}={getattr(self, name)!r} must be from {low:g} to {high:g}")
        for name in ("samples_per_symbol", "span", "memory"):
            if int(getattr(self, name)) != getattr(self, name):
                raise ValueError(f"{name}={getattr(self, name)!r} must be a whole number")

    # What a transmitter does

    def modulate(self, header: BurstHeader, symbols: Samples) -> NDArray[np.complex64]:
        """Samples of one burst, ((length + 2·span)·samples_per_symbol,), pulse tails included.

        A symbol of unit energy has unit energy in samples: noise of variance N0 a sample is N0 a symbol.

        Args:
            header: of this segment.
            symbols: of the payload, (header.count,).

        Raises:
            ValueError: another number of symbols than the header has, or some that are not finite.
        """
        check_burst(header, symbols)
        layout = lay_out(header.count)
        sent = known_symbols(layout, header)
        sent[layout.payload] = symbols
        return self.pulse.shape(sent)

    def account(self, symbols: int) -> dict[str, int]:
        """Channel uses of a burst with so many symbols, by purpose; "guard" is for the tails of its pulses."""
        pilots = len(lay_out(symbols).pilots)
        return {
            "payload": symbols,
            "preamble": PREAMBLE,
            "header": HEADER_SYMBOLS,
            "pilot": pilots,
            "guard": 2 * self.span,
        }

    # How a receiver finds a burst

    @cached_property
    def pulse(self) -> Pulse:
        """Of each symbol."""
        return Pulse(self.samples_per_symbol, self.rolloff, self.span)

    @property
    def block(self) -> int:
        """Samples that `score` takes."""
        return 2048 * self.samples_per_symbol

    @property
    def lead(self) -> int:
        """Samples needed before a place."""
        return self.pulse.half + 2 * self.samples_per_symbol

    @property
    def head(self) -> int:
        """Samples from a place to the end of the header, and a pulse more."""
        return (PREAMBLE + HEADER_SYMBOLS + HEADER_BLOCKS * PILOTS) * self.samples_per_symbol + self.lead

    @property
    def spread(self) -> int:
        """A burst is seen one half of its preamble early, and again one late."""
        return (HALF + 4) * self.samples_per_symbol

    @property
    def threshold(self) -> float:
        """Of the share of the energy that the preamble explains."""
        return self._search.threshold

    @property
    def reach(self) -> float:
        """Carrier offset up to which bursts are found, to either side, in cycles per sample."""
        return SINGLE_CARRIER_REACH

    @cached_property
    def _search(self) -> PreambleSearch:
        return PreambleSearch(self.pulse, self.block, self.reach, self.false_alarm)

    def score(self, samples: Samples) -> tuple[Reals, Reals]:
        """Share and amount of the energy behind the matched filter that the preamble explains at the best offset.

        Where a first look finds nothing both are 0. A moving average is taken away first: it holds what is at the
        carrier, as DC, and of symbols next to nothing.

        Args:
            samples: (block,).

        Returns:
            The share (`sync.tone_threshold` has its distribution under noise) and the energy at places `lead`,
            `lead` + 1, …, (places,).
        """
        sps, n = self.samples_per_symbol, len(samples)
        count = n - self.lead - self.pulse.half - PREAMBLE * sps
        found = self._search.find(without_constant(samples, _AVERAGED * sps), self.lead, count)
        statistic, strength = np.zeros(count), np.zeros(count)
        np.maximum.at(statistic, found.places - self.lead, found.shares)
        np.maximum.at(strength, found.places - self.lead, found.strengths)
        return statistic, strength

    def acquire(self, samples: Samples, place: int) -> Acquired | Refused:
        """Timing and frequency from the preamble, refined by the pilots in the header; then the header.

        Args:
            samples: with `lead` before and `head` behind the place.
            place: of the first symbol, to within a sample.
        """
        sps, layout = self.samples_per_symbol, lay_out(32)
        first = place - self.lead
        raw = samples[first : place + self.head]
        constant = complex(np.mean(raw))
        raw = raw - np.complex64(constant)
        late, cfo = self._coarse(raw, self.lead - self.pulse.half)
        start = self.lead + late
        piece = turn(raw, -cfo)
        places = np.concatenate([np.arange(PREAMBLE), layout.pilots[: HEADER_BLOCKS * PILOTS], layout.header])
        known = known_symbols(layout)[places[:-HEADER_SYMBOLS]]
        y = self.pulse.matched(piece, start + sps * places)
        # Frequency errors of the preamble are below 4.2e-4 cycles per symbol, one standard deviation, at 0 dB.
        rest = frequency(y[: len(known)] * known.conj(), places[: len(known)], centre=0.0, reach=2.5e-3, points=49)
        y = y * np.exp(-2j * np.pi * rest * places)
        cfo += rest / sps
        start -= self._timing(y[:PREAMBLE], known[:PREAMBLE]) * sps
        y = self.pulse.matched(piece, start + sps * places) * np.exp(-2j * np.pi * rest * places)
        tone = np.exp(-2j * np.pi * cfo * sps * places)
        gain, offset = np.linalg.lstsq(np.stack([known, tone[: len(known)]], 1), y[: len(known)], rcond=None)[0]
        soft = ((y - offset * tone)[-HEADER_SYMBOLS:] * np.conj(gain * scrambling())).real
        header = read_header(soft)
        if isinstance(header, Refused):
            return header
        constant += self._constant(complex(offset), cfo - rest / sps, start)
        return Acquired(header, first + start, cfo, constant, self._samples(lay_out(header.count).length))

    def _samples(self, symbols: int) -> int:
        """To the end of a burst, and what a slow clock adds to a long one: as far as the tail of its last pulse."""
        slip = math.ceil(_SLOWEST * symbols * self.samples_per_symbol) - 2 * self.samples_per_symbol
        return symbols * self.samples_per_symbol + min(max(slip, 0), self.pulse.half)

    def _constant(self, offset: complex, cfo: float, start: float) -> complex:
        """In samples, what is `offset` at `start` behind the matched filter, when they were turned back by `cfo`."""
        half = self.pulse.half
        response = float(self.pulse.taps(0.0)[0] @ np.cos(2 * np.pi * cfo * np.arange(-half, half + 1)))
        return offset * complex(np.exp(2j * np.pi * cfo * start)) / response

    def _coarse(self, samples: Samples, first: int) -> tuple[float, float]:
        """By how many samples the preamble is late, and cycles per sample: where its correlation is strongest.

        The pulses are those of the offset that is tried, so that the largest costs nothing either.

        Args:
            samples: with a symbol more to either side.
            first: of the preamble's pulses, were it not late.
        """
        step, sent = max(round(self.samples_per_symbol / 4), 1), self._shaped
        early = np.arange(-2, 3) * step
        windows = np.stack([samples[first + shift :][: len(sent)] for shift in early.tolist()])
        points = 4 << (len(sent) - 1).bit_length()
        reach = math.ceil(self.reach * points) + 16
        bins = np.arange(-reach, reach + 1)
        power = energy(np.fft.fft(windows * sent.conj(), points)[:, bins])
        best = np.unravel_index(np.argmax(power), power.shape)
        row, column = (min(max(int(one), 1), size - 2) for one, size in zip(best, power.shape, strict=True))
        late = early[row] + step * parabola_peak(power[row - 1 : row + 2, column])
        return float(late), float(bins[column] + parabola_peak(power[row, column - 1 : column + 2])) / points

    @cached_property
    def _shaped(self) -> NDArray[np.complex64]:
        """The preamble's samples, pulse tails included."""
        return self.pulse.shape(np.tile(preamble(), 2))

    def _timing(self, y: Samples, known: Samples) -> float:
        """Symbols by which the samples taken are late, given received and sent (n,)."""
        slope = self.pulse.slope(known)
        gain = np.vdot(known, y) / np.vdot(known, known).real
        return float(np.sum(((y / gain - known) * slope.conj()).real) / np.sum(energy(slope)))

    # What it makes of it

    def demodulate(self, samples: Samples, burst: Acquired) -> ReceivedBurst:
        """The payload, tracked by pilots.

        Args:
            samples: with `lead` before the burst and behind it.
            burst: as `acquire` found it in them.
        """
        return Demodulation(self.pulse, self.memory, self.lead, samples, burst).run()
