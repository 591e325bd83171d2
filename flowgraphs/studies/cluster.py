"""The points of a study on the workers of a Dask scheduler: Slurm, Kubernetes, ssh or this machine."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from typing import Any

from semlink.flowgraphs.studies.engine import Engine, Outcome
from semlink.flowgraphs.studies.plan import Plan, Point
from semlink.flowgraphs.studies.provenance import provenance
from semlink.flowgraphs.studies.workers import WorkerError

DIGITS = 64
"""Of a SHA-256, which says nothing to a reader."""
MISSING = "--scheduler needs Dask: pip install 'semlink[cluster]'"


class OtherWorkerError(ValueError):
    """A worker that would give other numbers: what it knows (`known_here`), and where it runs."""

    def __init__(self, known: Mapping[str, str], where: str) -> None:
        super().__init__(known, where)  # what makes it again where it arrives
        self.known, self.where = known, where

    def __str__(self) -> str:
        return f"worker {self.where} has other images, versions of the libraries, or code"


class Cluster:
    """A pool that hands points to a scheduler as tasks; one of a worker that is lost runs again elsewhere.

    A worker loads the study once, and sends one point at a time with one thread, as a process of `Workers` does: the
    rows are the same to the last bit on machines of the same kind. Start the workers with `--nthreads 1` and as many
    of them as there are cores: others would compete for the cores.

    Args:
        study: which one; its images must be where the workers look for them.
        address: of the scheduler, such as "tcp://host:8786".
        resources: what a worker must offer to get a point, such as {"GPU": 1}.
        images: SHA-256 of each image's pixels by name. The workers must have the same ones, and the same versions and
            code; None to trust them.
        timeout_s: how long to wait for the scheduler.

    Raises:
        ValueError: Dask is not installed, or no scheduler answers.
    """

    def __init__(
        self,
        study: Plan,
        address: str,
        *,
        resources: Mapping[str, float] | None = None,
        images: Mapping[str, str] | None = None,
        timeout_s: float = 10,
    ) -> None:
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise ValueError(MISSING) from error
        self.study, self.resources = study, dict(resources or {})
        self._known = {} if images is None else known_here(study, images)
        self._same = None if images is None else _digest(self._known)
        try:
            self._client = distributed.Client(address, timeout=timeout_s, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ValueError(f"--scheduler {address}: no scheduler answers there ({error})") from error
        self._done = distributed.as_completed(loop=self._client.loop)
        self._points: dict[Any, Point] = {}

    def submit(self, points: Iterable[Point]) -> None:
        """Have these sent."""
        values = self.study.to_dict()
        for point in points:
            future = self._client.submit(
                send_point, values, tuple(point), self._same, pure=False, resources=self.resources, retries=2
            )
            self._points[future.key] = point
            self._done.add(future)

    def finished(self) -> Iterator[tuple[Point, Outcome]]:
        """What is finished, as it comes.

        Raises:
            ValueError: a worker cannot load the study, its images say, or has other images, versions or code.
            WorkerError: a point that no worker survives, once the others are finished; or the scheduler is lost.
        """
        from distributed import KilledWorker

        given_up = []
        while self._points:
            future = next(self._done)
            point = self._points.pop(future.key)
            try:
                outcome = future.result()
            except (KilledWorker, MemoryError) as error:
                given_up.append(f"point {point.key}: lost with its workers ({error}); too little memory?")
            except OtherWorkerError as error:
                said = "; ".join(differences_of(self._known, error.known))
                raise ValueError(f"worker {error.where} differs from here: {said}") from error
            except CancelledError as error:
                raise WorkerError(f"point {point.key}: lost with the scheduler ({error})") from error
            else:
                yield point, outcome
        if given_up:
            raise WorkerError("; ".join(given_up))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()


_engines: dict[str, Engine] = {}
_one_at_a_time = threading.Lock()  # an engine is not for several threads, of which a worker may have some


def send_point(study: dict[str, Any], point: tuple[str, str, float, float], same: str | None = None) -> Outcome:
    """What a worker runs. Its study stays loaded until it gets another one, or another digest of what must be `same`.

    Raises:
        ValueError: the study cannot be loaded here.
        OtherWorkerError: its images, versions or code are others.
    """
    import torch

    torch.set_num_threads(1)
    wanted = f"{same} {study!r}"
    with _one_at_a_time:
        if wanted not in _engines:
            _engines.clear()
            engine = Engine(Plan.from_dict(study))
            known = {} if same is None else known_here(engine.study, engine.fingerprints())
            if same is not None and _digest(known) != same:
                raise OtherWorkerError(known, f"{socket.gethostname()}, process {os.getpid()}")
            _engines[wanted] = engine
        return _engines[wanted].run(Point(*point))


def known_here(study: Plan, images: Mapping[str, str]) -> dict[str, str]:
    """All that must be the same here and there, by what it is called in a message."""
    known = provenance(study)
    named = {f"image {name}": digest for name, digest in images.items()}
    named |= {f"code or weights of {name}": digest for name, digest in known["blocks"].items()}
    return {**known["versions"], "semlink's own code": known["code"], **named}


def differences_of(here: Mapping[str, str], there: Mapping[str, str], *, shown: int = 5) -> list[str]:
    """In words, what differs: "torch 2.9.0 here, 2.10.0 there"."""
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    more = [f"{len(names) - shown} more"] if len(names) > shown else []
    return [_difference(name, here.get(name), there.get(name)) for name in names[:shown]] + more


def _difference(name: str, here: str | None, there: str | None) -> str:
    if not here or not there:
        return f"{name} is missing {'there' if here else 'here'}"
    return f"{name} is another one" if len(here) == len(there) == DIGITS else f"{name} {here} here, {there} there"


def _digest(known: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(known.items())).encode()).hexdigest()
