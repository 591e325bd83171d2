"""Requests that wait for the service: so many and so large, of each client and in all, and no more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from semlink.flowgraphs.service.jobs import Job

QUEUE_BYTES = 1 << 29
"""Bytes of the requests that wait or are under way, at most, unless one alone has more."""


class Request(NamedTuple):
    """A job, who asked for it, over which of the worker's sockets, and when."""

    client: bytes
    job: Job
    arrived: float
    generation: int = 0


class Waiting:
    """Between the thread that takes requests in and the one that serves them.

    A client may have seven eighths of the places and half of the bytes, so that there is room for others.

    Args:
        most: requests that wait, at most.
        bytes: of the requests that wait or are under way.

    Attributes:
        stopping: whether no more are taken in. A signal handler may set it.

    Raises:
        ValueError: a limit below 1.
    """

    def __init__(self, most: int, bytes: int = QUEUE_BYTES) -> None:
        if most < 1:
            raise ValueError(f"queue={most} must be 1 or more")
        self._most, self._bytes = most, bytes
        self._changed = threading.Condition()
        self._requests: dict[int, Request] = {}
        self._batch: list[Request] = []
        self._count = 0
        self.stopping = False

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def under_way(self) -> int:
        """Requests that are being served."""
        return len(self._batch)

    def add(self, request: Request) -> None:
        """Let a request wait.

        Raises:
            ValueError: there is no room for it, or no more are taken in.
        """
        with self._changed:
            if self.stopping:
                raise ValueError("the worker is about to stop")
            self._check(request)
            self._count += 1
            self._requests[self._count] = request
            self._changed.notify()

    def next_batch(self, choose: Callable[[Mapping[int, Job]], list[int]], ready: Callable[[], bool]) -> list[Request]:
        """What is to be done next, once there is something and it is `ready`; nothing when it stops and all is done."""
        with self._changed:
            self._batch = []
            # A signal handler cannot notify, for what it interrupts may hold the lock: look now and then.
            while not (self._requests and ready()) and not (self.stopping and not self._requests):
                self._changed.wait(0.2 if not self._requests else 0.01)
            if self._requests:
                keys = choose({key: request.job for key, request in self._requests.items()})
                self._batch = [self._requests.pop(key) for key in keys]
            return self._batch

    def finish(self) -> None:
        """The batch is done."""
        with self._changed:
            self._batch = []

    def forget(self, client: bytes | None = None) -> int:
        """Drop what waits for a client, or for all, and tell how many."""
        with self._changed:
            gone = [key for key, request in self._requests.items() if client in (None, request.client)]
            for key in gone:
                del self._requests[key]
        return len(gone)

    def is_empty(self) -> bool:
        """Whether nothing waits or is under way."""
        with self._changed:
            return not (self._requests or self._batch)

    def _check(self, request: Request) -> None:
        waiting = list(self._requests.values())
        own = [one for one in waiting if one.client == request.client]
        held, mine = _bytes([*waiting, *self._batch]), _bytes(own)
        if len(waiting) >= self._most or (held and held + request.job.size > self._bytes):
            raise ValueError(f"the queue is full: {len(waiting)} requests of {held} bytes wait; try again")
        share = max(1, self._most - self._most // 8)
        if len(own) >= share or (mine and mine + request.job.size > self._bytes // 2):
            raise ValueError(f"the queue is full for you: {len(own)} of your requests of {mine} bytes wait; try again")


def _bytes(requests: Iterable[Request]) -> int:
    return sum(request.job.size for request in requests)
