"""Many users of a service, driven from one thread: who asks when, and how it went. NumPy and pyzmq alone."""

from __future__ import annotations

import heapq
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from semlink.flowgraphs.protocol.keys import Keys
from semlink.flowgraphs.protocol.meetings import Meetings
from semlink.flowgraphs.protocol.messages import status_request, with_id
from semlink.flowgraphs.protocol.pdu import Pdu, Scalar, pack, unpack
from semlink.flowgraphs.protocol.sockets import import_zmq
from semlink.flowgraphs.protocol.worker_client import WorkerLockedError

PAUSE_S = 0.02
"""From a refusal to the next request of a user who asks for one image after another."""
SAMPLE_S = 0.2
"""From one look at the service's queue to the next."""
_STATUS = "status"


@dataclass
class Told:
    """What users were told.

    Attributes:
        seconds: from the first request to the last answer.
        latencies_s: of the requests that were served, from request to reply.
        refusals: how often which answer was an error; numbers in it are left out.
        unanswered: requests that got no answer in time.
        encoded_hits, result_hits: answers that came from a cache, wholly or in part.
        failed: images that are a fallback.
        slots: how many users were in the slots of the images.
        queue: requests that waited, each time it was looked at.
        before, after: what the service told of itself.
    """

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    encoded_hits: int = 0
    result_hits: int = 0
    failed: int = 0
    slots: list[int] = field(default_factory=list)
    queue: list[int] = field(default_factory=list)
    before: dict[str, Scalar] = field(default_factory=dict)
    after: dict[str, Scalar] = field(default_factory=dict)

    @property
    def rate_hz(self) -> float:
        """Images a second."""
        return len(self.latencies_s) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """Of the latencies, in milliseconds; NaN where nothing was served."""
        return 1e3 * float(np.percentile(self.latencies_s, share)) if self.latencies_s else math.nan

    def add(self, reply: Pdu, latency_s: float) -> None:
        """Count an answer."""
        if reply.meta.get("op") == "error":
            words = str(reply.meta.get("message")).split(";")[0].split()
            self.refusals[" ".join("N" if any(c.isdigit() for c in word) else word for word in words)] += 1
            return
        self.latencies_s.append(latency_s)
        self.encoded_hits += bool(reply.meta.get("encoded_hit"))
        self.result_hits += bool(reply.meta.get("result_hit"))
        self.failed += bool(reply.meta.get("failed"))
        self.slots.append(int(reply.meta.get("slot", 0)))


