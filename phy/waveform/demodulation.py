"""One burst on a single carrier from samples to symbols: frequency, its sweep, timing and its drift. NumPy alone.

Known symbols further and further into the burst refine what is known of the oscillators, so that what is left at the
next ones is always small.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import ERASED, Acquired, Reals, ReceivedBurst, Samples
from semlink.phy.waveform.header import HEADER_SYMBOLS
from semlink.phy.waveform.layout import PILOTS, PREAMBLE, SPACING, Nodes, known_symbols, lay_out
from semlink.phy.waveform.pulse import Pulse
from semlink.phy.waveform.sync import Tracker, energy, fit_polynomial, last_alive, local_variance, polynomial, turn

_CLOCKS = 100e-6
"""Standard deviation of sampling offsets, before anything is known of them."""
_SWEEPS = 3e-9
"""Of the frequency's change in cycles per sample, a sample: 3 ppm of 1 GHz in a second, at 1 Msample/s."""
_GROWTH = (3.0, 2.0, 1.5, 1.2)
"""By what the part of the burst that is looked at grows: the first that leaves its end this well known:"""
_LATE = 0.08
"""Symbols by which the timing at its end may be off, one standard deviation."""


class Demodulation:
    """One burst on its way from samples to symbols.

    Args:
        pulse: of each symbol.
        memory: symbols to either side over which gain and phase are smoothed.
        lead: samples that are there before the burst and behind it.
        samples: (n,).
        burst: as it was acquired in them.
    """

    def __init__(self, pulse: Pulse, memory: int, lead: int, samples: Samples, burst: Acquired) -> None:
        self.pulse, self.memory, self.burst, self.sps = pulse, memory, burst, pulse.samples_per_symbol
        self.first = int(burst.place) - lead
        piece = samples[self.first : int(burst.place) + burst.samples + lead]
        self.samples = turn(piece - np.complex64(burst.offset), -burst.cfo)
        self.layout = lay_out(burst.header.count)
        sent = known_symbols(self.layout, burst.header)
        self.known = np.sort(np.concatenate([np.arange(PREAMBLE), self.layout.header, self.layout.pilots]))
        self.sent, self.slope = sent, pulse.slope(sent)
        self.carrier = np.zeros(3)  # cycles; per symbol; half of those per symbol squared
        self.clock = np.zeros(2)  # symbols by which it is late; per symbol
        self.offset = 0j
        self.alive = self.layout.length
        self.nodes = Nodes(self.known)

    def run(self) -> ReceivedBurst:
        """All of it."""
        horizon = PREAMBLE + HEADER_SYMBOLS + 4 * (SPACING + PILOTS)
        while horizon < self.alive:
            horizon = self._grown(horizon, self._refine(horizon))
        self._refine(self.alive)
        return self._finish()

    def _grown(self, horizon: int, clock: Reals) -> int:
        """How far the next look goes, given the covariance of what the last one told of the clock."""
        for factor in _GROWTH:
            grown = int(factor * horizon)
            end = np.array([1, grown])
            if end @ clock @ end <= _LATE**2:
                break
        return grown

    def _observe(self, places: NDArray[np.intp]) -> Samples:
        """Behind the matched filter, at these symbols."""
        times = places + polynomial(self.clock, places)
        within = self.burst.place - self.first + self.sps * times
        # A signal that ended may tell of any clock, and none may ask for samples that are not there.
        y = self.pulse.matched(self.samples, np.clip(within, self.pulse.half, len(self.samples) - self.pulse.half - 2))
        tone = np.exp(-2j * np.pi * self.burst.cfo * self.sps * times)
        straight: Samples = (y - self.offset * tone) * self._turn(places)
        return straight

    def _turn(self, places: NDArray[np.intp]) -> Samples:
        """What takes out the phase that was found, constant apart."""
        turned: Samples = np.exp(-2j * np.pi * polynomial(self.carrier, places))
        return turned

    def _refine(self, horizon: int) -> Reals:
        """Carrier, clock and DC from the known symbols up to the horizon; the covariance of the clock's."""
        known = self._track(horizon)
        places, y, x, gain = known.places, known.y, self.sent[known.places], known.gain
        n0 = max(known.n0 / float(np.mean(energy(gain[: len(self._head)]))), 1e-12)
        slope = self.slope[places]
        moments = ((y / gain - x) * slope.conj()).real
        clock = fit_polynomial(places, energy(slope), moments, n0 / 2, self.clock, np.array([np.inf, _CLOCKS]))
        self.clock = self.clock - clock.change
        tone = np.exp(-2j * np.pi * self.burst.cfo * self.sps * places) * self._turn(places)
        self.offset += complex(np.mean((y - gain * x) * tone.conj()))
        phases = np.unwrap(np.angle(gain)) / (2 * np.pi)
        deviations = np.array([np.inf, np.inf, _SWEEPS * self.sps**2 / 2])
        noise = n0 / 2 / (2 * np.pi) ** 2
        carrier = fit_polynomial(places, np.ones(len(places)), phases, noise, -self.carrier, deviations)
        self.carrier = self.carrier + carrier.change * (0, 1, 1)
        return clock.covariance

    def _track(self, horizon: int) -> _Track:
        """Gain at the known symbols up to the horizon; `alive` shrinks where the signal ends."""
        while True:
            places = self.known[: np.searchsorted(self.known, min(horizon, self.alive))]
            nodes, y = self.nodes.until(len(places)), self._observe(places)
            values = nodes.gains(y, self.sent[places])
            tracker = Tracker(nodes.centres, nodes.weights, self.memory)
            smoothed = tracker.smooth(values)
            gain = tracker.at(smoothed, places)
            head = slice(0, len(self._head))
            n0 = float(np.mean(energy((y - gain * self.sent[places])[head])))
            level = float(np.sqrt(np.mean(energy(gain[head]))))
            value = (values * smoothed.conj()).real / (np.abs(smoothed) * level + 1e-30)
            last = last_alive(value, np.sqrt(n0 / 2 / nodes.weights) / (level + 1e-30))
            if last == len(values) - 1:
                return _Track(places, y, gain, n0, tracker, smoothed)
            self.alive = int(places[nodes.ends[last] - 1]) + 1

    @property
    def _head(self) -> NDArray[np.intp]:
        """Known symbols of preamble and header, pilots among them."""
        return self.known[: PREAMBLE + HEADER_SYMBOLS]

    def _finish(self) -> ReceivedBurst:
        header = self.burst.header
        track = self._track(self.layout.length)
        squares = energy(track.y - track.gain * self.sent[track.places])
        local = local_variance(squares, track.places, max(self.memory, 256), lost=track.tracker.parameters)
        payload = self.layout.payload[: np.searchsorted(self.layout.payload, self.alive)]
        gain = track.tracker.at(track.smoothed, payload)
        error = track.tracker.at(track.tracker.error, payload)
        variance = local[np.searchsorted(track.places, payload)] * (1 + error)
        symbols = np.zeros(header.count, dtype=np.complex64)
        n0 = np.full(header.count, ERASED, dtype=np.float32)
        symbols[: len(payload)] = self._observe(payload) / gain
        n0[: len(payload)] = np.minimum(variance / energy(gain), ERASED)
        level, (late, drift) = float(np.mean(energy(track.smoothed))), self.clock
        middle = self.carrier[1] + self.carrier[2] * self.alive
        return ReceivedBurst(
            header=header,
            symbols=symbols,
            n0=n0,
            start=self.burst.place + self.sps * float(late),
            samples=round(self.alive * self.sps * (1 + drift)),
            cfo=self.burst.cfo + float(middle) / self.sps,
            timing_ppm=float(-drift * 1e6 / (1 + drift)),
            gain=level**0.5,
            esno_db=float(10 * np.log10(level / max(float(np.mean(local)), 1e-30))),
            complete=self.alive == self.layout.length,
        )


class _Track(NamedTuple):
    """Known symbols: where they lie, what was received of them, their gain, noise variance, and the smoothing."""

    places: NDArray[np.intp]
    y: Samples
    gain: Samples
    n0: float
    tracker: Tracker
    smoothed: Samples
