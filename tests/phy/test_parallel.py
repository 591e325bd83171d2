"""Work split over threads: every item once, no part too small, no deadlock, no exception lost."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from semlink.phy.parallel import run_in_threads


def threads_are(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: count)


def parts_of(count: int, least: int) -> list[tuple[int, int]]:
    parts: list[tuple[int, int]] = []
    run_in_threads(lambda first, last: parts.append((first, last)), count, least=least)
    return sorted(parts)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("least", [1, 3, 60, 1000])
def test_parts_are_contiguous_and_large_enough(
    monkeypatch: pytest.MonkeyPatch, threads: int, count: int, least: int
) -> None:
    threads_are(monkeypatch, threads)
    parts = parts_of(count, least)
    assert [i for first, last in parts for i in range(first, last)] == list(range(count))
    sizes = [last - first for first, last in parts]
    assert len(parts) == max(1, min(threads, count // least))
    assert min(sizes) >= min(least, count)
    assert max(sizes) - min(sizes) <= 1


def test_parts_run_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    threads_are(monkeypatch, 2)
    meeting = threading.Barrier(2)
    run_in_threads(lambda first, last: (meeting.wait(timeout=10), None)[1], 2, least=1)


def test_one_part_runs_in_the_calling_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads_are(monkeypatch, 4)
    names: list[int] = []
    run_in_threads(lambda first, last: names.append(threading.get_ident()), 5, least=5)
    assert names == [threading.get_ident()]


def test_nothing_to_do_calls_nothing() -> None:
    assert parts_of(0, 1) == []


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_exception_arrives_once_every_part_has_ended(monkeypatch: pytest.MonkeyPatch, bad: int) -> None:
    threads_are(monkeypatch, 3)
    ended: list[int] = []

    def kernel(first: int, last: int) -> None:
        if first == bad:
            raise RuntimeError(f"part {first}")
        time.sleep(0.05)
        ended.append(first)

    with pytest.raises(RuntimeError, match=f"part {bad}"):
        run_in_threads(kernel, 3, least=1)
    assert sorted(ended) == sorted({0, 1, 2} - {bad})
    assert len(parts_of(3, 1)) == 3  # the pool works on


def test_calls_inside_calls_and_from_many_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    threads_are(monkeypatch, 4)
    done: list[int] = []

    def outer(first: int, last: int) -> None:
        run_in_threads(lambda a, b: done.extend(range(a, b)), 10, least=1)

    with ThreadPoolExecutor(8) as callers:
        for call in [callers.submit(run_in_threads, outer, 4, least=1) for _ in range(50)]:
            call.result(timeout=20)
    assert len(done) == 50 * 4 * 10
    assert sum(done) == 50 * 4 * 45


FORKED = """
import os, torch
from semlink.phy.parallel import run_in_threads

torch.get_num_threads = lambda: 2
run_in_threads(lambda first, last: None, 2, least=1)
child = os.fork()
if child == 0:
    run_in_threads(lambda first, last: None, 2, least=1)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="count=-1 must be at least 0"):
        parts_of(-1, 1)
    with pytest.raises(ValueError, match="least=0 must be at least 1"):
        parts_of(1, 0)
