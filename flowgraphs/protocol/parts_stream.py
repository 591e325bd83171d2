"""Messages of several parts over a local stream socket, without waiting: what the worker and its front talk over."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Generator, Sequence
from itertools import islice

Part = bytes | memoryview
"""A part of a message, as it lies in memory."""
_AT_ONCE = 16  # buffers handed to the system in one call
_READS = 256  # calls of the system before anything else has its turn


class PartsStream:
    """One end of a stream. What was put in goes out as the other end takes it; one thread at a time.

    Args:
        end: of a pair of stream sockets; it is this object's from now on.

    Attributes:
        is_open: whether the other end is there, as far as has been noticed.
        waiting: bytes that are still to go out.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self.is_open, self.waiting = True, 0
        self._out: deque[memoryview] = deque()
        self._whole: list[list[Part]] = []
        self._reading = self._read()
        self._room = memoryview(next(self._reading))

    def fileno(self) -> int:
        """For a poller."""
        return self._end.fileno()

    def put(self, parts: Sequence[Part]) -> None:
        """Send a message, or as much of it as goes now. Nothing happens when the other end is gone."""
        if not self.is_open:
            return
        views = [memoryview(part).cast("B") if len(part) else memoryview(b"") for part in parts]
        head = struct.pack(f">H{len(views)}Q", len(views), *(view.nbytes for view in views))
        for view in (memoryview(head), *views):
            if view.nbytes:
                self._out.append(view)
                self.waiting += view.nbytes
        self.flush()

    def flush(self) -> None:
        """Send as much of what waits as goes now."""
        try:
            while self._out:
                self._drop(self._end.sendmsg(list(islice(self._out, _AT_ONCE))))
        except BlockingIOError:
            pass
        except OSError:
            self._lose()

    def take(self) -> list[list[Part]]:
        """The messages that have come whole, if any; some may be left for the next call."""
        try:
            for _ in range(_READS):
                count = self._end.recv_into(self._room)
                if not count:
                    self._lose()
                    break
                self._room = self._room[count:]
                if not self._room.nbytes:
                    self._room = memoryview(next(self._reading))
        except BlockingIOError:
            pass
        except OSError:
            self._lose()
        whole, self._whole = self._whole, []
        return whole

    def close(self) -> None:
        """Let go of the socket."""
        self._lose()
        self._end.close()

    def _lose(self) -> None:
        self.is_open = False
        self._out.clear()
        self.waiting = 0

    def _drop(self, sent: int) -> None:
        self.waiting -= sent
        while sent:
            first = self._out.popleft()
            if sent < first.nbytes:
                self._out.appendleft(first[sent:])
            sent = max(0, sent - first.nbytes)

    def _read(self) -> Generator[bytearray]:
        """What is to be filled next, message after message."""
        while True:
            yield (head := bytearray(2))
            yield (lengths := bytearray(8 * int.from_bytes(head)))
            parts = [bytearray(length) for (length,) in struct.iter_unpack(">Q", lengths)]
            yield from (part for part in parts if part)
            self._whole.append([memoryview(part).toreadonly() for part in parts])
