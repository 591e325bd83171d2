"""Runs a study: what is missing is sent, what is finished is kept, and curves are refined where they bend."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from semlink.flowgraphs.comparison import check_fitting, fitting
from semlink.flowgraphs.specs import JOINT, block_of, lives_here, split_listener
from semlink.flowgraphs.studies.engine import Engine, Outcome, in_turn
from semlink.flowgraphs.studies.plan import Curve, Plan, Point
from semlink.flowgraphs.studies.results import Results, make_table
from semlink.flowgraphs.studies.workers import WorkerError, Workers
from semlink.phy.parallel import cores, limited_threads


class Pool(Protocol):
    """Whatever sends points, in whatever order."""

    def submit(self, points: Iterable[Point]) -> None:
        """Have these sent."""
        ...

    def finished(self) -> Iterator[tuple[Point, Outcome]]:
        """What is finished, as it comes; ends when nothing is left, and more may be submitted meanwhile."""
        ...


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        done: points finished, those of earlier runs included.
        total: points of the grid, and those added so far.
        errors: rows with an error.
    """

    done: int = 0
    total: int = 0
    errors: int = 0


class InProcess:
    """Sends points in this very process: for codecs that exist nowhere else, and small studies."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._waiting: deque[Point] = deque()

    def submit(self, points: Iterable[Point]) -> None:
        """Have these sent."""
        self._waiting.extend(points)

    def finished(self) -> Iterator[tuple[Point, Outcome]]:
        """What is finished, as it comes; on one thread, as everywhere, for another number rounds otherwise.

        Raises:
            WorkerError: points for which there is too little memory, once the others are finished.
        """
        given_up = []
        while self._waiting:
            point = self._waiting.popleft()
            try:
                with limited_threads(1):
                    outcome = self.engine.run(point)
            except MemoryError as error:
                given_up.append(f"point {point.key}: too little memory ({error})")
            else:
                yield point, outcome
        if given_up:
            raise WorkerError("; ".join(given_up))


def run_study(
    study: Plan,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    resources: Mapping[str, float] | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    engine: Engine | None = None,
) -> pd.DataFrame:
    """Send what is missing of a study and return its table, one row a point.

    Args:
        study: which one.
        out: results folder, which a later run goes on from; None to keep nothing.
        workers: processes on this machine; None for one a core as far as memory allows, 0 to send in this process.
        scheduler: address of a Dask scheduler whose workers do it instead, such as "tcp://host:8786".
        resources: what those workers must offer, such as {"GPU": 1}; None for nothing in particular.
        progress: called at the start and after each point.
        engine: one of this very study, whose images and codecs are loaded already; None to load them.

    Raises:
        ValueError: an option, more workers than memory allows among them, or a results folder that is refused.
        OSError: the results cannot be written.
        WorkerError: no worker survives a point, or the scheduler is lost.
        KeyboardInterrupt: interrupted; the table of what is finished has been written.
    """
    engine = engine or Engine(study)
    engine.check()
    results = None if out is None else Results(out, study, engine.fingerprints())
    with results or nullcontext():
        known = results.rows if results is not None else {}
        run = _Run(study, known, results, progress)
        try:
            missing = run.begin()
            if results is not None:
                results.keep_sent(engine.originals())
            if missing:
                with _pool(study, engine, len(missing), workers, scheduler, resources) as pool:
                    run.drain(pool, missing)
        finally:
            if results is not None:
                results.write_table()
        return make_table(study, run.rows)


class _Run:
    """The points of one run: which are known, and which curves are complete and may be refined."""

    def __init__(
        self,
        study: Plan,
        rows: dict[str, dict[str, object]],
        results: Results | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self.study, self.rows, self.results, self.progress = study, rows, results, progress
        self.curves: dict[Curve, list[Point]] = {}
        for point in study.points():
            self.curves.setdefault(point.curve, []).append(point)
        self._state = Progress(total=study.size)

    def begin(self) -> list[Point]:
        """What is missing, further points of complete curves included."""
        self._count(self.study.points())
        missing = [point for curve in list(self.curves) for point in self._open(curve)]
        self._tell()
        return list(in_turn(self.study, missing))

    def drain(self, pool: Pool, missing: Iterable[Point]) -> None:
        """Have all of it sent and kept."""
        pool.submit(missing)
        for point, outcome in pool.finished():
            if self.results is not None:
                self.results.add(point, outcome)
            else:
                self.rows[point.key] = outcome.row
            self._count([point])
            pool.submit(self._open_once(point.curve))
            self._tell()

    def _open(self, curve: Curve) -> list[Point]:
        """The points of a curve to be sent now; of a complete one, further ones until it is smooth."""
        while True:
            missing = [point for point in self.curves[curve] if point.key not in self.rows]
            if missing:
                return missing
            further = self.study.refine.further([self.rows[point.key] for point in self.curves[curve]])
            if not further:
                return []
            added = [Point(*curve, level) for level in further]
            self.curves[curve] += added
            self._state.total += len(added)
            self._count(added)

    def _open_once(self, curve: Curve) -> list[Point]:
        """Further points of a curve that has just become complete."""
        if any(point.key not in self.rows for point in self.curves[curve]):
            return []
        return self._open(curve)

    def _tell(self) -> None:
        self.progress(replace(self._state))

    def _count(self, points: Iterable[Point]) -> None:
        """Those of them that are finished, of this run or an earlier one."""
        for row in (self.rows[point.key] for point in points if point.key in self.rows):
            self._state.done += 1
            self._state.errors += bool(row["error"])


def _pool(
    study: Plan,
    engine: Engine,
    points: int,
    workers: int | None,
    scheduler: str | None,
    resources: Mapping[str, float] | None,
) -> AbstractContextManager[Pool]:
    alone = [
        name
        for name in (*study.codecs, *study.channels)
        if any(lives_here(block_of(part)[0]) for part in split_listener(name)[0].split(JOINT))
    ]
    if alone and (scheduler is not None or workers):
        said = "is of this process alone; give workers=0, or put it into a file MODULE.py and name MODULE:NAME"
        raise ValueError(f"{alone[0]} {said}")
    if alone:
        return nullcontext(InProcess(engine))
    if scheduler is not None:
        from semlink.flowgraphs.studies.cluster import Cluster

        return Cluster(study, scheduler, resources=resources, images=engine.fingerprints())
    if workers == 0:
        return nullcontext(InProcess(engine))
    return Workers(study, min(points, _fitting(workers, points, engine.worker_bytes())))


def _fitting(workers: int | None, points: int, each: int) -> int:
    """As many workers as are asked for, or one a core; fewer, with a warning, where these do not fit into memory.

    Raises:
        ValueError: so many were asked for, and do not fit.
    """
    if workers is not None:
        check_fitting(min(workers, points), each, said=f"workers={workers}")
        return workers
    wanted = min(cores(), points)
    few = min(wanted, fitting(each) or wanted)
    if few < wanted:
        warnings.warn(f"{few} of {wanted} workers: each needs about {each / 1e9:.2g} GB of memory", stacklevel=2)
    return few


def estimate_seconds(study: Plan) -> float:
    """How long one core takes for the grid, from a few images sent by each codec on each channel.

    At one Es/N0, without the points that `refine` adds, and with the fewest realisations that a stopping rule allows.

    Raises:
        ValueError: what `run_study` refuses.
    """
    engine = Engine(study)
    middle = study.esno_db[len(study.esno_db) // 2]
    curves = {point.curve for point in study.points()}
    points = [Point(*curve, float(middle)) for curve in curves]
    return len(study.esno_db) * sum(engine.seconds(point) * engine.realisations(point)[0] for point in points)
