"""The processes of a sweep: one that dies, one that lacks memory, and which of them gets what."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from semlink.flowgraphs.studies import Point, Study, engine, nursery, read_results, run_study, workers

on_linux = pytest.mark.skipif(not nursery.FORKS, reason="workers are forked on Linux")


def test_a_worker_that_is_killed_loses_nothing(small: Callable[..., Study], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where workers are programs of their own; how it is where they are forked is below."""
    monkeypatch.setattr(nursery, "FORKS", False)
    study = small(channels=["awgn", "rayleigh"])
    with workers.Workers(study, 2) as pool:
        pool.submit(study.points())
        found = {}
        for point, outcome in pool.finished():
            assert point not in found
            found[point] = outcome.row["psnr_db"]
            if len(found) == 1:
                victim = next(worker for worker in pool._workers if worker.point)
                os.kill(victim.process.pid, signal.SIGKILL)
    assert list(run_study(study, workers=0)["psnr_db"]) == [found[point] for point in study.points()]


def test_a_point_that_no_worker_survives_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study]
) -> None:
    """They first import what kills them at that point."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'nursery' in sys.orig_argv[-1] or 'workers' in sys.orig_argv[-1]:\n"
        "    from semlink.flowgraphs.studies.engine import Engine\n"
        "    run = Engine.run\n"
        "    Engine.run = lambda self, point: os._exit(7) if point.esno_db == 6 else run(self, point)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with workers.Workers(small(), 1) as pool:
        pool.submit(small().points())
        finished: list[float] = []
        with pytest.raises(workers.WorkerError, match=r"\|6: 3 workers ended .*exit status 7"):
            finished.extend(point.esno_db for point, _ in pool.finished())
    assert finished == [0.0, 12.0]  # all the others


@on_linux
def test_workers_come_from_one_process_and_from_another_if_that_is_killed(small: Callable[..., Study]) -> None:
    study = small()
    with workers.Workers(study, 1) as pool:
        pool.submit(study.points())
        found = {}
        for point, outcome in pool.finished():
            found[point] = outcome.row["psnr_db"]
            if len(found) == 1:
                assert pool._nursery._tender is not None
                pool._nursery._tender.kill()
                pool._nursery._tender.wait()
                os.kill(pool._workers[0].process.pid, signal.SIGKILL)
    assert list(run_study(study, workers=0)["psnr_db"]) == [found[point] for point in study.points()]


@on_linux
@pytest.mark.parametrize(("told", "ended"), [("", (0, -signal.SIGKILL)), ("77\n", (77, -signal.SIGKILL))])
def test_a_child_of_which_nothing_more_is_told_was_killed(
    told: str, ended: tuple[int, int], small: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What forks it may be killed before it has heard of it. Process 0 would be all of our own group: spared."""
    child, killed = nursery._Forked(), []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    os.write(child.theirs[2], told.encode())

    class Killed:
        def start(self) -> nursery.Child:
            return child

    worker = workers._Worker(small(), Killed())  # type: ignore[arg-type]
    child.begun()
    worker._kill()
    assert killed == [pid for pid in ended[:1] if pid]
    assert (child.pid, child.wait(0)) == ended
    assert worker.end() == -signal.SIGKILL


@on_linux
def test_none_is_left_when_whoever_asked_is_killed(small: Callable[..., Study], tmp_path: Path) -> None:
    code = (
        "import os, pickle, sys\n"
        "from semlink.flowgraphs.studies.nursery import Nursery\n"
        "place = Nursery('semlink.flowgraphs.studies.workers')\n"
        "print(*(place.start().pid for _ in range(2)), place._tender.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    left = [int(one) for one in done.stdout.split()]
    assert len(left) == 3
    end = time.monotonic() + 60
    while [pid for pid in left if lives(pid)]:
        assert time.monotonic() < end
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_shortage_of_memory_is_no_error_of_the_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study], own_code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    short = 'if 0.2 < received.n0.mean() < 0.3: raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")'
    code = own_code.replace("LEVEL", "0.5").replace(
        "    def decode(self, received):", "    def decode(self, received):\n        S"
    )
    Path("hungry_of_mine.py").write_text(code.replace("        S", f"        {short}"))
    study = small(codecs=["hungry_of_mine:Grey"])
    with pytest.raises(workers.WorkerError, match=r"\|6: too little memory"):
        run_study(study, tmp_path / "out", workers=0)
    table = read_results(tmp_path / "out")[1]
    assert list(table["esno_db"]) == [0.0, 12.0]
    assert list(table["error"]) == ["", ""]


def test_a_worker_gets_the_points_whose_frames_it_has(
    monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study]
) -> None:
    sent: dict[int, list[Point]] = {}

    class Idle:
        """A worker that only notes what it is sent."""

        def __init__(self, _: Study, __: object) -> None:
            self.frames, self.point = None, None
            self.answers, other = os.pipe()
            self.ends = (self.answers, other)

        def send(self, point: Point) -> None:
            self.point, self.frames = point, workers._frames(point)
            sent.setdefault(id(self), []).append(point)

        def end(self) -> None:
            for one in self.ends:
                os.close(one)

    monkeypatch.setattr(workers, "_Worker", Idle)
    study = small(channels=["awgn", "rayleigh", "rician:K=3"], esno_db=[0, 6])
    with workers.Workers(study, 2) as pool:
        pool.submit(engine.in_turn(study, study.points()))
        for _ in range(2):
            for one in pool._workers:
                one.point = None
            pool.submit([])
    assert [[point.esno_db for point in points] for points in sent.values()] == [[0.0] * 3, [6.0] * 3]
