"""Frames of symbols split over bursts, and put together again with what is lost marked as erased. NumPy alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import ERASED, ReceivedBurst, Samples
from semlink.phy.waveform.header import BurstHeader, segment_bounds


class Segment(NamedTuple):
    """What one burst carries: its header, and symbols (header.count,)."""

    header: BurstHeader
    symbols: Samples


@dataclass(frozen=True)
class Reassembled:
    """A frame as far as it arrived.

    Attributes:
        header: that of its first segment.
        symbols: (header.symbols,); 0 where erased.
        n0: noise variance of each, (header.symbols,); `ERASED` where nothing arrived.
        lost: segments that did not arrive.
        esno_db: of each segment, (header.segments,); NaN of a lost one.
    """

    header: BurstHeader
    symbols: NDArray[np.complex64]
    n0: NDArray[np.float32]
    lost: tuple[int, ...]
    esno_db: NDArray[np.float64]


def split(symbols: Samples, header: BurstHeader, *, longest: int = 4096) -> list[Segment]:
    """Split a frame into as few segments as there can be, of lengths that differ by one at most.

    Args:
        symbols: of the frame, (n,); an empty frame is one empty segment.
        header: of the frame; `segment`, `segments` and `symbols` are set here.
        longest: symbols in a segment at most.

    Raises:
        ValueError: symbols out of shape, `longest` below 1, or more segments than a header can number.
    """
    if np.ndim(symbols) != 1:
        raise ValueError(f"symbols have shape {np.shape(symbols)}; they must be (n,)")
    if longest < 1:
        raise ValueError(f"longest={longest} must be 1 or more")
    n = len(symbols)
    whole = replace(header, segment=0, segments=max(1, -(-n // longest)), symbols=n)
    parts = []
    for i in range(whole.segments):
        start, stop = segment_bounds(n, whole.segments, i)
        parts.append(Segment(replace(whole, segment=i), symbols[start:stop]))
    return parts


class Reassembler:
    """Puts segments together in whatever order, and from however many frames at a time, they arrive.

    Frames are told apart by all that their headers say but for the segment: the number of the transmission above all,
    so that segments of two that number their frames alike never meet. Of a segment that arrives twice the better one
    stays. A frame that lacks segments is given up, and handed out with what it has, when `patience`
    bursts have arrived since its last or `most` other frames are open.

    Args:
        patience: bursts.
        most: frames that are open at a time.
        max_symbols: of a frame; longer ones are dropped: a header alone must not take memory.

    Raises:
        ValueError: a limit below 1.
    """

    def __init__(self, *, patience: int = 64, most: int = 8, max_symbols: int = 1 << 23) -> None:
        for name, value in (("patience", patience), ("most", most), ("max_symbols", max_symbols)):
            if value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")
        self.patience, self.most, self.max_symbols = patience, most, max_symbols
        self.dropped = 0
        """Bursts of frames that were handed out already, or too long."""
        self.too_long = 0
        """Those of them that were too long."""
        self._open: dict[BurstHeader, _Open] = {}
        self._done: deque[BurstHeader] = deque(maxlen=2 * most)
        self._bursts = 0

    def push(self, burst: ReceivedBurst) -> list[Reassembled]:
        """Take a burst.

        Returns:
            Frames that are complete or given up, the latter first.
        """
        self._bursts += 1
        key = replace(burst.header, segment=0)
        released = [self._close(old) for old, one in list(self._open.items()) if self._late(one) and old != key]
        if key in self._done or key.symbols > self.max_symbols:
            self.dropped += 1
            self.too_long += key.symbols > self.max_symbols
            return released
        if key not in self._open and len(self._open) >= self.most:
            released.append(self._close(min(self._open, key=lambda one: self._open[one].last)))
        frame = self._open.setdefault(key, _Open(key))
        frame.take(burst, self._bursts)
        return [*released, self._close(key)] if not frame.lost else released

    def flush(self) -> list[Reassembled]:
        """Give up the frames that are open, the oldest first; whatever comes next belongs to a new one."""
        released = [self._close(key) for key in list(self._open)]
        self._done.clear()
        return released

    def _late(self, frame: _Open) -> bool:
        return self._bursts - frame.last > self.patience

    def _close(self, key: BurstHeader) -> Reassembled:
        self._done.append(key)
        frame = self._open.pop(key)
        return Reassembled(key, frame.symbols, frame.n0, frame.lost, frame.esno_db)


class _Open:
    """A frame that lacks segments."""

    def __init__(self, header: BurstHeader) -> None:
        self.header, self.last = header, 0
        self.symbols = np.zeros(header.symbols, dtype=np.complex64)
        self.n0 = np.full(header.symbols, ERASED, dtype=np.float32)
        self.esno_db = np.full(header.segments, np.nan)
        self._quality = np.full(header.segments, np.inf)

    @property
    def lost(self) -> tuple[int, ...]:
        """Segments that have not arrived."""
        return tuple(np.flatnonzero(np.isinf(self._quality)).tolist())

    def take(self, burst: ReceivedBurst, now: int) -> None:
        """Keep the burst unless there is a better one of its segment."""
        self.last, i = now, burst.header.segment
        noise = float(np.mean(burst.n0)) if len(burst.n0) else 0.0
        if noise >= self._quality[i]:
            return
        start, stop = segment_bounds(self.header.symbols, self.header.segments, i)
        self.symbols[start:stop], self.n0[start:stop] = burst.symbols, burst.n0
        self._quality[i], self.esno_db[i] = noise, burst.esno_db
