"""What does tasks: threads of this process, or processes of their own. Each compute thread of a worker has one lane.

A process has the codecs and talks to its thread over a socket pair: arrays as they are, the rest as JSON, no pickle.
When it ends in the middle of a task, that task is lost, and whoever gave it is told; another process is started.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

import torch

from semlink.flowgraphs.protocol import MalformedPduError, PartsStream, Pdu, error_reply, pack, resident_bytes, unpack
from semlink.flowgraphs.service.codecs import Shelf
from semlink.flowgraphs.service.jobs import Made, Task
from semlink.flowgraphs.service.making import Maker
from semlink.flowgraphs.service.tasks import made_pdu, read_made, read_task, task_pdu
from semlink.flowgraphs.specs import load_trained, make_channel
from semlink.neural import zoo
from semlink.phy.link import Codec

START_S = 300.0
"""How long a process may take until it is ready: on a busy machine PyTorch alone takes many seconds."""
PAUSE_S = 0.5, 10.0
"""From the end of a process that did not become ready to the next: the first time, and at most."""
_PROGRAM = "from semlink.flowgraphs.service.lanes import run_process; run_process()"


class LostError(RuntimeError):
    """Whoever had a task is gone, and so is what became of it.

    Attributes:
        begun: whether the task had been given.
    """

    def __init__(self, message: str, *, begun: bool = True) -> None:
        super().__init__(message)
        self.begun = begun


class StaysError(RuntimeError):
    """A task that is to be done in this process."""


class Lane(Protocol):
    """Does tasks, one at a time.

    Attributes:
        cpu_s: processor time on this machine, in seconds, beside this process.
        memory_bytes: memory on this machine beside this process.
    """

    cpu_s: float
    memory_bytes: int

    @property
    def loads(self) -> int:
        """Codecs and receivers that were loaded for the tasks of the thread that asks this."""

    def make(self, task: Task) -> Made:
        """What becomes of a task.

        Raises:
            LostError: it is not known, since whoever had it is gone.
            StaysError: it is to be done in this process.
            ValueError: what cannot be done; and whatever a codec raises.
        """

    def renew(self, wanted: Callable[[], bool]) -> None:
        """Make sure that there is somebody to do the next task, as long as that is `wanted`."""

    def close(self) -> None:
        """Let go of whoever does them."""


class Here:
    """A thread of this process."""

    cpu_s, memory_bytes = 0.0, 0

    def __init__(self, maker: Maker) -> None:
        self._maker, self.make = maker, maker.make

    @property
    def loads(self) -> int:
        """As `Lane` has it."""
        return self._maker.loads

    def renew(self, wanted: Callable[[], bool]) -> None:
        """There is nothing to be renewed."""

    def close(self) -> None:
        """There is nothing to let go of."""


class Setup(NamedTuple):
    """What a process needs to know.

    Attributes:
        channel: in words, as `semlink serve --channel` has it; "" for none.
        seed: of its fades and noise.
        own: FOLDER/NAME of codecs of one's own, by "user:48" to "user:63".
    """

    channel: str = ""
    seed: int = 0
    own: Mapping[str, str] = {}

    def maker(self) -> Maker:
        """Does tasks in the process that asks this.

        Raises:
            ValueError: no such channel or files.
        """
        medium = make_channel(self.channel, coherence=None, csi=None, equaliser=None) if self.channel else None
        return Maker(Shelf(load_own(self.own), medium), medium, self.seed)


class Process:
    """A process of its own. One thread at a time.

    Args:
        setup: what it needs to know.
        most_s: of a task; one that takes longer is lost, for its process is ended.
    """

    def __init__(self, setup: Setup, most_s: float) -> None:
        self._setup, self._most_s, self._failures = setup, most_s, 0
        self.cpu_s, self.memory_bytes, self.loads = 0.0, 0, 0
        self._gone_s, self._closed, self._ready = 0.0, False, False
        self._start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def make(self, task: Task) -> Made:
        """As `Lane` has it."""
        if not self._is_there():
            raise LostError(f"its process ended before: {self._fate()}", begun=False)
        try:
            asked = pack(task_pdu(task), finite=False)
        except MalformedPduError:  # too large to be sent, which is not too large to be done
            raise StaysError from None
        self._stream.put(asked)
        answer = self._next(time.monotonic() + self._most_s)
        self._note(answer)
        if answer.meta.get("stays"):
            raise StaysError
        if answer.meta["op"] == "error":
            raise ValueError(str(answer.meta["message"]))
        return read_made(answer, task)

    def renew(self, wanted: Callable[[], bool]) -> None:
        """As `Lane` has it."""
        while not self._is_there() and wanted() and not self._closed:
            pause = min(PAUSE_S[1], PAUSE_S[0] * 2 ** min(self._failures, 8)) if self._failures else 0.0
            time.sleep(pause)
            if not wanted() or self._closed:  # any more
                return
            self._end()
            self._gone_s = self.cpu_s
            self._failures += 1
            with suppress(OSError, LostError, ValueError):  # too many just now; it ended at once, or has not got all
                self._start()
                self._await()
                self._failures = 0

    def close(self) -> None:
        """As `Lane` has it."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        self._stream.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
            return
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        said = json.dumps({**self._setup._asdict(), "own": dict(self._setup.own)})
        self._stream, self._ready = PartsStream(ours), False
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), said],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the worker, which finishes
            )

    def _is_there(self) -> bool:
        """Whether there is a process that is ready."""
        if self._stream.is_open and not self._ready:
            with suppress(LostError):
                self._await()
        for _ in self._stream.take():  # which finds out whether the other end is gone
            pass
        return self._stream.is_open

    def _await(self) -> None:
        """Until the process is ready.

        Raises:
            ValueError: why it cannot be.
            LostError: it has ended.
        """
        answer = self._next(time.monotonic() + START_S)
        if answer.meta["op"] == "error":
            raise ValueError(str(answer.meta["message"]))
        self._note(answer)
        self._ready = True

    def _note(self, answer: Pdu) -> None:
        self.loads += int(answer.meta.get("loads", 0))
        self.cpu_s = self._gone_s + float(answer.meta.get("cpu_s", 0.0))
        self.memory_bytes = int(answer.meta.get("memory_bytes", 0))

    def _next(self, end: float) -> Pdu:
        while True:
            for parts in self._stream.take():
                return unpack(parts, finite=False)
            if not self._stream.is_open:
                raise LostError(f"its process ended: {self._fate()}")
            if time.monotonic() > end:
                self._process.kill()
                self._stream.close()  # for `_is_there`: a process takes a moment to end
                raise LostError(f"its process was ended: not done within {self._most_s:g} s")
            wait(self._stream, max(0.0, end - time.monotonic()))

    def _fate(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(1)
            return signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return "it says nothing any more"


def wait(stream: PartsStream, timeout_s: float | None) -> None:
    """For something from the other end, while what is put in goes out."""
    with selectors.PollSelector() as selector:
        selector.register(stream, selectors.EVENT_READ | (selectors.EVENT_WRITE if stream.waiting else 0))
        selector.select(timeout_s)
    stream.flush()


def load_own(own: Mapping[str, str]) -> dict[str, Codec]:
    """Codecs of one's own by name, from FOLDER/NAME.

    Raises:
        ValueError: no such files, or weights that are not those of the card.
    """
    return {name: load_trained(f"{path.removesuffix(zoo.WEIGHTS)}{zoo.WEIGHTS}") for name, path in own.items()}


def run_process(arguments: Sequence[str] | None = None) -> None:
    """The process: file descriptor of its end of the stream, and its `Setup` as JSON. It ends when the stream does."""
    number, setup = sys.argv[1:] if arguments is None else arguments
    for name in (signal.SIGINT, signal.SIGTERM):  # meant for the worker
        signal.signal(name, signal.SIG_IGN)
    torch.set_num_threads(1)
    stream = PartsStream(socket.socket(fileno=int(number)))
    try:
        maker = Setup(**json.loads(setup)).maker()
    except ValueError as error:
        stream.put(pack(error_reply(str(error))))
        maker = None
    else:
        stream.put(pack(_told(Pdu({"op": "ready"}), 0)))
    while stream.is_open and (maker or stream.waiting):
        for parts in stream.take():
            if maker:
                stream.put(_answer(maker, unpack(parts, finite=False)))
        if stream.is_open:
            wait(stream, None)
    os._exit(0)  # at once: nothing is left to be done, and threads of libraries may take their time


def _answer(maker: Maker, asked: Pdu) -> list[bytes]:
    loads = maker.loads
    try:
        answer = made_pdu(maker.make(read_task(asked)))
    except Exception as error:  # whatever it is, who asked is told
        answer = error_reply(said(error))
    try:
        return pack(_told(answer, maker.loads - loads), finite=False)
    except MalformedPduError as error:  # too large to be sent
        refusal = error_reply(said(error))
        return pack(_told(Pdu({**refusal.meta, "stays": True}), maker.loads - loads))


def _told(answer: Pdu, loads: int) -> Pdu:
    own = {"loads": loads, "cpu_s": time.process_time(), "memory_bytes": resident_bytes()}
    return Pdu({**answer.meta, **own}, answer.arrays)


def said(error: Exception) -> str:
    """An error for who asked."""
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
