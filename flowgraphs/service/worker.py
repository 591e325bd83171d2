"""`semlink worker`: the service behind a ZeroMQ socket, for flowgraphs that come and go.

The socket is in a process of its own, the front (`semlink.flowgraphs.protocol.worker_front`). Of this process the main
thread takes requests in, refuses what it must and hands replies on, whatever is being computed meanwhile; a thread of
its own runs batches of what waits. When the front ends, another is started: who had asked is connected to it again and
asks again, so that what waited is dropped.
"""

from __future__ import annotations

import json
import math
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from semlink.flowgraphs.protocol import (
    ADDRESS,
    Limits,
    MalformedPduError,
    Part,
    Pdu,
    Scalar,
    cancelled_reply,
    error_reply,
    pack,
    read_allowed,
    read_service,
    unpack,
    with_id,
)
from semlink.flowgraphs.service.board import Board
from semlink.flowgraphs.service.door import Door, check_kind, check_local
from semlink.flowgraphs.service.lanes import Lane, LostError
from semlink.flowgraphs.service.ledger import NOBODY, Ledger, User
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.service import Service
from semlink.flowgraphs.service.trips import read_deadline
from semlink.flowgraphs.service.waiting import JOB_S, Waiting

QUEUE = 64
"""Requests that wait at most; more are refused."""
TOLD = 64
"""Users whose figures are in the status, at most: those who asked last."""
OUT_BYTES = 1 << 28
"""Bytes of replies that the front has not taken, beyond which nothing more is computed."""


END_S = 5.0
"""For how long what nobody waits for any more is waited for at the end."""


class _Reply(NamedTuple):
    """What a request gives, ready to send."""

    request: Request
    parts: list[bytes]
    refused: bool
    cached: bool = False
    pdu: Pdu | None = None


def tell(line: str) -> None:
    """Say how the worker does on standard error."""
    print(f"semlink worker: {line}", file=sys.stderr, flush=True)