class Users:
    """Users of a service, each with a line of its own.

    Args:
        address: of the service, as ZeroMQ has it.
        users: how many.
        ask: the request of a user, by user and number, both from 0.
        seen: is shown each answer, by user and number.
        seed: of the times between requests.
        keys: of the users in turn, for a service that has keys; each is one user to it, however many share one.

    Raises:
        ValueError: an address that cannot be, a number of users outside 1 to 256, or pyzmq is not installed.
    """

    def __init__(
        self,
        address: str,
        users: int,
        ask: Callable[[int, int], Pdu],
        *,
        seen: Callable[[int, int, Pdu], object] = lambda *_: None,
        seed: int = 0,
        keys: Sequence[Keys] = (),
    ) -> None:
        if not 1 <= users <= 256:
            raise ValueError(f"users={users} must be from 1 to 256")
        self._zmq, self._ask, self._seen = import_zmq(), ask, seen
        self._rng = np.random.default_rng(seed)
        self._context = self._zmq.Context()
        given = [keys[i % len(keys)] if keys else None for i in range(users + 1)]
        self._meetings: list[Meetings] = []
        self._lines = [self._line(address, one) for one in given]  # the last asks how the service does
        self._poller = self._zmq.Poller()
        for line in self._lines:
            self._poller.register(line, self._zmq.POLLIN)
        self._number = [0] * users
        self._sent: dict[tuple[int, int], float] = {}
        self._due: list[tuple[float, int]] = []

    def run(self, seconds: float, *, rate_hz: float | None = None, timeout_s: float = 30.0) -> Told:
        """Ask for so many seconds, then wait for the answers.

        Args:
            seconds: for how long.
            rate_hz: requests a second of each user, at times of a Poisson process; None for the next request when the
                answer to the last is there.
            timeout_s: for how long an answer is waited for at the end.

        Raises:
            TimeoutError: the service does not say how it does.
            WorkerLockedError: it does not talk to one of these users.
        """
        told = Told(before=self._status(timeout_s))
        begin = time.perf_counter()
        self._due = [(begin + (self._pause(rate_hz) if rate_hz else 0.0), i) for i in range(len(self._number))]
        heapq.heapify(self._due)
        end, looked, last = begin + seconds, begin, begin
        while True:
            now = time.perf_counter()
            if now < end:
                self._send_due(now, rate_hz)
            if now - looked > SAMPLE_S and now < end:
                looked = now
                self._send(len(self._number), with_id(status_request(), _STATUS))
            if (now >= end and not self._sent) or now > end + timeout_s:
                break
            for user, reply in self._receive(min([now + 0.05, *(due for due, _ in self._due[:1])]) - now):
                last = time.perf_counter()
                self._count(user, reply, last, told, rate_hz)
        told.seconds, told.unanswered = max(last, end) - begin, len(self._sent)
        self._sent.clear()
        told.after = self._status(timeout_s)
        return told

    def close(self) -> None:
        """Hang up."""
        for line, meetings in zip(self._lines, self._meetings, strict=True):
            meetings.close()
            line.close(linger=0)
        self._context.term()

    def _count(self, user: int, reply: Pdu, now: float, told: Told, rate_hz: float | None) -> None:
        if user == len(self._number):
            told.queue.append(int(reply.meta.get("queue", 0)))
            return
        number = reply.meta.get("id")
        sent = self._sent.pop((user, number), None) if isinstance(number, int) else None
        if sent is None:
            return
        assert isinstance(number, int)
        told.add(reply, now - sent)
        self._seen(user, number, reply)
        if rate_hz is None:
            pause = PAUSE_S if reply.meta.get("op") == "error" else 0.0
            heapq.heappush(self._due, (now + pause, user))

    def _send_due(self, now: float, rate_hz: float | None) -> None:
        while self._due and self._due[0][0] <= now:
            due, user = heapq.heappop(self._due)
            number = self._number[user]
            self._number[user] += 1
            self._sent[user, number] = now if rate_hz is None else due  # what is sent late was asked for in time
            self._send(user, with_id(self._ask(user, number), number))
            if rate_hz is not None:
                heapq.heappush(self._due, (due + self._pause(rate_hz), user))

    def _send(self, user: int, pdu: Pdu) -> None:
        try:
            self._lines[user].send_multipart(pack(pdu), self._zmq.NOBLOCK)
        except self._zmq.Again:
            number = pdu.meta["id"]
            if isinstance(number, int):
                self._sent.pop((user, number), None)

    def _receive(self, timeout_s: float) -> list[tuple[int, Pdu]]:
        ready = dict(self._poller.poll(max(0, math.ceil(1e3 * timeout_s))))
        got = []
        for user, line in enumerate(self._lines):
            while line in ready:
                try:
                    got.append((user, unpack(line.recv_multipart(self._zmq.NOBLOCK))))
                except self._zmq.Again:
                    break
        return got

    def _status(self, timeout_s: float) -> dict[str, Scalar]:
        self._send(len(self._number), with_id(status_request(), _STATUS))
        end, found = time.perf_counter() + timeout_s, None
        while found is None:
            for why in (meetings.look()[1] for meetings in self._meetings):
                if why:
                    raise WorkerLockedError(why)
            if time.perf_counter() > end:
                raise TimeoutError(f"the service does not say how it does within {timeout_s:g} s")
            found = next((reply for user, reply in self._receive(0.1) if user == len(self._number)), None)
        return dict(found.meta)

    def _pause(self, rate_hz: float | None) -> float:
        return float(self._rng.exponential(1 / rate_hz)) if rate_hz else 0.0

    def _line(self, address: str, keys: Keys | None) -> Any:  # noqa: ANN401
        line = self._context.socket(self._zmq.DEALER)
        line.setsockopt(self._zmq.LINGER, 0)
        line.setsockopt(self._zmq.IPV6, int("[" in address))
        if keys is not None:
            keys.lock(line)
        self._meetings.append(Meetings(self._zmq, line, address, keys))
        try:
            line.connect(address)
        except self._zmq.ZMQError as error:
            for meetings in self._meetings:
                meetings.close()
            self._context.destroy(linger=0)
            raise ValueError(f"--service {address!r}: {error}; such as tcp://127.0.0.1:5555") from None
        return line
