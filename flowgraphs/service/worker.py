"""`semlink worker`: the service behind a ZeroMQ socket, for flowgraphs that come and go.

The main thread has the socket: it takes requests in, refuses what it must and sends replies out, whatever is being
computed meanwhile. A thread of its own runs batches of what waits.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from semlink.flowgraphs.protocol import (
    ADDRESS,
    MAX_PART,
    MalformedPduError,
    Pdu,
    Scalar,
    error_reply,
    import_zmq,
    keep_alive,
    pack,
    unpack,
    with_id,
)
from semlink.flowgraphs.service.jobs import Job, read_job
from semlink.flowgraphs.service.service import Service
from semlink.flowgraphs.specs import check_count
from semlink.neural import zoo
from semlink.phy.link import Codec

QUEUE = 64
"""Requests that wait at most; more are refused."""
QUEUE_BYTES = 1 << 29
"""Bytes of the requests that wait, at most, unless one alone has more."""
AT_ONCE = 64
"""Messages that are taken in before anything else is looked at."""
LINGER_MS = 2000
"""For how long replies on their way out are waited for at the end."""


class _Request(NamedTuple):
    """A job, and who asked for it when."""

    client: bytes
    job: Job
    arrived: float


class _Reply(NamedTuple):
    """What a request gives, ready to send."""

    request: _Request
    parts: list[bytes]
    refused: bool


class Worker:
    """A service behind a ROUTER socket: every reply goes to the client that asked.

    Args:
        service: encodes and decodes; a thread of this worker uses it from `run` on.
        address: to listen on, as ZeroMQ has it; port * is one that is free.
        queue: requests that wait, at most.

    Attributes:
        address: where it listens.

    Raises:
        ValueError: an address that is in use or cannot be, a limit below 1, or pyzmq is not installed.
    """

    def __init__(self, service: Service, address: str = ADDRESS, *, queue: int = QUEUE) -> None:
        if queue < 1:
            raise ValueError(f"queue={queue} must be 1 or more")
        self._zmq, self._service, self._most = import_zmq(), service, queue
        self._context = self._zmq.Context()
        self._line = self._context.socket(self._zmq.ROUTER)
        self.address = self._listen(address)
        self._ears, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self._ears.setblocking(False)
        self._work = threading.Condition()  # guards what waits, what is under way and `_stopping`
        self._waiting: dict[int, _Request] = {}
        self._under_way = 0
        self._stopping = False
        self._done: deque[list[_Reply]] = deque()
        self._count = 0

    def run(self, *, report_s: float | None = None, report: Callable[[str], object] = print) -> None:
        """Serve until `stop` is called, finish what was taken in, send the replies and close.

        Args:
            report_s: seconds from one report to the next; None for none.
            report: is told how the worker does.
        """
        computing = threading.Thread(target=self._compute, name="semlink-compute", daemon=True)
        computing.start()
        poller = self._zmq.Poller()
        for end in (self._line, self._ears):
            poller.register(end, self._zmq.POLLIN)
        due = time.monotonic() + (report_s or 0)
        while not self._is_through():
            poller.poll(None if report_s is None else max(0, round(1000 * (due - time.monotonic()))))
            with suppress(BlockingIOError):
                self._ears.recv(4096)
            self._take_in()
            self._send_out()
            if report_s is not None and time.monotonic() >= due:
                due = time.monotonic() + report_s
                report(self.line())
        computing.join()
        self.close()

    def stop(self) -> None:
        """Take no more requests; `run` returns when those taken in have their replies. For signal handlers, too."""
        self._stopping = True
        self._ring()

    def line(self) -> str:
        """How it does, for people."""
        return f"{self._service.record.line()}; {len(self._waiting)} waiting"

    def status(self) -> dict[str, Scalar]:
        """How it does, by name; "cpu_s" is processor time of the whole process, in seconds."""
        now = {"queue": len(self._waiting), "under_way": self._under_way, "cpu_s": time.process_time()}
        return {**now, **self._service.record.summary()}

    def close(self) -> None:
        """Let go of the socket; replies that were sent still go out."""
        self._line.close()
        self._context.term()
        self._service.close()
        self._bell.close()
        self._ears.close()

    def _listen(self, address: str) -> str:
        zmq, line = self._zmq, self._line
        line.setsockopt(zmq.LINGER, LINGER_MS)
        line.setsockopt(zmq.MAXMSGSIZE, MAX_PART)
        line.setsockopt(zmq.RCVHWM, AT_ONCE)
        line.setsockopt(zmq.SNDHWM, 4 * self._most)
        line.setsockopt(zmq.ROUTER_MANDATORY, 1)  # or replies to clients that are gone would vanish without a word
        keep_alive(zmq, line)
        try:
            line.bind(address)
        except zmq.ZMQError as error:
            line.close()
            self._context.term()
            raise ValueError(f"address {address!r}: {error}; such as {ADDRESS}") from None
        return str(line.getsockopt_string(zmq.LAST_ENDPOINT))

    def _take_in(self) -> None:
        for _ in range(AT_ONCE):
            try:
                client, *parts = self._line.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                return
            self._take(client, parts)
        self._ring()  # there may be more

    def _take(self, client: bytes, parts: list[bytes]) -> None:
        id: Scalar | None = None
        try:
            pdu = unpack(parts)
            id = pdu.meta.get("id")
            if pdu.meta.get("op") == "status":
                self._send(client, pack(with_id(Pdu({"op": "status", **self.status()}), id)))
                return
            self._enqueue(_Request(client, read_job(pdu), time.perf_counter()))
        except ValueError as error:
            id = error.id if isinstance(error, MalformedPduError) else id
            self._service.record.refused += 1
            self._send(client, pack(with_id(error_reply(str(error)), id)))

    def _enqueue(self, request: _Request) -> None:
        with self._work:
            if self._stopping:
                raise ValueError("the worker is about to stop")
            held = sum(waiting.job.size for waiting in self._waiting.values())
            if len(self._waiting) >= self._most or (held and held + request.job.size > QUEUE_BYTES):
                raise ValueError(f"the queue is full: {len(self._waiting)} requests of {held} bytes wait; try again")
            self._count += 1
            self._waiting[self._count] = request
            self._work.notify()

    def _send_out(self) -> None:
        record, now = self._service.record, time.perf_counter()
        while self._done:
            replies = self._done.popleft()
            record.batches.append(len(replies))
            for reply in replies:
                record.count(reply.request.job.op, now - reply.request.arrived, refused=reply.refused)
                self._send(reply.request.client, reply.parts)

    def _send(self, client: bytes, parts: list[bytes]) -> None:
        try:
            self._line.send_multipart([client, *parts], self._zmq.NOBLOCK)
        except self._zmq.ZMQError as error:
            self._service.record.undelivered += 1
            if error.errno == self._zmq.EHOSTUNREACH:
                self._forget(client)

    def _forget(self, client: bytes) -> None:
        """Drop what waits for a client that is gone."""
        with self._work:
            gone = [key for key, request in self._waiting.items() if request.client == client]
            for key in gone:
                del self._waiting[key]
        self._service.record.dropped += len(gone)

    def _is_through(self) -> bool:
        with self._work:
            return self._stopping and not (self._waiting or self._under_way or self._done)

    def _compute(self) -> None:
        while batch := self._next_batch():
            replies = self._service.run([request.job for request in batch])
            self._done.append([_reply(*pair) for pair in zip(batch, replies, strict=True)])
            with self._work:
                self._under_way = 0
            self._ring()

    def _next_batch(self) -> list[_Request]:
        """What is to be done next, once there is something; nothing when the worker stops and all is done."""
        with self._work:
            # A signal handler cannot notify, for what it interrupts may hold the lock: look now and then.
            while not self._waiting and not self._stopping:
                self._work.wait(0.2)
            if not self._waiting:
                return []
            keys = self._service.choose({key: request.job for key, request in self._waiting.items()})
            self._under_way = len(keys)
            return [self._waiting.pop(key) for key in keys]

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already, or the worker has stopped
            self._bell.send(b"\0")


def _reply(request: _Request, reply: Pdu) -> _Reply:
    try:
        return _Reply(request, pack(reply), refused=reply.meta["op"] == "error")
    except MalformedPduError as error:  # such as symbols that are not finite
        refusal = error_reply(f"the codec's result cannot be sent: {error}")
        return _Reply(request, pack(with_id(refusal, request.job.id)), refused=True)


def run_worker(
    *, address: str, batch: int, queue: int, threads: int | None, codecs: Sequence[str], report_s: float | None
) -> None:
    """`semlink worker`.

    Raises:
        ValueError: an option that cannot be, or an address that is in use.
    """
    for option, count in (("--batch", batch), ("--queue", queue), ("--threads", threads)):
        check_count(option, count, 1)
    if report_s is not None and not 0.1 <= report_s <= 1e6:
        raise ValueError(f"--report {report_s:g} must be from 0.1 to 1e6 seconds")
    own, named = split_own(codecs)
    service = Service(batch=batch, threads=threads, own=own)
    worker = Worker(service, address, queue=queue)
    try:
        for name in named:
            service.preload(name)
    except ValueError as error:
        worker.close()
        raise ValueError(f"--codec {error}") from error
    _stop_on_signals(worker)
    print(f"semlink worker: listening on {worker.address}", flush=True)
    worker.run(report_s=report_s, report=lambda line: print(f"semlink worker: {line}", file=sys.stderr, flush=True))
    print(f"semlink worker: stopped; {worker.line()}", flush=True)


def split_own(codecs: Sequence[str]) -> tuple[dict[str, Codec], list[str]]:
    """The user's own codecs, loaded, from "user:48=FOLDER/NAME", and the names of all.

    Raises:
        ValueError: no such files, or weights that are not those of the card.
    """
    own: dict[str, Codec] = {}
    names = []
    for text in codecs:
        if match := re.fullmatch(r"(user:\d+)=(.+)", text):
            path = Path(match[2])
            own[match[1]] = zoo.load_run(path.parent, path.name.removesuffix(".safetensors"))
        names.append(match[1] if match else text)
    return own, names


def _stop_on_signals(worker: Worker) -> None:
    """The first signal lets the worker finish what it has; the second ends the process."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
