"""Frames to samples and back, for whatever carries the samples. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform import (
    BurstHeader,
    BurstReceiver,
    Reassembled,
    Reassembler,
    ReceivedBurst,
    Samples,
    Waveform,
    split,
)

PATIENCE = 1 << 19
"""Samples without a burst after which frames that lack segments are given up."""


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
    """What goes on with its image: sender and sequence, and how it arrived."""
    header = frame.header
    return {
        "sender": header.sender,
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
        patience: samples without a burst after which frames that lack segments are given up.
        heard: is told of each burst.

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
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience={patience} must be 1 or more")
        self.bursts = BurstReceiver(waveform)
        self.patience = patience
        self._frames = Reassembler(max_symbols=max_symbols)
        self._heard = heard
        self._quiet = 0

    def push(self, samples: Samples) -> list[HeardFrame]:
        """Take samples (n,); the frames that are complete or given up.

        Raises:
            ValueError: samples out of shape.
        """
        bursts = self.bursts.push(samples)
        self._quiet = 0 if bursts or self.bursts.receiving else self._quiet + len(samples)
        frames = self._join(bursts)
        return [*frames, *self._give_up()] if self._quiet > self.patience else frames

    def flush(self) -> list[HeardFrame]:
        """End the stream; the frames that are left, with what they have."""
        return [*self._join(self.bursts.flush()), *self._give_up()]

    def _join(self, bursts: list[ReceivedBurst]) -> list[HeardFrame]:
        for burst in bursts:
            self._heard(burst)
        return [HeardFrame.of(frame) for burst in bursts for frame in self._frames.push(burst)]

    def _give_up(self) -> list[HeardFrame]:
        return [HeardFrame.of(frame) for frame in self._frames.flush()]
