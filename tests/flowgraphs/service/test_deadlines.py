"""Deadlines: what is refused for them, what is hurried for them, and who is told when they are over."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, encode_request, encoded_reply, pack, unpack, with_deadline, with_id
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.jobs import Crossing, Job, choose, read_job
from semlink.flowgraphs.service.lanes import Lane
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting
from semlink.phy.waveform import BurstHeader

Carried = Callable[..., Request]


def all_alike(waiting: Mapping[int, Job]) -> list[int]:
    return choose(waiting, batch=16, pixels=1 << 19)


def take(waiting: Waiting) -> list[Request]:
    return waiting.next_batch(all_alike, lambda: True)


def done() -> Any:  # noqa: ANN401
    return encoded_reply(BurstHeader(codec=1, height=8, width=8, symbols=8), np.ones(8))


def test_who_has_a_deadline_is_not_kept_out_where_nothing_waits(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    """One slow request, such as after a stall, and all of 500 ms would be refused for ever."""
    waiting = Waiting(64, clock=told_clock)
    waiting.add(carried("a", 0))
    waiting.finish(take(waiting), [done()], 2.0)
    waiting.add(carried("a", 1, deadline=0.5))
    with pytest.raises(ValueError, match="deadline_ms=500: about 4000 ms of work come before the answer"):
        waiting.add(carried("a", 2, deadline=0.5))
    batch = take(waiting)
    with pytest.raises(ValueError, match="deadline_ms=500: about 2000 ms of work come before the answer"):
        waiting.add(carried("a", 3, deadline=0.5))
    waiting.finish(batch, [done()], 0.01)
    waiting.add(carried("a", 4, deadline=0.5))


def test_a_batch_that_loaded_a_codec_tells_nothing_of_the_next(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, clock=told_clock)
    for seconds, usual in ((2.0, False), (0.1, True), (3.0, False)):
        waiting.add(carried("a", 0))
        (one,) = take(waiting)
        waiting.finish([one], [done()], seconds, usual=usual)
    assert waiting.expected.seconds([one.route]) == pytest.approx(0.1)


def test_a_service_tells_when_it_loaded_a_codec() -> None:
    asked = encode_request(np.zeros((16, 16, 3), np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=10)
    service, loads = Service(threads=1), []
    for _ in range(2):
        before = service.here.loads
        service.run([read_job(asked)])
        loads.append(service.here.loads - before)
    service.close()
    assert loads == [1, 0]


def crossing(one: Request) -> Job:
    return one.job._replace(kind=Crossing(10.0, 50, 10, 10), arrays=(np.ones(50, np.complex64),))


def test_a_slot_goes_in_time_for_the_deadlines_in_it(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, latency_s=1.0, users=3, threads=2, clock=told_clock)
    waiting.add(carried("a", 0, deadline=0.3))
    first = take(waiting)
    waiting.add(carried("b", 1))
    take(waiting)  # who is waited for
    waiting.finish(first, [crossing(first[0])], 0.005)
    told_clock.now = 0.28
    assert waiting._candidates() == {}
    told_clock.now = 0.286  # of the 20 ms that are expected of it 15 are left
    assert [job.id for job in waiting._candidates().values()] == [0]


def test_what_has_a_deadline_is_done_before_larger_batches(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, latency_s=1.0, clock=told_clock)
    waiting.add(carried("a", 0, deadline=0.3))
    batch = take(waiting)
    waiting.finish(batch, [crossing(batch[0])], 0.005)
    for user in "bc":
        waiting.add(carried(user, 1))
    told_clock.now = 0.28
    assert len(waiting._candidates()) == 2
    told_clock.now = 0.286
    assert [job.id for job in waiting._candidates().values()] == [0]


def test_who_has_a_deadline_does_not_wait_for_who_is_about_to_ask(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, latency_s=1.0, clock=told_clock)
    for told_clock.now in (0.0, 0.5):  # b asks 50 ms after an answer
        waiting.add(carried("b", 0, arrived=told_clock.now))
        batch = take(waiting)
        told_clock.now += 0.45
        waiting.finish(batch, [done()], 0.02)
    waiting.add(carried("a", 1, arrived=0.95))
    assert waiting._candidates() == {}
    waiting.add(carried("c", 2, arrived=0.95, deadline=1.0))
    told_clock.now = 0.96
    assert waiting._candidates() == {}
    told_clock.now = 0.981
    assert len(waiting._candidates()) == 2


def test_it_is_known_when_the_next_one_is_over(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, clock=told_clock)
    waiting.add(carried("a", 0))
    assert waiting.expires_in() is None
    waiting.add(carried("a", 1, deadline=0.5))
    waiting.add(carried("a", 2, deadline=0.4))
    told_clock.now = 0.1
    assert waiting.expires_in() == pytest.approx(0.3)
    told_clock.now = 0.45
    assert waiting.expires_in() == 0
    take(waiting)  # a thread finds it, not the one that tells
    assert waiting.expires_in() == 0
    assert [one.job.id for one, _ in waiting.over()] == [2]


class FakeDoor:
    """In place of a front and its process; what is sent is kept."""

    generation, is_open, waiting = 1, True, 0

    def __init__(self, address: str, limits: object, keys: object) -> None:
        self.address, self.sent, self._inbox = address, queue.SimpleQueue[Pdu](), list[list[bytes]]()
        self._ours, self._theirs = socket.socketpair()

    def ask(self, pdu: Pdu) -> None:
        self._inbox.append([b"request", b"client", b"", *pack(pdu)])
        self._theirs.send(b"\0")

    def fileno(self) -> int:
        return self._ours.fileno()

    def take(self) -> list[list[bytes]]:
        with suppress(BlockingIOError):
            self._ours.recv(64, socket.MSG_DONTWAIT)
        taken, self._inbox = self._inbox, []
        return taken

    def flush(self) -> None:
        """All is sent."""

    def send(self, _: bytes, parts: list[bytes]) -> None:
        self.sent.put(unpack(parts))

    def close(self) -> list[list[bytes]]:
        self._ours.close()
        self._theirs.close()
        return []


class Held(Service):
    """Does nothing until it is let."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.begun, self.let = threading.Event(), threading.Event()

    def run(self, jobs: Sequence[Job], lane: Lane | None = None) -> list[Pdu]:
        self.begun.set()
        assert self.let.wait(60)
        return [with_id(done(), job.id) for job in jobs]


def test_who_waits_is_told_at_her_deadline_whatever_is_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a worker that is told to stop meanwhile does so, though nothing more rings."""
    monkeypatch.setattr("semlink.flowgraphs.service.worker.Door", FakeDoor)
    service = Held()
    worker = Worker(service, "tcp://127.0.0.1:*")
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    door: Any = worker._door
    asked = encode_request(np.zeros((10, 10, 3), np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=10)
    door.ask(with_id(asked, 0))
    assert service.begun.wait(60)
    door.ask(with_id(with_deadline(asked, 50.0), 1))
    assert door.sent.get(timeout=10).meta["message"] == "too late: deadline_ms=50 was over before it was done"
    service.let.set()
    assert door.sent.get(timeout=10).meta["id"] == 0
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()