class Worker:
    """A service behind a ROUTER socket: every reply goes to the client that asked.

    Args:
        service: encodes and decodes; a thread of this worker uses it from `run` on.
        address: to listen on, as ZeroMQ has it; port * is one that is free.
        queue: requests that wait, at most.
        insecure: listen on addresses that others than this machine reach, too. There is no authentication.
        keys: folder of the service's keys and of those that it lets in, whatever the address; see `make_keys`.
        limits: what the socket may hold.
        seconds: of expected work that waits, at most.
        latency_s: how long a request may take before it is late through waiting for others of its slot.
        board: is told what is to be seen; None for nobody who looks.

    Attributes:
        address: where it listens.

    Raises:
        ValueError: an address that is in use, cannot be or is not of this machine alone, keys that are none, a limit
            below 1, or pyzmq is not installed.
    """

    def __init__(
        self,
        service: Service,
        address: str = ADDRESS,
        *,
        queue: int = QUEUE,
        insecure: bool = False,
        keys: Path | None = None,
        limits: Limits | None = None,
        seconds: float = math.inf,
        latency_s: float = 0.0,
        board: Board | None = None,
    ) -> None:
        _check_address(address, insecure=insecure, keys=keys)
        self._service = service
        self._waiting = Waiting(
            queue,
            seconds=seconds,
            latency_s=latency_s,
            users=service.stages.users,
            threads=service.threads,
            pixels=service.pixels,
        )
        self._keyed = keys is not None
        self._door = Door(address, limits or Limits(), keys)
        self.address = self._door.address
        self._ears, self._bell = socket.socketpair()
        self._bell.setblocking(False)
        self._ears.setblocking(False)
        self._done: deque[tuple[int, list[_Reply]]] = deque()
        self._ledger, self._board = Ledger(), board
        self._cleared = 0  # fronts that have ended
        self._refusal = ""  # why there is no front, as last reported

    def run(self, *, report_s: float | None = None, report: Callable[[str], object] = tell) -> None:
        """Serve until `stop` is called, finish what was taken in, send the replies and close.

        Args:
            report_s: seconds from one report to the next; None for none.
            report: is told how the worker does, and when the socket had to be opened again.
        """
        self._service.concurrent = True
        computing = [
            threading.Thread(target=self._compute, args=[lane], name=f"semlink-compute-{i}", daemon=True)
            for i, lane in enumerate(self._service.lanes)
        ]
        for thread in computing:
            thread.start()
        due = time.monotonic() + (report_s or 0)
        while not self._is_through():
            times = [due] if report_s is not None else []
            times += [self._board.due] if self._board else []
            ends = [self._waiting.expires_in(), *(max(0.0, when - time.monotonic()) for when in times)]
            unseen = JOB_S if len(self._waiting) else None  # what a thread begins meanwhile may have to be given up
            self._wait(min((end for end in (*ends, unseen) if end is not None), default=None))
            with suppress(BlockingIOError):
                self._ears.recv(4096)
            self._door.flush()
            self._take_in()
            self._send_over()
            self._send_out()
            if not self._door.is_open:
                self._open_again(report)
            if self._board and time.monotonic() >= self._board.due:
                rows = self._ledger.rows(self._waiting.held)
                self._board.look(self.status(), rows, self._service.record.timed)
            if report_s is not None and time.monotonic() >= due:
                due = time.monotonic() + report_s
                report(self.line())
        self._join(computing)
        self._send_over()
        self._send_out()
        self.close()

    def stop(self) -> None:
        """Take no more requests; `run` returns when those taken in have their replies. For signal handlers, too."""
        self._waiting.stopping = True
        self._ring()

    def line(self) -> str:
        """How it does, for people."""
        return f"{self._service.record.line()}; {len(self._waiting)} waiting"

    def status(self, user: User | None = None) -> dict[str, Scalar]:
        """How it does, by name; "cpu_s" is processor time, in seconds, "memory_bytes" memory, with the processes of its
        socket and of those who compute for it on this machine; what they share is counted for each.

        "by_user" is JSON, a list of what `semlink.flowgraphs.service.ledger.Figures` has, of the last `TOLD` users who
        asked, or of one user alone.
        """
        front_s, front_bytes = self._door.use()
        now: dict[str, Scalar] = {
            "queue": len(self._waiting),
            "under_way": self._waiting.under_way,
            "users": self._waiting.users,
            "threads": self._service.threads,
            "makes": self._service.makes,
            "build": self._service.build,
            "cpu_s": self._service.cpu_s + front_s,
            "memory_bytes": self._service.memory_bytes + front_bytes,
        }
        users = json.dumps(self._ledger.rows(self._waiting.held, user)[:TOLD])
        return {**now, **self._service.record.summary(), **self._service.stages.summary(), "by_user": users}

    def close(self) -> None:
        """Let go of the socket; replies that were sent still go out."""
        for message in self._door.close():
            self._take(message)
        self._service.close()
        self._bell.close()
        self._ears.close()

    def _wait(self, timeout_s: float | None) -> None:
        """For something from the front, room there, or the bell."""
        with selectors.PollSelector() as selector:
            selector.register(self._ears, selectors.EVENT_READ)
            if self._door.is_open:
                room = selectors.EVENT_WRITE if self._door.waiting else 0
                selector.register(self._door, selectors.EVENT_READ | room)
            selector.select(timeout_s if self._door.is_open else 0.01)

    def _open_again(self, report: Callable[[str], object]) -> None:
        """Another front, once the last one is cleared away; nothing more when the worker is about to stop."""
        if self._cleared < self._door.generation:
            self._cleared = self._door.generation
            self._service.record.dropped += self._waiting.forget()
            listened, why = self._door.clear()
            self._service.record.reopened += listened
            if listened:
                report(f"the socket is opened again: {why}; clients ask again")
            elif why != self._refusal:
                report(f"the socket cannot be opened: {why}; trying again")
            self._refusal = "" if listened else why
        elif not self._waiting.stopping:
            self._door.reopen()

    def _take_in(self) -> None:
        for message in self._door.take():
            self._take(message)

    def _take(self, message: Sequence[Part]) -> None:
        """What the front has to tell."""
        kind, client, *parts = message[0], bytes(message[1]), *message[2:]
        if kind == b"request":
            self._serve(client, bytes(parts[0]).decode(), parts[1:])
        elif kind == b"refused":
            user = bytes(parts[0]).decode() or (NOBODY if self._keyed else client)
            self._refuse(client, user, bytes(parts[1]).decode(), _id_of(parts[2]))
        elif kind == b"lost":
            self._service.record.undelivered += int(bytes(parts[0]))
            self._service.record.dropped += self._waiting.forget(client)

    def _serve(self, client: bytes, name: str, parts: Sequence[Part]) -> None:
        id: Scalar | None = None
        try:
            pdu = unpack(parts)
            id = pdu.meta.get("id")
            op = pdu.meta.get("op")
            if op == "status":
                self._send(client, Pdu({"op": "status", **self.status(name or None)}), id)
            elif op == "cancel":
                self._cancel(client, pdu, id)
            elif self._waiting.knows(client, id):
                self._service.record.replayed += 1  # the request is answered once
            else:
                self._admit(client, name, pdu)
        except ValueError as error:
            self._refuse(client, name or client, str(error), error.id if isinstance(error, MalformedPduError) else id)

    def _admit(self, client: bytes, name: str, pdu: Pdu) -> None:
        now = time.perf_counter()
        job, deadline = self._service.read(pdu), read_deadline(pdu, now)
        self._waiting.add(Request(client, job, now, self._door.generation, deadline, name=name))
        self._ledger.asks(name or client)

    def _cancel(self, client: bytes, pdu: Pdu, id: Scalar | None) -> None:
        if "target" not in pdu.meta:
            raise ValueError("target is missing; it must be the id of the request to be cancelled")
        self._send(client, cancelled_reply(self._waiting.cancel(client, pdu.meta["target"])), id)

    def _refuse(self, client: bytes, user: User, why: str, id: Scalar | None) -> None:
        self._ledger.is_refused(user)
        self._service.record.refused += 1
        if self._board:
            self._board.answered(0.0, refused=True)
        self._send(client, error_reply(why), id)

    def _send(self, client: bytes, pdu: Pdu, id: Scalar | None) -> None:
        self._door.send(client, pack(with_id(pdu, id)))

    def _send_over(self) -> None:
        """Tell who waits for what is not done any more."""
        over = self._waiting.over()
        self._service.record.late_or_cancelled += len(over)
        if over:
            self._done.append((0, [_reply(*pair) for pair in over]))

    def _send_out(self) -> None:
        record, now = self._service.record, time.perf_counter()
        while self._done:
            size, replies = self._done.popleft()
            if size:
                record.batches.append(size)
            for reply in replies:
                taken, how = now - reply.request.arrived, {"refused": reply.refused, "cached": reply.cached}
                record.count(reply.request.job.op, taken, **how)
                self._ledger.is_answered(reply.request.user, taken, **how)
                if self._board:
                    self._show(self._board, reply, taken)
                if reply.request.generation == self._door.generation and self._door.is_open:
                    self._door.send(reply.request.client, reply.parts)
                else:
                    record.undelivered += 1

    def _show(self, board: Board, reply: _Reply, taken: float) -> None:
        board.answered(taken, refused=reply.refused)
        if reply.pdu is not None and "image" in reply.pdu.arrays and reply.request.job.op != "make":
            sent = reply.request.job.trip.image if reply.request.job.trip else None
            failed, codec = bool(reply.pdu.meta.get("failed")), str(reply.pdu.meta.get("codec", ""))
            user = self._ledger.label(reply.request.user)
            board.show(user, codec, taken, sent, reply.pdu.arrays["image"], failed)

    def _join(self, computing: Sequence[threading.Thread]) -> None:
        """Wait for threads to end, but for long only where they work for somebody: what was given up may never end."""
        end = time.monotonic() + END_S
        for thread in computing:
            thread.join(max(0.0, end - time.monotonic()))

    def _is_through(self) -> bool:
        return self._waiting.stopping and self._waiting.is_empty() and not self._done

    def _compute(self, lane: Lane) -> None:
        while batch := self._waiting.next_batch(self._service.choose, lambda: self._door.waiting < OUT_BYTES):
            began, loads = time.perf_counter(), lane.loads
            try:
                outcomes = self._service.run([request.job for request in batch], lane)
            except LostError as error:
                self._is_lost(batch, error, lane)
                continue
            usual = lane.loads == loads
            replies = self._waiting.finish(batch, outcomes, time.perf_counter() - began, usual=usual)
            self._done.append((len(batch), [_reply(*pair) for pair in replies]))
            if replies or any(math.isfinite(request.deadline) for request in batch):
                self._ring()  # to hand on what there is, or to wait no longer than until a deadline
        self._ring()  # what was last to wait may have been too late, which is no batch

    def _is_lost(self, batch: Sequence[Request], error: LostError, lane: Lane) -> None:
        """Have a batch done again, by others at once, since this lane has to be renewed first."""
        self._service.record.lost += error.begun
        replies = self._waiting.put_back(batch, str(error), begun=error.begun)
        self._done.append((0, [_reply(*pair) for pair in replies]))
        self._ring()
        lane.renew(lambda: not self._is_through())

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already, or the worker has stopped
            self._bell.send(b"\0")


def _check_address(address: str, *, insecure: bool, keys: Path | None) -> None:
    """Raise ValueError unless who reaches an address may be let in."""
    if keys is not None and insecure:
        raise ValueError("--insecure and --keys: with keys the service listens on any address; give one of the two")
    if keys is not None:
        check_kind(address)
        read_service(keys)
        read_allowed(keys)
    elif not insecure:
        check_local(address)


def _id_of(first: Part) -> Scalar | None:
    """The "id" of a message of which there is the first part alone."""
    try:
        return unpack([first]).meta.get("id")
    except MalformedPduError as error:
        return error.id


def _reply(request: Request, reply: Pdu) -> _Reply:
    try:
        cached = bool(reply.meta.get("encoded_hit") or reply.meta.get("result_hit"))
        return _Reply(request, pack(reply), refused=reply.meta["op"] == "error", cached=cached, pdu=reply)
    except MalformedPduError as error:  # such as symbols that are not finite
        refusal = error_reply(f"the codec's result cannot be sent: {error}")
        return _Reply(request, pack(with_id(refusal, request.job.id)), refused=True)
