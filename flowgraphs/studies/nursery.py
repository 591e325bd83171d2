"""Processes that begin at once: forked from one that has imported what a worker needs, on Linux.

Elsewhere, where a fork of such a process is not safe, each is a program of its own.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import random
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
FORKS = sys.platform == "linux"
"""Whether they are forked."""


@runtime_checkable
class Child(Protocol):
    """A process of which the standard input and output are ours."""

    questions: int
    answers: int

    @property
    def pid(self) -> int:
        """Of the process; waits until there is one, and is 0 where there never was."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit status, below 0 for a signal; None where it has not ended within the seconds."""


class Nursery:
    """Where the workers of a pool come from. It ends when it is closed, and they when their standard input is.

    Args:
        module: of which each process runs `serve`. Where it cannot be imported, a process answers with a pickled text
            of why, and ends.
    """

    def __init__(self, module: str) -> None:
        self._module = module
        self._tender: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None

    def start(self) -> Child:
        """One more process."""
        if not FORKS:
            return _Program(self._module)
        child = _Forked()
        for _ in range(2):  # whoever forks may have been killed, for a lack of memory say
            with suppress(BrokenPipeError):
                socket.send_fds(self._open(), [b"f"], child.theirs)
                break
            self.close()
        child.begun()
        return child

    def close(self) -> None:
        """End what forks, not what was forked."""
        if self._door is not None:
            self._door.close()
        if self._tender is not None:
            self._tender.kill()
            self._tender.wait()
        self._tender = self._door = None

    def _open(self) -> socket.socket:
        if self._door is None:
            self._door, theirs = socket.socketpair()
            with theirs:
                self._tender = _program(
                    f"from {__name__} import tend; tend({theirs.fileno()}, {self._module!r})", fds=(theirs.fileno(),)
                )
        return self._door


def make_room(count: int) -> None:
    """Have this process be allowed the files of so many children, three each, as far as the system lets it."""
    if not FORKS:
        return
    import resource  # which other systems do not have

    needed = 3 * count + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Forked:
    """Three pipes: questions, answers, and one on which whoever forks tells pid and exit status."""

    def __init__(self) -> None:
        ask, self.questions = os.pipe()
        self.answers, answer = os.pipe()
        self._life, tell = os.pipe()
        self.theirs = [ask, answer, tell]
        self._told: list[int] = []

    def begun(self) -> None:
        """Their ends of the pipes are theirs alone."""
        for one in self.theirs:
            os.close(one)

    @property
    def pid(self) -> int:
        if not self._told:
            self._listen(None)
        return self._told[0]

    def wait(self, timeout: float | None = None) -> int | None:
        while len(self._told) < 2:
            if not self._listen(timeout):
                return None
        return self._told[1]

    def _listen(self, timeout: float | None) -> bool:
        """Hear what is told, if anything is within the seconds; one who tells nothing more has been killed."""
        with _either(self._life) as ready:
            if not ready.select(timeout):
                return False
        heard = [int(one) for one in os.read(self._life, 64).split()]
        self._told += heard or [0, -signal.SIGKILL][len(self._told) :]
        return True

    def __del__(self) -> None:
        os.close(self._life)


class _Program:
    """A program of its own."""

    def __init__(self, module: str) -> None:
        code = f"from {module} import serve; serve()"
        self._process = _program(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.questions, self.answers = (os.dup(one.fileno()) for one in (self._process.stdin, self._process.stdout))
        self._process.stdin.close()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout: float | None = None) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None


def _program(
    code: str, *, fds: tuple[int, ...] = (), stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """Python with these modules' paths and one thread; Ctrl-C is for the one that keeps the results."""
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    words = [sys.executable, "-c", code]
    return subprocess.Popen(words, env=environment, pass_fds=fds, start_new_session=True, stdin=stdin, stdout=stdout)


def tend(door: int, module: str) -> None:
    """What forks: a child for each three pipes that come in, until the other end is gone."""
    gc.disable()  # looked over time and again, what is imported would not get less
    serve = _imported(module)
    gc.freeze()  # nor does a child look it over, which would copy what they share
    gc.enable()
    lives: dict[int, int] = {}
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with socket.socket(fileno=door) as asked, _either(door, wake) as ears:
        while True:
            ready = {key.fd for key, _ in ears.select()}
            if wake in ready:
                os.read(wake, 4096)
                _tell_ends(lives)
            if door in ready:
                heard, pipes, _, _ = socket.recv_fds(asked, 1, 3)
                if not heard:
                    return
                child = os.fork()
                if not child:
                    signal.set_wakeup_fd(-1)
                    asked.close()
                    ears.close()
                    _be_worker(serve, pipes, [wake, woken, *lives.values()])
                lives[child] = pipes.pop()
                with suppress(BrokenPipeError):  # whoever asked is gone, and the door will say so
                    os.write(lives[child], f"{child}\n".encode())
                for one in pipes:
                    os.close(one)


def _either(*pipes: int) -> selectors.BaseSelector:
    """Tells which of the pipes have something to be read; whatever their numbers are, of which `select` knows 1024."""
    ears = selectors.DefaultSelector()
    for pipe in pipes:
        ears.register(pipe, selectors.EVENT_READ)
    return ears


def _imported(module: str) -> Callable[[], None]:
    """Its `serve`, or what says why there is none."""
    try:
        serve: Callable[[], None] = importlib.import_module(module).serve
    except Exception as error:
        said = pickle.dumps(f"{module} cannot be imported: {type(error).__name__}: {error}")

        def serve() -> None:
            os.write(1, said)

    return serve


def _tell_ends(lives: dict[int, int]) -> None:
    """Of all children that have ended, to whoever asked for them."""
    while lives:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            return
        life = lives.pop(child)
        with suppress(BrokenPipeError):
            os.write(life, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os.close(life)


def _be_worker(serve: Callable[[], None], pipes: list[int], others: list[int]) -> None:
    import numpy as np

    ask, answer, life = pipes
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for one in (*others, life):
        os.close(one)
    os.dup2(ask, 0)
    os.dup2(answer, 1)
    for one in (ask, answer):
        os.close(one)
    random.seed()  # a process of its own would draw other numbers than its fellows
    np.random.seed()  # noqa: NPY002 - what a codec of a user's own may draw from
    status = 1
    try:
        serve()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
