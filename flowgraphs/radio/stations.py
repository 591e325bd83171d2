"""Frames to samples and back, for whatever carries the samples. NumPy alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform import (
    BurstHeader,
    BurstReceiver,
    Excerpt,
    Reassembled,
    Reassembler,
    ReceivedBurst,
    Samples,
    Seen,
    SeenFrame,
    Waveform,
    draw_transmission,
    find_hints,
    split,
)

PATIENCE = 1 << 19
"""Samples without a burst after which frames that lack segments are given up."""
_LATEST = 64
"""Frames that are told one by one."""
_NUMBERS = 256
"""Frames until their numbers repeat."""


class Identity:
    """Numbers the transmission in a transmitter's headers, so that its frames are never put together with others'.

    A number is drawn at once, another by `renew`, and another still before a frame whose header says what that of one
    of the last 255 did: two sources, say, that both number from 0. A header that has a number already keeps it.

    Args:
        seed: of the numbers; below 0 they differ every time.
    """

    def __init__(self, seed: int = -1) -> None:
        if not isinstance(seed, int) or seed >= 1 << 63:
            raise ValueError(f"seed={seed!r} must be a whole number below 2^63")
        self._rng = np.random.default_rng(seed if seed >= 0 else None)
        self._given: deque[BurstHeader] = deque(maxlen=_NUMBERS - 1)
        self.number = draw_transmission(self._rng)

    def renew(self) -> None:
        """Begin another transmission."""
        self.number = draw_transmission(self._rng)
        self._given.clear()

    def stamp(self, header: BurstHeader) -> BurstHeader:
        """A frame's header with the number."""
        if header.transmission:
            return header
        key = replace(header, segment=0, segments=1)
        if key in self._given:
            self.renew()
        self._given.append(key)
        return replace(header, transmission=self.number)


class HeardFrame(NamedTuple):
    """A frame as far as it was received.

    Attributes:
        header: of its first segment; with the symbols, all that a decoder has to know.
        symbols: (n,); 0 where erased.
        n0: noise variance of each, (n,); `semlink.phy.waveform.burst.ERASED` where nothing arrived.
        lost: segments that did not arrive.
        esno_db: mean over the others; NaN if there are none.
    """

    header: BurstHeader
    symbols: NDArray[np.complex64]
    n0: NDArray[np.float32]
    lost: int
    esno_db: float

    @classmethod
    def of(cls, frame: Reassembled) -> HeardFrame:
        """What a `Reassembler` hands out."""
        arrived = frame.esno_db[np.isfinite(frame.esno_db)]
        esno_db = float(np.mean(arrived)) if len(arrived) else float("nan")
        return cls(frame.header, frame.symbols, frame.n0, len(frame.lost), esno_db)


def tail(waveform: Waveform) -> int:
    """Samples of silence behind a burst after which a receiver has handed it out, however late it looks."""
    return 2 * waveform.block + waveform.head + waveform.spread


def describe_frame(frame: HeardFrame) -> dict[str, int | float]:
    """What goes on with its image: sender, transmission and sequence, and how it arrived."""
    header = frame.header
    return {
        "sender": header.sender,
        "transmission": header.transmission,
        "sequence": header.sequence,
        "lost": frame.lost,
        "segments": header.segments,
        "esno_db": frame.esno_db,
    }


def frame_samples(
    waveform: Waveform, header: BurstHeader, symbols: Samples, *, segment: int = 4096, gap: int = 256
) -> list[NDArray[np.complex64]]:
    """The bursts of a frame, each with a gap behind it.

    Args:
        waveform: of the bursts.
        header: of the frame.
        symbols: (n,).
        segment: payload symbols of a burst at most.
        gap: samples of silence.
    """
    silence = np.zeros(gap, dtype=np.complex64)
    return [np.concatenate([waveform.modulate(*part), silence]) for part in split(symbols, header, longest=segment)]


class FrameReceiver:
    """A stream of samples to frames: `BurstReceiver`, then `Reassembler`.

    Args:
        waveform: of the bursts.
        max_symbols: of a frame; longer ones are dropped.
        patience: samples without a burst, from the end of one to the begin of the next, after which frames that lack
            segments are given up.
        heard: is told of each burst.
        integers: whether the samples were integers before, as of `BurstReceiver`.

    Raises:
        ValueError: a limit below 1.
    """

    def __init__(
        self,
        waveform: Waveform,
        *,
        max_symbols: int = 1 << 22,
        patience: int = PATIENCE,
        heard: Callable[[ReceivedBurst], None] = lambda burst: None,  # noqa: ARG005
        integers: bool = False,
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience={patience} must be 1 or more")
        self.bursts = BurstReceiver(waveform, integers=integers)
        self.patience = patience
        self._frames = Reassembler(max_symbols=max_symbols)
        self._heard = heard
        self._end = 0.0  # of the latest burst, in the stream
        self._excerpt = Excerpt()
        self._handed_out = self._segments = self._missing = 0
        self._latest: deque[SeenFrame] = deque(maxlen=_LATEST)

    def seen(self, *, rate_hz: float | None = None, hints: bool = False) -> Seen:
        """What it has seen until now.

        Args:
            rate_hz: samples per second; None where that is not known.
            hints: whether to find out, where no burst was received, what the samples may be; a second or two.
        """
        seen = self.bursts.seen()
        return replace(
            seen,
            rate_hz=rate_hz,
            received=seen.received - self._frames.too_long,
            too_long=seen.too_long + self._frames.too_long,
            frames=self._handed_out,
            segments=self._segments,
            missing=self._missing,
            repeated=self._frames.dropped - self._frames.too_long,
            latest=tuple(self._latest),
            hints=self._hints(seen) if hints and not self.bursts.counts.headers_read else (),
        )

    def _hints(self, seen: Seen) -> tuple[str, ...]:
        versions = [why for why in seen.headers_failed if why.startswith("version")]
        if versions:
            return (f"headers of {' and '.join(versions)} are of another release of semlink, and not read",)
        return find_hints(self._excerpt.take(), self.bursts.waveform)

    def push(self, samples: Samples) -> list[HeardFrame]:
        """Take samples (n,); the frames that are complete or given up.

        Raises:
            ValueError: samples out of shape.
        """
        bursts = self.bursts.push(samples)
        if not self.bursts.counts.headers_read:
            self._excerpt.push(samples)
        return [*self._join(bursts), *self._give_up_before(self.bursts.settled)]

    def flush(self) -> list[HeardFrame]:
        """End the stream; the frames that are left, with what they have."""
        return [*self._join(self.bursts.flush()), *self._give_up()]

    def _join(self, bursts: list[ReceivedBurst]) -> list[HeardFrame]:
        frames = []
        for burst in bursts:
            self._heard(burst)
            frames += self._give_up_before(burst.start)
            frames += [self._note(frame) for frame in self._frames.push(burst)]
            self._end = burst.start + burst.samples
        return frames

    def _give_up_before(self, place: float) -> list[HeardFrame]:
        """What lacks segments, if there was no burst for too long before a sample, however the stream was cut."""
        return self._give_up() if place - self._end > self.patience else []

    def _give_up(self) -> list[HeardFrame]:
        return [self._note(frame) for frame in self._frames.flush()]

    def _note(self, frame: Reassembled) -> HeardFrame:
        header, missing = frame.header, len(frame.lost)
        self._handed_out += 1
        self._segments += header.segments - missing
        self._missing += missing
        told = header.transmission, header.sender, header.sequence, header.codec, header.segments, missing
        self._latest.append(SeenFrame(*told))
        return HeardFrame.of(frame)
