"""A receiver that takes a stream of samples in pieces of any size, and hands out the bursts in it. NumPy alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Acquired, ReceivedBurst, Samples, Waveform
from semlink.phy.waveform.levels import LevelMeter
from semlink.phy.waveform.seen import Running, Seen

LARGEST = 1e12
"""Magnitude above which nothing is a sample: sums of its square would be lost in single precision."""


@dataclass
class Counts:
    """What became of the places at which the detector found something.

    Attributes:
        received: bursts handed out.
        headers_read: headers that were believed, whatever became of their bursts.
        headers_failed: bursts whose header was not believed, by reason (`semlink.phy.waveform.header.Refused`); false
            alarms of a single carrier's preamble among them, as rare as its `false_alarm` says.
        nothing: places where the second look found no burst.
        too_long: bursts longer than the receiver takes.
        cut: bursts whose end, or that of their header, was not in the stream.
        spoilt: samples that were taken for 0: not finite, or beyond `LARGEST`.
    """

    received: int = 0
    headers_read: int = 0
    headers_failed: Counter[str] = field(default_factory=Counter)
    nothing: int = 0
    too_long: int = 0
    cut: int = 0
    spoilt: int = 0

    @property
    def refused(self) -> int:
        """Bursts whose header was not believed."""
        return self.headers_failed.total()


def checked(samples: Samples) -> tuple[NDArray[np.complex64], int]:
    """Samples (n,) in single precision, what is not finite or beyond `LARGEST` taken for 0; and how many those were."""
    with np.errstate(over="ignore", invalid="ignore"):  # of double precision
        right: NDArray[np.complex64] = samples.astype(np.complex64)
        good = (np.abs(right.real) <= LARGEST) & (np.abs(right.imag) <= LARGEST)
    right[~good] = 0
    return right, len(good) - int(np.count_nonzero(good))


class BurstReceiver:
    """`push(samples)` returns the bursts that have become complete; which ones and what is in them does not depend on
    how the stream is cut into pieces. One burst at a time: another that begins before the end of one is not seen.

    Args:
        waveform: of the bursts.
        max_symbols: longer payloads are refused: nobody's header makes the receiver wait for long.
        integers: whether the samples were integers before, whose full scale is known to be 1: what was clipped is
            then known too.

    Raises:
        ValueError: `max_symbols` below 0.
    """

    def __init__(self, waveform: Waveform, *, max_symbols: int = 1 << 16, integers: bool = False) -> None:
        if max_symbols < 0:
            raise ValueError(f"max_symbols={max_symbols} must be 0 or more")
        self.waveform, self.max_symbols = waveform, max_symbols
        self.counts, self.levels = Counts(), LevelMeter(integers=integers)
        self._cfo, self._clock_ppm, self._esno_db = Running(), Running(), Running()
        # Places are counted in the buffer, whose first sample is number `_base` of the stream. Before the stream is as
        # much silence as `_forget` keeps before a burst: one may begin with the first sample, or a little earlier.
        before = 2 * waveform.lead
        self._buffer = np.zeros(before, dtype=np.complex64)
        self._base = -before
        self._pieces: list[NDArray[np.complex64]] = []
        self._waiting = 0
        self._scanned = self._next = before
        self._places = np.zeros(0, dtype=np.intp)
        self._strengths = np.zeros(0)
        self._acquired: Acquired | None = None
        self._ended = False

    @property
    def receiving(self) -> bool:
        """Whether it has read the header of a burst and waits for its end."""
        return self._acquired is not None

    @property
    def settled(self) -> int:
        """Number of the sample before which no burst begins that has not been handed out."""
        return self._base + self._first

    @property
    def _first(self) -> int:
        """Where the next burst may begin, in the buffer."""
        first = self._scanned if not len(self._places) else min(self._scanned, int(self._places[0]))
        return first if self._acquired is None else min(first, int(self._acquired.place))

    def seen(self) -> Seen:
        """What it has seen until now; of the last samples only the level, as long as bursts may begin in them."""
        return Seen(
            samples=self.levels.samples,
            spoilt=self.counts.spoilt,
            level_db=self.levels.mean_db,
            peak_db=self.levels.peak_db,
            clipped=self.levels.clipped,
            received=self.counts.received,
            headers_failed=dict(self.counts.headers_failed),
            cut=self.counts.cut,
            too_long=self.counts.too_long,
            cfo=self._cfo.spread,
            clock_ppm=self._clock_ppm.spread,
            esno_db=self._esno_db.spread,
        )

    def push(self, samples: Samples) -> list[ReceivedBurst]:
        """Take samples (n,), complex. One that is not finite is taken for 0, and costs nothing but itself.

        Returns:
            Bursts in the order of the stream.

        Raises:
            ValueError: samples out of shape, or the stream was ended by `flush`.
        """
        if self._ended:
            raise ValueError("push() after flush(): a new stream needs a new BurstReceiver")
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise ValueError(f"samples have shape {samples.shape}; they must be (n,)")
        right, spoilt = checked(samples)
        self.counts.spoilt += spoilt
        self._pieces.append(right)
        self.levels.push(right)
        self._waiting += len(samples)
        # Small pieces are put together first: each look at the buffer has its price.
        if self._waiting < self.waveform.block // 4:
            return []
        return self._advance()

    def flush(self) -> list[ReceivedBurst]:
        """End the stream.

        Returns:
            The bursts left; one whose end is not there is dropped and counted in `counts.cut`.
        """
        if self._ended:
            return []
        end = len(self._buffer) + self._waiting
        self._pieces.append(np.zeros(2 * self.waveform.block + self.waveform.head, dtype=np.complex64))
        bursts = self._advance(end)
        self._ended = True
        return bursts

    def _advance(self, end: int | None = None) -> list[ReceivedBurst]:
        self._buffer = np.concatenate([self._buffer, *self._pieces])
        self._pieces, self._waiting = [], 0
        found: list[ReceivedBurst] = []
        self._scan()
        while self._step(found, end):
            pass
        self._forget()
        return found

    def _scan(self) -> None:
        """Look for bursts in every whole block there is."""
        waveform = self.waveform
        start = self._scanned - waveform.lead
        while start + waveform.block <= len(self._buffer):
            statistic, strength = waveform.score(self._buffer[start : start + waveform.block])
            hits = np.flatnonzero(statistic > waveform.threshold)
            self._places = np.concatenate([self._places, hits + self._scanned])
            self._strengths = np.concatenate([self._strengths, strength[hits]])
            self._scanned += len(statistic)
            start = self._scanned - waveform.lead

    def _step(self, found: list[ReceivedBurst], end: int | None) -> bool:
        """Deal with the next candidate; False where there is none, or not enough of it yet."""
        if self._acquired is None and not self._acquire(end):
            return False
        if self._acquired is None:
            return True
        burst, last = self._acquired, int(self._acquired.place) + self._acquired.samples
        if end is not None and last > end:
            self.counts.cut += 1
            self._move_on(end)
            return True
        if last + self.waveform.lead > len(self._buffer):
            return False
        received = self.waveform.demodulate(self._buffer, burst)
        found.append(replace(received, start=received.start + self._base))
        self._note(received)
        self._move_on(int(burst.place) + received.samples)
        return True

    def _note(self, burst: ReceivedBurst) -> None:
        self.counts.received += 1
        self._cfo.take(burst.cfo)
        self._clock_ppm.take(burst.timing_ppm)
        self._esno_db.take(burst.esno_db)

    def _acquire(self, end: int | None) -> bool:
        """Try the strongest place behind the next one above the threshold; False where that must wait."""
        keep = np.searchsorted(self._places, self._next)
        self._places, self._strengths = self._places[keep:], self._strengths[keep:]
        if not len(self._places) or (end is not None and self._places[0] >= end):
            return False
        limit = int(self._places[0]) + self.waveform.spread
        if self._scanned < limit:
            return False
        place = int(self._places[np.argmax(self._strengths[: np.searchsorted(self._places, limit)])])
        if place + self.waveform.head > len(self._buffer):
            return False
        burst = self.waveform.acquire(self._buffer, place)
        self.counts.headers_read += isinstance(burst, Acquired)
        if isinstance(burst, Acquired) and burst.header.count <= self.max_symbols:
            self._acquired = burst
            return True
        self._next = place + self.waveform.spread
        if isinstance(burst, Acquired):
            self.counts.too_long += 1
        elif burst is None:
            self.counts.nothing += 1
        elif end is not None and place + self.waveform.head > end + self.waveform.lead:
            self.counts.cut += 1
        else:
            self.counts.headers_failed[burst.why] += 1
        return True

    def _move_on(self, place: int) -> None:
        self._acquired, self._next = None, place

    def _forget(self) -> None:
        """Drop what nothing will look at again."""
        drop = max(self._first - 2 * self.waveform.lead, 0)
        self._buffer = self._buffer[drop:].copy()
        self._base += drop
        self._scanned -= drop
        self._next = max(self._next - drop, 0)
        self._places = self._places - drop
        if self._acquired is not None:
            self._acquired = replace(self._acquired, place=self._acquired.place - drop)
