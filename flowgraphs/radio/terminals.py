"""The two ends of a link for the command line: frames to samples somewhere else, and back. NumPy and pyzmq alone.

A transmitter takes frames; a receiver hands them out. What lies between is a file, a socket that stands in for the air,
or a radio (`semlink.flowgraphs.radio.radios`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import import_zmq
from semlink.flowgraphs.radio.line import Line
from semlink.flowgraphs.radio.recordings import check_path, now, open_recording, recording_of, write_recording
from semlink.flowgraphs.radio.stations import FrameReceiver, HeardFrame, Identity, frame_samples, tail
from semlink.phy.waveform import BurstHeader, Samples, Seen, Waveform

AIR = "tcp://127.0.0.1:5557"
"""Where a simulated transmitter's samples are to be had."""
WAIT_S = 1.0
"""After which it is told what is waited for."""
_PIECE = 1 << 15
_HIGH_WATER = 16
_LOOK_MS = 200


class Transmitter(Protocol):
    """Takes frames; those that have no number of a transmission get its own."""

    def send(self, header: BurstHeader, symbols: Samples) -> None:
        """Send a frame; waits while too many are under way."""
        ...

    def close(self, *, whole: bool = True) -> None:
        """Send what is left, and end; what is not `whole` is given up instead."""
        ...


class Receiver(Protocol):
    """Hands out frames."""

    def frames(self) -> Iterator[HeardFrame | None]:
        """Frames as they come; None now and then, so that time limits can be kept."""
        ...

    def seen(self) -> Seen:
        """What it has seen until now, with hints where no burst was received; after `close` as well."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class FileTransmitter:
    """Frames to a recording, which is written by `close`.

    Args:
        path: SigMF or raw.
        waveform: of the bursts.
        rate_hz: of the samples, for the description; 0 if not known.
        carrier_hz: likewise.
        seed: of the number of the transmission; below 0 it differs every time.
    """

    def __init__(
        self,
        path: Path | str,
        waveform: Waveform,
        *,
        rate_hz: float = 0.0,
        carrier_hz: float = 0.0,
        seed: int = -1,
    ) -> None:
        self.identity = Identity(seed)
        self.path, self.waveform = check_path(path, writing=True), waveform
        self.rate_hz, self.carrier_hz = rate_hz, carrier_hz
        self._pieces: list[NDArray[np.complex64]] = [np.zeros(tail(waveform) // 8, dtype=np.complex64)]

    def send(self, header: BurstHeader, symbols: Samples) -> None:
        """Append a frame's samples."""
        self._pieces += frame_samples(self.waveform, self.identity.stamp(header), symbols)

    def close(self, *, whole: bool = True) -> None:
        """Write the recording, if it is `whole`."""
        if not whole:
            return
        samples = np.concatenate(self._pieces)
        name = type(self.waveform).__name__
        recording = recording_of(
            samples,
            rate_hz=self.rate_hz,
            carrier_hz=self.carrier_hz,
            waveform=name,
            captured=now(),
            hardware="none: the samples were computed",
        )
        write_recording(self.path, recording)


class SimTransmitter:
    """Frames to a socket from which any one receiver takes their samples; waits while nobody does, and says so.

    Args:
        address: to bind to, as ZeroMQ has it.
        waveform: of the bursts.
        seed: of the number of the transmission; below 0 it differs every time.
        tell: takes words on what is waited for.

    Raises:
        ValueError: an address that cannot be bound to.
    """

    def __init__(
        self, address: str, waveform: Waveform, *, seed: int = -1, tell: Callable[[str], object] = lambda _: None
    ) -> None:
        self.identity = Identity(seed)
        self.waveform, self._zmq = waveform, import_zmq()
        self._address, self._tell, self._told = address, tell, False
        self._context = self._zmq.Context()
        self._socket = _open(self._context, self._zmq.PUSH, address, bind=True)

    def send(self, header: BurstHeader, symbols: Samples) -> None:
        """Send a frame's samples."""
        for samples in frame_samples(self.waveform, self.identity.stamp(header), symbols):
            self._put(samples.tobytes())

    def close(self, *, whole: bool = True) -> None:
        """Send the end of the stream, and wait until it is taken; or give it up where it is not `whole`."""
        if whole:
            self._put(b"")
        self._socket.close(linger=-1 if whole else 0)
        ending = threading.Thread(target=self._context.term, daemon=True)
        ending.start()
        ending.join(WAIT_S)
        if ending.is_alive():
            self._tell(f"waiting until the receiver at {self._address} has taken what was sent")
        while ending.is_alive():
            ending.join(WAIT_S)  # and not for ever: Ctrl-C is looked for in between

    def _put(self, piece: bytes) -> None:
        if not self._told and not self._socket.poll(round(1e3 * WAIT_S), self._zmq.POLLOUT):
            self._told = True
            self._tell(f"waiting for a receiver at {self._address}")
        self._socket.send(piece)


