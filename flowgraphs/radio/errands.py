"""Requests to the worker from blocks that must not wait. NumPy and pyzmq alone."""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from semlink.flowgraphs.protocol import Keys, Pdu, WorkerClient, read_keys, with_id

IN_PROCESS = "in-process"
"""In place of an address: PyTorch in this very process, where the NumPy of GNU Radio allows it."""
TIMEOUT_S = 30.0
"""For how long an answer is waited for: the first one of a codec takes seconds."""
_POLL_S = 0.2
MOST = 64
"""Requests that wait at most."""

Context = TypeVar("Context")


class _Line(Protocol):
    def submit(self, pdu: Pdu) -> int: ...
    def poll(self, timeout_s: float = 0.0) -> Pdu | None: ...
    def close(self) -> None: ...


class Errands(Generic[Context]):
    """Sends requests without waiting, and hands each answer over with what was given beside the request.

    Args:
        address: of a worker, as ZeroMQ has it, or `IN_PROCESS`.
        deliver: takes an answer, which may be an "error", and what belongs to it; called on a thread of its own.
        keys: path of the user's, of a worker that asks for them; "" for none.

    Raises:
        ValueError: an address that cannot be, a file that has no keys, or something that is not installed.
    """

    def __init__(self, address: str, deliver: Callable[[Pdu, Context], None], keys: str = "") -> None:
        self.address, self._deliver = address, deliver
        self._keys = keys_of(keys)
        self._line: _Line | None = None  # which is opened by `start`: what is never started needs no `stop`
        check_address(address)
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._lock = threading.Lock()
        self._waiting: dict[Any, Context] = {}

    def start(self) -> None:
        """Begin to listen for answers."""
        self._thread = threading.Thread(target=self._listen, name=f"semlink {self.address}", daemon=True)
        self._stopping = False
        if self._line is None:
            self._line = open_line(self.address, self._keys)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Requests that have no answer yet."""
        return len(self._waiting)

    def ask(self, request: Pdu, context: Context) -> None:
        """Send a request.

        Raises:
            RuntimeError: too many wait for their answer, or it was stopped.
            ValueError: a request that cannot be sent.
        """
        with self._lock:  # or the answer might be there before its context is
            if self._line is None:
                raise RuntimeError("the line to the worker is closed")
            self._waiting[self._line.submit(request)] = context

    def stop(self) -> None:
        """Forget what is not answered; returns when the thread has ended."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line, self._thread = None, None
            self._waiting.clear()

    def _listen(self) -> None:
        line = self._line
        while line is not None and not self._stopping:
            answer = line.poll(_POLL_S)
            if answer is None:
                continue
            with self._lock:
                known = answer.meta["id"] in self._waiting
                context = self._waiting.pop(answer.meta["id"]) if known else None
            if context is not None:
                self._deliver(answer, context)


class _Local:
    """A worker without a line: requests are served, those that wait together, on the thread that polls."""

    def __init__(self) -> None:
        from semlink.flowgraphs.service import Service

        self._service = Service()
        self._requests: queue.Queue[Pdu] = queue.Queue(maxsize=MOST)
        self._answers: deque[Pdu] = deque()
        self._ids = itertools.count(1)

    def submit(self, pdu: Pdu) -> int:
        number = next(self._ids)
        try:
            self._requests.put_nowait(with_id(pdu, number))
        except queue.Full:
            raise RuntimeError(f"{MOST} requests wait already") from None
        return number

    def poll(self, timeout_s: float = 0.0) -> Pdu | None:
        if not self._answers:
            self._serve(timeout_s)
        return self._answers.popleft() if self._answers else None

    def close(self) -> None:
        """Let the service's threads go."""
        self._service.close()

    def _serve(self, timeout_s: float) -> None:
        waiting: list[Pdu] = []
        with suppress(queue.Empty):
            waiting.append(self._requests.get(timeout=timeout_s))
            while len(waiting) < MOST:
                waiting.append(self._requests.get_nowait())
        self._answers.extend(self._service.handle(waiting))


def check_address(address: str) -> None:
    """Find out whether a line can be opened.

    Raises:
        ValueError: an address that cannot be, or something that is not installed.
    """
    if address != IN_PROCESS:
        WorkerClient(address).close()
    elif find_spec("torch") is None:
        raise ValueError(f"address={IN_PROCESS!r} needs PyTorch in GNU Radio's Python")


def keys_of(path: str) -> Keys | None:
    """A user's keys; None of "".

    Raises:
        ValueError: a file that has none.
    """
    return read_keys(Path(path)) if path else None


def open_line(address: str, keys: Keys | None = None) -> _Line:
    """A line to a worker.

    Raises:
        ValueError: an address that cannot be, or something that is not installed.
    """
    if address != IN_PROCESS:
        return WorkerClient(address, timeout_s=TIMEOUT_S, keys=keys)
    try:
        return _Local()
    except ImportError as error:
        raise ValueError(f"address={IN_PROCESS!r} needs PyTorch in GNU Radio's Python: {error}") from error
