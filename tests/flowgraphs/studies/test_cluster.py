"""A scheduler and two workers really run here, one of which is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from semlink.flowgraphs.studies import Progress, Refine, Study, run_study
from semlink.flowgraphs.studies.cluster import Cluster, send_point
from semlink.flowgraphs.studies.results import read_rows

pytest.importorskip("distributed")
STUDY = Study(
    images=["samples"],
    codecs=["jpeg-uncoded-qam:4qam-1/2"],
    channels=["awgn", "rayleigh"],
    esno_db="0:18:2",
    refine=Refine(psnr_db=3.0, finest_db=1.0),
    pictures=1,
)


class Machines:
    """A scheduler and two workers, as programs of their own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.address = folder, f"tcp://127.0.0.1:{port}"
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.scheduler = self._start(["dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"])
        self.workers = [self._worker("--resources", "GPU=1"), self._worker()]

    def _start(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        module, *rest = arguments
        program = [sys.executable, "-m", f"distributed.cli.{module}", *rest]
        return subprocess.Popen(program, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _worker(self, *offer: str) -> subprocess.Popen[bytes]:
        """Without a nanny, so that a killed worker stays dead."""
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(self.folder)]
        return self._start(["dask_worker", self.address, *options, *offer])

    def mend(self) -> None:
        """Start another in the place of the first worker, which offers a GPU, if a test before killed it."""
        if self.workers[0].poll() is not None:
            self.workers[0] = self._worker("--resources", "GPU=1")
        self.wait()

    def wait(self) -> None:
        """Until all are there: a slow machine takes its time to start Python thrice."""
        from distributed import Client

        with Client(self.address, timeout=120, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=120)

    def stop(self) -> None:
        """End all that still run."""
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Machines]:
    """Of all tests of this file: to start Python thrice, and PyTorch in two of them, takes longer than a test."""
    machines = Machines(tmp_path_factory.mktemp("machines"), free_port())
    try:
        yield machines
    finally:
        machines.stop()


@pytest.fixture
def machines(started: Machines) -> Machines:
    """All of them there."""
    started.mend()
    return started


@pytest.mark.slow
def test_points_go_to_workers_that_offer_what_they_need(machines: Machines) -> None:
    with Cluster(STUDY, machines.address, resources={"GPU": 1}) as cluster:
        cluster.submit(STUDY.points()[:4])
        assert len(list(cluster.finished())) == 4
        loaded = cluster._client.run(studies_loaded)
    assert sorted(loaded.values()) == [0, 1]


def studies_loaded() -> int:
    """Of how many studies a worker has sent points, of those whose images it takes on trust as this test has it."""
    from semlink.flowgraphs.studies import cluster

    return sum(known.startswith("None ") for known in cluster._engines)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_and_doubles_nothing(
    tmp_path: Path, machines: Machines, same: Callable[[pd.DataFrame, pd.DataFrame], None]
) -> None:
    killed = []

    def kill(state: Progress) -> None:
        if state.done == 5 and not killed:
            machines.workers[0].send_signal(signal.SIGKILL)
            killed.append(machines.workers[0].wait())

    table = run_study(STUDY, tmp_path / "out", scheduler=machines.address, progress=kill)
    assert killed == [-signal.SIGKILL]
    local = run_study(STUDY, workers=0)
    same(table, local)
    lines = (tmp_path / "out" / "points.jsonl").read_text().splitlines()
    assert len(lines) == len(read_rows(tmp_path / "out")) == len(table) > STUDY.size


def test_a_worker_with_other_images_is_refused() -> None:
    study = replace(STUDY, channels=["awgn"], esno_db=[0]).to_dict()
    with pytest.raises(ValueError, match="other images"):
        send_point(study, ("jpeg-uncoded-qam:4qam-1/2", "awgn", 1 / 6, 0.0), "0" * 64)


def test_a_scheduler_that_is_not_there_is_named(tmp_path: Path, free_port: Callable[[], int]) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ValueError, match=rf"--scheduler {address}: no scheduler answers there"):
        Cluster(STUDY, address, timeout_s=1)
    with pytest.raises(ValueError, match=r"--scheduler nonsense: no scheduler answers there"):
        Cluster(STUDY, "nonsense", timeout_s=1)
