"""Where networks compute, and on how many threads: for a process and those that it starts."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from semlink.phy import devices
from semlink.phy.devices import check_device, chosen_device, computing_on
from semlink.phy.parallel import cores


def test_a_device_that_is_not_there_is_named_beside_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_device("cuda:1")
    with pytest.raises(ValueError, match=r"device 'cuda:2' is not there; there is: cpu, cuda, cuda:0, cuda:1$"):
        check_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"--device cuda is not there; there is: cpu$"), computing_on("cuda"):
        pass
    monkeypatch.setenv(devices.DEVICE, "moon")
    with pytest.raises(ValueError, match=r"SEMLINK_DEVICE=moon is not there; there is: cpu$"):
        chosen_device()


def test_threads_are_for_pytorch_our_own_and_what_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.THREADS, "5")
    before = torch.get_num_threads()
    with computing_on("cpu", threads=3):
        asked = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['SEMLINK_DEVICE'])"
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
        assert (torch.get_num_threads(), cores(), done.stdout.split()) == (3, 3, ["3", "cpu"])
    assert (torch.get_num_threads(), cores(), chosen_device()) == (before, 5, "cpu")


@pytest.mark.parametrize(("said", "count"), [("3", 3), (" 2 ", 2), ("4,2", 4), ("1", 1)])
def test_omp_num_threads_is_heeded(said: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.THREADS, said)
    assert cores() == count


@pytest.mark.parametrize("said", ["", "0", "many", "-1", "1e3"])
def test_what_openmp_would_not_understand_stands_for_all_cores(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(devices.THREADS, raising=False)
    every = cores()
    monkeypatch.setenv(devices.THREADS, said)
    assert cores() == every


@pytest.mark.parametrize("count", [0, -1, 5000])
def test_a_number_of_threads_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"--threads {count} must be from 1 to 1024"), computing_on(threads=count):
        pass
