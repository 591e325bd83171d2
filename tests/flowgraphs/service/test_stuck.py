"""Work that was given up and never ends: the service says so, stops when it is to, and serves again if it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, WorkerClient, WorkerError, encode_request
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service import worker as workers
from semlink.flowgraphs.service.jobs import Job, choose
from semlink.flowgraphs.service.lanes import Lane
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import STUCK, Waiting

pytest.importorskip("zmq", reason="pyzmq is not installed")
Carried = Callable[..., Request]


def take(waiting: Waiting) -> list[Request]:
    def alone(jobs: Mapping[int, Job]) -> list[int]:
        return choose(jobs, batch=1, pixels=1 << 19)

    return waiting.next_batch(alone, lambda: True)


def test_when_no_thread_is_left_who_waits_is_told(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, threads=2, job_s=2.0, clock=told_clock)
    for id, client in enumerate("abcd"):
        waiting.add(carried(client, id))
    first = take(waiting)
    told_clock.now = 1.0
    second = take(waiting)
    told_clock.now = 2.5
    assert [request.client for request, _ in waiting.over()] == [b"a"]
    waiting.add(carried("e", 5))  # one thread is left
    told_clock.now = 3.5
    told = {request.client: str(reply.meta["message"]) for request, reply in waiting.over()}
    assert told.pop(b"b").startswith("given up")
    assert told == dict.fromkeys((b"c", b"d", b"e"), STUCK)
    with pytest.raises(ValueError, match="all threads are at work that was given up"):
        waiting.add(carried("f", 6))
    assert waiting.is_empty()
    waiting.stopping = True
    assert take(waiting) == []  # which another thread would be given
    waiting.stopping = False
    waiting.finish(first, [Pdu({"op": "carried"})], 4.0)
    waiting.add(carried("f", 6))
    waiting.finish(second, [Pdu({"op": "carried"})], 4.0)
    assert [one.client for one in take(waiting)] == [b"f"]


def test_what_nobody_waits_for_is_not_stuck_before_its_time(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, job_s=2.0, clock=told_clock)
    waiting.add(carried("a", 0))
    take(waiting)
    waiting.forget(b"a")
    waiting.add(carried("b", 1))
    assert waiting.over() == []


def test_a_service_stops_whatever_its_threads_are_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Waiting", partial(Waiting, job_s=0.3))
    monkeypatch.setattr(workers, "JOB_S", 0.3)
    monkeypatch.setattr(workers, "END_S", 0.2)
    free = threading.Event()

    class Stuck(Service):
        def run(self, jobs: Sequence[Job], lane: Lane | None = None) -> list[Pdu]:
            free.wait(60)
            return super().run(jobs)

    worker = Worker(Stuck(threads=1), "tcp://127.0.0.1:*")
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    asked = encode_request(np.zeros((8, 8, 3), np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=10)
    try:
        with WorkerClient(worker.address, timeout_s=30.0) as client:
            for why in ("given up", "all threads are at work"):
                with pytest.raises(WorkerError, match=why):
                    client.call(asked)
        worker.stop()
        thread.join(10)
        assert not thread.is_alive()
    finally:
        free.set()
        end = time.monotonic() + 10
        while any(one.name.startswith("semlink-compute") for one in threading.enumerate()):
            assert time.monotonic() < end
            time.sleep(0.02)
