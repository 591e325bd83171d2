"""The worker's socket, in a process of its own that can be started again while the worker goes on.

libzmq bounds a part and the whole messages that wait, but not the parts of a message whose end never comes; and where
it finds itself at fault it ends its process. So this process has nothing but the socket: it hands requests on, keeps
what a client is slow to read within bounds, and ends itself when libzmq has taken more memory than it may. The worker
then starts another, and clients ask again. NumPy and pyzmq alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from semlink.flowgraphs.protocol.gate import Gate
from semlink.flowgraphs.protocol.parts_stream import Part, PartsStream
from semlink.flowgraphs.protocol.pdu import MAX_ARRAYS, MAX_HEADER, MAX_PART
from semlink.flowgraphs.protocol.sockets import SILENT_S, import_zmq, keep_alive

TOO_MUCH = 3  # exit status: more than the memory allowed
TOO_MANY = 4  # exit status: a message of too many parts
LINGER_MS = 2000
"""For how long replies on their way out are waited for at the end."""
PARTING_S = 0.5
"""From the last reply to the end: libzmq drops what a client has not read yet when its line goes."""

_AT_ONCE = 256  # parts that are taken in before anything else is looked at
_AHEAD = 1 << 20  # bytes on their way to the worker, beyond which nothing more is taken in
_WHOLE = 2  # whole messages that libzmq keeps for a client, each way
_WATCH_MS, _SOON_MS = 50, 1
_OWNERS = 1 << 16  # routing ids of which the key is remembered, at most


class Limits(NamedTuple):
    """What the socket may hold.

    Attributes:
        request: bytes of a request, all parts together.
        unread: bytes of replies that a client is slow to read, beside the few that libzmq has, unless one alone has
            more; of all clients together four times as many.
        parts: of one message, before the socket is given up.
        memory: bytes of this process, before the socket is given up: two whole requests, as libzmq may hold them, of
            each of five clients.
    """

    request: int = MAX_HEADER + 3 * MAX_PART // 2
    unread: int = 1 << 26
    parts: int = 100_000
    memory: int = 1 << 31


class _Outbox:
    """Replies that a client has not taken yet."""

    def __init__(self) -> None:
        self.replies: deque[list[Part]] = deque()
        self.bytes, self.since = 0, time.monotonic()

    def add(self, parts: list[Part]) -> None:
        self.replies.append(parts)
        self.bytes += _size(parts)

    def pop(self) -> None:
        self.bytes -= _size(self.replies.popleft())
        self.since = time.monotonic()


class Front:
    """A ROUTER socket on one side, the worker on the other.

    To the worker go ["listening", address], ["failed", why], ["request", client, user, parts …], ["refused", client,
    user, why, first part], ["lost", client, how many replies]. From it come ["reply", client, parts …] and ["close"].
    A user is a name where there are keys, else nothing.

    Args:
        worker: the other side.
        address: to listen on, as ZeroMQ has it.
        limits: what may be held.
        keys: folder of the service's keys and those that it lets in; None for anybody.

    Raises:
        ValueError: pyzmq is not installed, or there are no such keys.
        OSError: an address that is in use or cannot be.
    """

    def __init__(self, worker: PartsStream, address: str, limits: Limits, keys: Path | None = None) -> None:
        self._worker, self._limits, self._zmq = worker, limits, import_zmq()
        self._context = self._zmq.Context()
        self._gate = None if keys is None else Gate(self._zmq, self._context, keys)
        self._line = listen(self._zmq, self._context, address, self._gate)
        self._outboxes: dict[bytes, _Outbox] = {}
        self._owners: dict[bytes, str] = {}  # keys by routing id
        self._parts: list[Any] = []  # of the message that is coming in, as far as they are wanted
        self._count = self._bytes = 0
        self._end: float | None = None
        self._sent = 0.0  # when the last reply went out
        worker.put([b"listening", self._line.getsockopt(self._zmq.LAST_ENDPOINT).rstrip(b"\0")])

    def run(self) -> None:
        """Serve until the worker says that it is over, or is gone."""
        while self._worker.is_open and not self._is_through():
            self._wait()
            self._worker.flush()
            self._take_from_worker()
            self._send_out()
            if self._gate:
                self._gate.answer()
            if self._end is None:
                self._take_in()
            if resident_bytes() > self._limits.memory:
                os._exit(TOO_MUCH)
        if self._worker.is_open:
            self._line.close()
            if self._gate:
                self._gate.close()
            self._context.term()

    def _wait(self) -> None:
        zmq, poller = self._zmq, self._zmq.Poller()
        poller.register(self._worker.fileno(), zmq.POLLIN | (zmq.POLLOUT if self._worker.waiting else 0))
        if self._end is None and self._worker.waiting <= _AHEAD:
            poller.register(self._line, zmq.POLLIN)
        if self._gate:
            poller.register(self._gate.socket, zmq.POLLIN)
        now = time.monotonic()  # libzmq does not tell when one client of many can take more
        soon = any(now - box.since < 0.1 for box in self._outboxes.values())
        poller.poll(_SOON_MS if soon else _WATCH_MS // 2 if self._outboxes else _WATCH_MS)

    def _is_through(self) -> bool:
        if self._end is None:
            return False
        now = time.monotonic()
        return now > self._end or (not self._outboxes and now > self._sent + PARTING_S)

    def _take_in(self) -> None:
        for _ in range(_AT_ONCE):
            if self._worker.waiting > _AHEAD:
                return
            try:
                self._add(self._line.recv(self._zmq.NOBLOCK, copy=False))
            except self._zmq.Again:
                return

    def _add(self, frame: Any) -> None:  # noqa: ANN401 - zmq is imported late
        """A part; of a message that has too much in it no more than the first is kept."""
        self._count += 1
        self._bytes += len(frame) if self._count > 1 else 0
        if self._count <= 2 or (self._count <= 2 + MAX_ARRAYS and self._bytes <= self._limits.request):
            self._parts.append(frame)
        else:
            del self._parts[2:]
        if frame.more and self._count > self._limits.parts:
            os._exit(TOO_MANY)
        if not frame.more:
            self._hand_on()
            self._parts, self._count, self._bytes = [], 0, 0

    def _hand_on(self) -> None:
        parts = [frame.buffer for frame in self._parts]
        user, why = self._user()
        if not why and self._count > 2 + MAX_ARRAYS:
            why = f"{self._count - 1} parts; a PDU has 1 … {1 + MAX_ARRAYS}"
        elif not why and self._bytes > self._limits.request:
            why = f"{self._bytes} bytes; a request has at most {self._limits.request}"
        if not why:
            self._worker.put([b"request", parts[0], user.encode(), *parts[1:]])
            return
        first = parts[1] if len(parts[1]) <= MAX_HEADER else b""
        self._worker.put([b"refused", parts[0], user.encode(), why.encode(), first])

    def _user(self) -> tuple[str, str]:
        """Who sent the message, "" where that is not known or there are no keys; and why it is refused, if it is.

        A routing id of the client's choice might be another's, whose replies it would then get. Those of libzmq begin
        with 0, which a client can choose, too; so an id stays with the key that it came with first. What keeps others
        from waiting for a reply at an id, without a word, is that nobody can guess it: see `run_front`.
        """
        if self._gate is None:
            return "", ""
        client, frame = self._parts[0].bytes, self._parts[1]
        name = self._gate.name_of(frame)
        if name is None:
            return "", "your key is not allowed any more"
        if not client.startswith(b"\0"):
            return name, "your key came with a routing id of your own"
        key = frame.get("User-Id")
        if self._owners.setdefault(client, key) != key:
            self._forget(client)
            return name, "your key came with a routing id of your own, which was another's"
        if len(self._owners) > _OWNERS:
            del self._owners[next(iter(self._owners))]
        return name, ""

    def _take_from_worker(self) -> None:
        for what, *rest in self._worker.take():
            if what == b"close":
                self._end = time.monotonic() + LINGER_MS / 1000
            else:
                self._reply(bytes(rest[0]), rest[1:])

    def _reply(self, client: bytes, parts: list[Part]) -> None:
        box = self._outboxes.setdefault(client, _Outbox())
        held = sum(one.bytes for one in self._outboxes.values())
        box.add(parts)
        self._send_to(client, box)
        if client not in self._outboxes:  # it has all, or is not there any more
            return
        if len(box.replies) > 1 and box.bytes > self._limits.unread:
            self._lose(client)
        elif box.replies and held + _size(parts) > 4 * self._limits.unread:
            self._lose(max(self._outboxes, key=lambda one: self._outboxes[one].bytes))

    def _send_out(self) -> None:
        for client, box in list(self._outboxes.items()):
            self._send_to(client, box)
            if client in self._outboxes and time.monotonic() - box.since > SILENT_S:
                self._lose(client)

    def _send_to(self, client: bytes, box: _Outbox) -> None:
        """As many replies as the client takes."""
        while box.replies:
            try:
                self._line.send_multipart([client, *box.replies[0]], self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            except self._zmq.ZMQError:  # it is not there any more
                self._lose(client)
                return
            box.pop()
            self._sent = time.monotonic()
        self._outboxes.pop(client, None)

    def _forget(self, client: bytes) -> None:
        """Drop what waits for a client, here and in the worker."""
        if client in self._outboxes:
            self._lose(client)
        else:
            self._worker.put([b"lost", client, b"0"])

    def _lose(self, client: bytes) -> None:
        lost = self._outboxes.pop(client)
        self._worker.put([b"lost", client, str(len(lost.replies)).encode()])


def listen(zmq: ModuleType, context: Any, address: str, gate: Gate | None = None) -> Any:  # noqa: ANN401
    """A ROUTER socket that holds little for each client, and lets in whom the gate does.

    Raises:
        OSError: an address that is in use or cannot be.
    """
    line = context.socket(zmq.ROUTER)
    line.setsockopt(zmq.LINGER, LINGER_MS)
    line.setsockopt(zmq.MAXMSGSIZE, MAX_PART)
    line.setsockopt(zmq.RCVHWM, _WHOLE)
    line.setsockopt(zmq.SNDHWM, _WHOLE)
    line.setsockopt(zmq.ROUTER_MANDATORY, 1)  # or replies to clients that are gone would vanish without a word
    line.setsockopt(zmq.IPV6, int("[" in address))
    keep_alive(zmq, line)
    if gate:
        gate.guard(line)
    try:
        line.bind(address)
    except zmq.ZMQError as error:
        line.close()
        raise OSError(str(error)) from None
    return line


def resident_bytes() -> int:
    """Memory of this process that is really there, in bytes; the most that it ever was where Linux does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def seed_ids() -> None:
    """Have routing ids begin where nobody can guess: libzmq takes the first from rand(), which it does not seed."""
    with suppress(OSError, AttributeError, TypeError):  # no such libc
        ctypes.CDLL(None).srand(ctypes.c_uint(int.from_bytes(os.urandom(4), "big")))


def run_front(arguments: list[str] | None = None) -> None:
    """The process: file descriptor of the worker's stream, address, limits as JSON and, if any, the folder of keys."""
    seed_ids()
    number, address, limits, *keys = sys.argv[1:] if arguments is None else arguments
    for name in (signal.SIGINT, signal.SIGTERM):  # meant for the worker, which has it finish its work
        signal.signal(name, signal.SIG_IGN)
    worker = PartsStream(socket.socket(fileno=int(number)))
    try:
        front = Front(worker, address, Limits(*json.loads(limits)), Path(keys[0]) if keys else None)
    except (ValueError, OSError) as error:
        worker.put([b"failed", str(error).encode()])
        return
    front.run()
    worker.close()


def _size(parts: list[Part]) -> int:
    return sum(len(part) for part in parts)
