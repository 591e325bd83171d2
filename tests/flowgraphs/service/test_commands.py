"""What `semlink worker`, `node` and `serve` make of their options: pages, processes, nodes; and what they let go of."""

from __future__ import annotations

import urllib.request
from typing import Any, ClassVar

import pytest

from semlink.flowgraphs.service import commands, run_serve, run_worker, serve
from semlink.flowgraphs.service.lanes import Setup
from semlink.flowgraphs.service.worker import Worker

pytest.importorskip("zmq", reason="pyzmq is not installed")
LOCAL = "tcp://127.0.0.1:*"
USUAL: dict[str, Any] = {"batch": 16, "queue": 64, "threads": 1, "codecs": [], "report_s": None}


class Counted:
    """A lane that is none, and counts."""

    made: ClassVar[list[Counted]] = []
    cpu_s, memory_bytes, loads = 0.0, 0, 0

    def __init__(self, setup: Setup, most_s: float) -> None:
        self.setup, self.closed = setup, 0
        self.made.append(self)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(name="counted")
def give_counted(monkeypatch: pytest.MonkeyPatch) -> list[Counted]:
    for module in (commands, serve):
        monkeypatch.setattr(module, "Process", Counted)
    Counted.made = []
    return Counted.made


@pytest.mark.parametrize("makes", [False, True])
def test_a_worker_and_a_node_have_a_page(monkeypatch: pytest.MonkeyPatch, makes: bool) -> None:
    pytest.importorskip("waitress")
    pytest.importorskip("prometheus_client")
    seen: list[tuple[str, int]] = []

    def look(worker: Worker, name: str, *, page: str | None, **_: object) -> None:
        assert page is not None
        with urllib.request.urlopen(f"{page}metrics", timeout=30) as answer:
            seen.append((name, answer.status))
        assert worker.status()["makes"] is makes
        worker.close()

    monkeypatch.setattr(commands, "run_until_signal", look)
    run_worker(address=LOCAL, page=0, makes=makes, **USUAL)
    assert seen == [("semlink node" if makes else "semlink worker", 200)]


def test_processes_know_what_they_need_and_none_is_left(
    monkeypatch: pytest.MonkeyPatch, counted: list[Counted]
) -> None:
    monkeypatch.setattr(serve, "run_until_signal", lambda worker, *_, **__: worker.close())
    run_serve(address=LOCAL, channel="awgn", seed=7, processes=2)
    assert [one.setup for one in counted] == [Setup("awgn", 7, {})] * 2
    with pytest.raises(ValueError, match="address 'nowhere'"):
        run_serve(address="nowhere", processes=1)
    with pytest.raises(ValueError, match="--node here: address"):
        run_serve(address=LOCAL, processes=1, nodes=["here"])
    with pytest.raises(ValueError, match="address 'nowhere'"):
        run_worker(address="nowhere", processes=1, **USUAL)
    assert len(counted) == 5
    assert all(one.closed for one in counted)


@pytest.mark.parametrize("processes", [-1, 257])
def test_so_many_processes_cannot_be(processes: int) -> None:
    with pytest.raises(ValueError, match=f"--processes {processes} must be from 0, for threads of one process, to 256"):
        run_serve(processes=processes)
