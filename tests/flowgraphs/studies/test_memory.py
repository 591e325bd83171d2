"""More workers than memory allows: refused in one line before any is started, or fewer where nobody said how many."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.comparison import check_fitting, compare, fitting, memory, worker_bytes
from semlink.flowgraphs.studies import Study, run_study, runner
from semlink.phy import memory as of_machine
from semlink.phy.channels import AWGN

GIB = 1 << 30


class NoneStartedError(Exception):
    """In place of workers."""


@pytest.fixture
def three_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 3 * GIB + GIB // 2)
    monkeypatch.setattr(runner.Engine, "worker_bytes", lambda _self: GIB)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many workers were asked for; none is started."""
    found: list[int] = []

    def note(_study: object, count: int) -> None:
        found.append(count)
        raise NoneStartedError

    monkeypatch.setattr(runner, "Workers", note)
    return found


def study() -> Study:
    return Study(images=("samples",), codecs=("deepjscc",), channels=("awgn",), esno_db=tuple(map(float, range(8))))


@pytest.mark.usefixtures("three_fit")
def test_more_than_fit_are_refused_before_any_is_started(tmp_path: Path, started: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^workers=40: each needs about 1\.1 GB, and 3\.8 GB are free: 3 fit$"):
        run_study(study(), tmp_path / "out", workers=40)
    assert started == []
    for count in (3, 2):
        with pytest.raises(NoneStartedError):
            run_study(study(), workers=count)
    assert started == [3, 2]


@pytest.mark.usefixtures("three_fit")
def test_where_nobody_says_how_many_fewer_are_started(started: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "cores", lambda: 6)
    with (
        pytest.raises(NoneStartedError),
        pytest.warns(UserWarning, match=r"3 of 6 workers: each needs about 1\.1 GB"),
    ):
        run_study(study())
    assert started == [3]


def test_what_one_needs_grows_with_its_images_batches_and_weights() -> None:
    small, large = [torch.zeros(1, 3, 32, 32)], [torch.zeros(1, 3, 512, 768)]
    none = worker_bytes(small, [], batch_pixels=1 << 19)
    assert worker_bytes(large, [], batch_pixels=1 << 19) - none == pytest.approx(
        800 * 512 * 768 + 4 * 3 * 512 * 768, rel=0.01
    )
    assert worker_bytes(2000 * small, [], batch_pixels=1 << 19) - none == pytest.approx(
        800 * (1 << 19) + 2000 * 12288, rel=0.01
    )
    assert worker_bytes(small, [torch.nn.Linear(1000, 1000), object()], batch_pixels=1) - none == pytest.approx(
        4e6, rel=0.01
    )


def test_memory_is_what_the_machine_and_its_container_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 8000 kB\n")
    monkeypatch.setattr(of_machine, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(of_machine, "_CGROUP", tmp_path)
    assert memory.free_bytes() == 8000 << 10
    for name, text in (
        ("memory.max", "5000000\n"),
        ("memory.current", "3000000\n"),
        ("memory.stat", "anon 7\ninactive_file 500000\n"),
    ):
        (tmp_path / name).write_text(text)
    assert memory.free_bytes() == 2_500_000
    assert fitting(1_000_000) == 2
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes() == 8000 << 10
    monkeypatch.setattr(of_machine, "_MEMINFO", tmp_path / "none")
    assert (memory.free_bytes(), fitting(1)) == (None, None)
    check_fitting(10**9, 10**9, said="where it is not known nothing is refused")


def test_a_comparison_sends_less_at_once_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    from semlink.flowgraphs.comparison import comparison

    asked: list[int] = []
    whole = comparison._run_all
    monkeypatch.setattr(
        comparison,
        "_run_all",
        lambda plan, jobs, workers, done: (asked.append(workers), whole(plan, jobs, workers, done))[1],
    )
    monkeypatch.setattr(comparison, "cores", lambda: 4)
    from semlink.neural import zoo

    for free, expected in ((GIB, 4), (1_700_000, 2), (1, 1)):
        monkeypatch.setattr(memory, "free_bytes", lambda free=free: free)
        compare({"a": torch.zeros(1, 3, 32, 32)}, {"x": zoo.load("deepjscc")}, AWGN(), [0.0, 1.0, 2.0, 3.0])
        assert asked[-1] == expected