class SampleReceiver:
    """Samples to frames, through a simulated line if there is one.

    Args:
        pieces: of the stream: complex (n,); None where there is nothing just now.
        waveform: of the bursts.
        line: what the samples go through first; None for nothing.
        rate_hz: samples per second; None where that is not known.
        integers: whether the samples were integers before, whose full scale is known.
    """

    def __init__(
        self,
        pieces: Iterator[Samples | None],
        waveform: Waveform,
        line: Line | None,
        *,
        rate_hz: float | None = None,
        integers: bool = False,
    ) -> None:
        self._pieces, self._line = pieces, line
        self._receiver = FrameReceiver(waveform, integers=integers and line is None)
        self._tail, self._rate_hz = tail(waveform), rate_hz

    def seen(self) -> Seen:
        """What it has seen until now, with hints where no burst was received."""
        return self._receiver.seen(rate_hz=self._rate_hz, hints=True)

    def frames(self) -> Iterator[HeardFrame | None]:
        """Frames as they come, and those that are left at the end; None while there is nothing."""
        for piece in self._pieces:
            if piece is None:
                yield None
            else:
                yield from self._receiver.push(self._line.push(piece) if self._line else piece)
        if self._line:  # what is still on its way comes out
            yield from self._receiver.push(self._line.push(np.zeros(self._tail, dtype=np.complex64)))
        yield from self._receiver.flush()

    def close(self) -> None:
        """Nothing is open."""


class SimReceiver(SampleReceiver):
    """Takes the samples of `SimTransmitter`s, burst after burst as they come: the frames of several are kept apart.

    Args:
        address: where they are, as ZeroMQ has it, between commas.
        waveform: of the bursts.
        line: what lies between.
        lasting: whether it goes on when all have ended, for those that come after them at the same addresses.
        tell: takes words on what is waited for.

    Raises:
        ValueError: an address that cannot be.
    """

    def __init__(
        self,
        address: str,
        waveform: Waveform,
        line: Line | None,
        *,
        lasting: bool = False,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._zmq = import_zmq()
        self._context = self._zmq.Context()
        first, *others = self._addresses = [one.strip() for one in address.split(",")]
        self._socket = _open(self._context, self._zmq.PULL, first, bind=False)
        for other in others:
            _join(self._context, self._socket, other, bind=False)
        self._lasting, self._tell = lasting, tell
        super().__init__(self._take(), waveform, line)

    def _take(self) -> Iterator[Samples | None]:
        running, quiet_since = len(self._addresses), time.monotonic()
        told = False
        while running or self._lasting:
            if not self._socket.poll(_LOOK_MS):
                if not told and time.monotonic() - quiet_since > WAIT_S:
                    self._tell(f"waiting for a transmitter at {', '.join(self._addresses)}")
                    told = True
                yield None
                continue
            piece, told = self._socket.recv(), True
            if piece:
                yield np.frombuffer(piece[: len(piece) // 8 * 8], dtype=np.complex64)
            else:
                running -= 1
                yield np.zeros(self._tail, dtype=np.complex64)  # so that its last burst comes out at once

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close(linger=0)
        self._context.term()


def file_receiver(path: Path | str, waveform: Waveform, line: Line | None) -> SampleReceiver:
    """Frames of a recording.

    Raises:
        ValueError: not a recording.
        OSError: no such file.
    """
    recording = open_recording(path)
    pieces = recording.pieces(_PIECE)
    return SampleReceiver(pieces, waveform, line, rate_hz=recording.rate_hz, integers=recording.integers)


def _open(context: Any, kind: int, address: str, *, bind: bool) -> Any:  # noqa: ANN401 - zmq is imported late
    line = context.socket(kind)
    line.set_hwm(_HIGH_WATER)
    _join(context, line, address, bind=bind)
    return line


def _join(context: Any, line: Any, address: str, *, bind: bool) -> None:  # noqa: ANN401
    try:
        (line.bind if bind else line.connect)(address)
    except Exception as error:
        line.close(linger=0)
        context.term()
        raise ValueError(f"address={address!r}: {error}; such as {AIR}") from None
