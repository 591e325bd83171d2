"""Processes on this machine that send points, one thread each: as many as there are cores, and none of them twice.

They come from a `Nursery` rather than from `multiprocessing`, so that a script or notebook needs no guard around its
main part, and a worker that is killed, by a lack of memory say, loses the one point it was at.
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import IO, Any

from semlink.flowgraphs.studies.engine import Engine, Outcome
from semlink.flowgraphs.studies.nursery import Nursery, make_room
from semlink.flowgraphs.studies.plan import Plan, Point

DEATHS = 3
"""How many workers a point may take with it before it is given up."""


class WorkerError(ChildProcessError):
    """A worker that cannot go on, or a point that no worker survives."""


class Workers:
    """A pool for one study.

    Args:
        study: which one.
        count: of processes, from 1.
    """

    def __init__(self, study: Plan, count: int) -> None:
        if count < 1:
            raise ValueError(f"workers={count} must be at least 1")
        self.study = study
        self._waiting: deque[Point] = deque()
        self._deaths: dict[Point, int] = {}
        self._given_up: list[str] = []
        self._ready = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        make_room(count)
        self._nursery = Nursery(__name__)
        self._count = count

    def submit(self, points: Iterable[Point]) -> None:
        """Have these sent, behind those that wait."""
        self._waiting.extend(points)
        self._hand_out()

    def finished(self) -> Iterator[tuple[Point, Outcome]]:
        """What is finished, as it comes; ends when nothing is left, and more may be submitted meanwhile.

        Raises:
            WorkerError: a worker cannot begin; or a point took `DEATHS` workers with it, once the others are finished.
        """
        while self._waiting or any(worker.point for worker in self._workers):
            self._hand_out()
            for key, _ in self._ready.select():
                worker: _Worker = key.data
                answer = worker.read()
                point, worker.point = worker.point, None
                if isinstance(answer, Outcome) and point is not None:
                    self._hand_out()
                    yield point, answer
                elif isinstance(answer, str):
                    raise WorkerError(f"a worker could not begin: {answer}")
                else:
                    self._bury(worker, point)
        if self._given_up:
            raise WorkerError("; ".join(self._given_up))

    def close(self) -> None:
        """End the processes; what they were at is lost."""
        for worker in self._workers:
            self._ready.unregister(worker.answers)
            worker.end()
        self._workers.clear()
        self._nursery.close()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hand_out(self) -> None:
        while self._waiting and len(self._workers) < self._count and all(one.point for one in self._workers):
            worker = _Worker(self.study, self._nursery)
            self._ready.register(worker.answers, selectors.EVENT_READ, worker)
            self._workers.append(worker)
            worker.send(self._take(worker))
        for worker in self._workers:
            if self._waiting and worker.point is None:
                worker.send(self._take(worker))

    def _take(self, worker: _Worker) -> Point:
        """The next point: one whose frames the worker has already, else one whose frames no other is encoding.

        Looked for where `in_turn` puts it: within the channels of as many codecs as there are workers.
        """
        near = list(islice(self._waiting, len(self.study.channels) * (self._count + 1)))
        taken = {one.frames for one in self._workers if one is not worker}
        own = (point for point in near if _frames(point) == worker.frames)
        free = (point for point in near if _frames(point) not in taken)
        point = next(own, next(free, near[0]))
        self._waiting.remove(point)
        return point

    def _bury(self, worker: _Worker, point: Point | None) -> None:
        self._ready.unregister(worker.answers)
        self._workers.remove(worker)
        status = worker.end()
        if point is None:
            return
        self._deaths[point] = self._deaths.get(point, 0) + 1
        if self._deaths[point] >= DEATHS:
            self._given_up.append(f"point {point.key}: {DEATHS} workers ended at it ({_why(status)})")
        else:
            self._waiting.appendleft(point)


def _why(status: int) -> str:
    """What an exit status says: SIGKILL is what the system sends where memory runs out; errors end one with 1."""
    if status >= 0:
        return f"exit status {status}; what they printed says why"
    name = signal.Signals(-status).name
    return f"{name}; too little memory?" if status == -signal.SIGKILL else name


def _frames(point: Point) -> tuple[str, float, float]:
    """What decides the frames that a codec sends: a channel does not, but for the few codecs that heed it."""
    return point.codec, point.ratio, point.esno_db


class _Worker:
    """One process, the point that it is at, and whose frames it has (`_frames`)."""

    def __init__(self, study: Plan, nursery: Nursery) -> None:
        self.process = nursery.start()
        self._questions: IO[bytes] = os.fdopen(self.process.questions, "wb")
        self.answers: IO[bytes] = os.fdopen(self.process.answers, "rb")
        self.point: Point | None = None
        self.frames: tuple[str, float, float] | None = None
        self._write(study.to_dict())

    def send(self, point: Point) -> None:
        """Have a point sent."""
        self.point, self.frames = point, _frames(point)
        self._write(tuple(point))

    def read(self) -> object:
        """An outcome, words of why it could not begin, or None where it has ended."""
        try:
            return pickle.load(self.answers)
        except (EOFError, pickle.UnpicklingError, OSError):
            return None

    def end(self) -> int:
        """End it; return its exit status, below 0 for a signal."""
        if self.process.wait(0) is None and self.point is None:
            self._kill()
        for pipe in (self._questions, self.answers):
            with suppress(BrokenPipeError):
                pipe.close()
        if self.process.wait(1) is None:
            self._kill()
        status = self.process.wait()
        assert status is not None  # there is no end to that
        return status

    def _kill(self) -> None:
        pid = self.process.pid
        with suppress(ProcessLookupError):
            if pid:  # 0 would be ourselves, and all that were started with us
                os.kill(pid, signal.SIGKILL)

    def _write(self, what: object) -> None:
        with suppress(BrokenPipeError):  # its end shows when its answer is read
            pickle.dump(what, self._questions)
            self._questions.flush()


def serve() -> None:
    """What a worker runs: a study, then points, from standard input; outcomes to standard output.

    It ends with its standard input, in the middle of a point too: whoever asked is gone.
    """
    import torch

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a codec prints must not get among the answers
    torch.set_num_threads(1)
    study = Plan.from_dict(pickle.load(sys.stdin.buffer))
    points: deque[Any] = deque()
    arrived = threading.Semaphore(0)

    def listen() -> None:
        while True:
            try:
                points.append(pickle.load(sys.stdin.buffer))
            except (EOFError, pickle.UnpicklingError, OSError):
                os._exit(0)
            arrived.release()

    threading.Thread(target=listen, daemon=True).start()
    try:
        engine = Engine(study)
    except (ValueError, OSError) as error:
        _answer(answers, str(error))
        return
    while True:
        arrived.acquire()
        _answer(answers, engine.run(Point(*points.popleft())))


def _answer(pipe: IO[bytes], what: object) -> None:
    pickle.dump(what, pipe)
    pipe.flush()
