"""Stages in processes of their own: the same numbers, and nothing lost or told twice when one is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, WorkerClient, carry_request, encode_request, read_carried, with_id
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.jobs import Making, Task
from semlink.flowgraphs.service.lanes import LostError, Process, Setup
from semlink.flowgraphs.service.record import Record
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting
from semlink.flowgraphs.specs import make_channel

pytest.importorskip("zmq", reason="pyzmq is not installed")
CHANNEL = "uplink:users=3,rx=3,mmse"
CODECS = ("deepjscc", "jpeg-ldpc-qam:adaptive")


def images(count: int, side: int = 16) -> list[Any]:
    rng = np.random.default_rng(3)
    block = np.ones((side // 2, side // 2, 1), np.uint8)
    return [np.kron(rng.integers(0, 256, (2, 2, 3), np.uint8), block) for _ in range(count)]


def asked(number: int, image: Any, codec: str = CODECS[0]) -> Pdu:  # noqa: ANN401
    return with_id(carry_request(image, codec=codec, ratio=1 / 6, esno_db=12), number)


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(120)


def test_a_process_gives_the_same_and_is_started_again_when_it_is_killed() -> None:
    """One process for all of it: each costs seconds to start."""
    over = make_channel(CHANNEL, coherence=None, csi=None, equaliser=None)
    lane = Process(Setup(CHANNEL, 5), 300.0)
    service = Service(threads=1, channel=over, seed=5, lanes=[lane])
    requests = [asked(i, image, codec) for i, (codec, image) in enumerate(zip(CODECS * 2, images(4), strict=True))]
    here, there = service.handle(requests), service.handle(requests, lane)
    for one, other in zip(here, there, strict=True):
        assert one.meta == other.meta
        np.testing.assert_array_equal(one.arrays["image"], other.arrays["image"])
    assert lane.loads > 0
    assert lane.cpu_s > 0
    assert service.memory_bytes > lane.memory_bytes > 1 << 26
    wrong = encode_request(images(1)[0], codec="deepjscc", ratio=1 / 6, esno_db=12)
    bad = [Pdu({**wrong.meta, "codec": "jpeg-ldpc-qam:16qam-1/2", "ratio": 1e-3}, wrong.arrays)]
    (one,), (other,) = service.handle(bad), service.handle(bad, lane)
    assert one.meta == other.meta
    assert one.meta["op"] == "error"
    _killed_under_way(service, lane)


def _killed_under_way(service: Service, lane: Process) -> None:
    first, many = lane.pid, 24
    pictures = images(many)
    service.record = Record()
    with running(Worker(service, "tcp://127.0.0.1:*")) as worker, WorkerClient(worker.address, timeout_s=240) as client:
        client.status()  # the line is up
        os.kill(first, signal.SIGSTOP)
        numbers = {client.submit(asked(0, image)): image for image in pictures}
        while not worker._waiting.under_way:
            time.sleep(0.001)
        time.sleep(1.0)  # the batch is with the process, which cannot finish it
        os.kill(first, signal.SIGKILL)
        answers = [client.poll(240.0) for _ in range(many)]
        extra = client.poll(0.2)
        status = client.status()
    assert extra is None
    assert sorted(int(one.meta["id"]) for one in answers if one) == sorted(numbers)
    assert {one.meta["op"] for one in answers if one} == {"carried"}
    assert lane.pid != first
    assert (status["served"], status["lost"], status["refused"]) == (many, 1, 0)
    for one in answers:
        assert one is not None
        sent = numbers[int(one.meta["id"])]
        assert np.abs(read_carried(one).image.astype(int) - sent).mean() < 40  # hers, and not another's


def test_a_process_that_cannot_be_says_why() -> None:
    lane = Process(Setup("no-such-channel"), 300.0)
    with pytest.raises(ValueError, match="no-such-channel"):
        lane.make(Task(Making, {}, {}))  # type: ignore[arg-type]
    lane.close()


class Deadly:
    """A lane that is lost with whatever has an image of the value 13 in it, and with every tenth task at all."""

    cpu_s, memory_bytes, loads = 0.0, 0, 0

    def __init__(self, service: Service, *, every: int = 10**9) -> None:
        self._make, self._every, self.given, self.renewed = service.here.make, every, 0, 0

    def make(self, task: Task) -> Any:  # noqa: ANN401
        self.given += 1
        image = task.arrays.get("image")
        if (image is not None and image.dtype == np.uint8 and (image == 13).all(axis=(1, 2, 3)).any()) or (
            self.given % self._every == 0
        ):
            raise LostError("its process ended: SIGKILL")
        return self._make(task)

    def renew(self, wanted: Any) -> None:  # noqa: ANN401
        self.renewed += 1

    def close(self) -> None:
        pass


def test_what_kills_whoever_has_it_is_given_up_and_nothing_else() -> None:
    """Each of a batch that was lost is done again by itself, so that the others are not lost with it."""
    over = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    service = Service(threads=1, channel=over)
    lanes = [Deadly(service), Deadly(service)]
    service.lanes, service.threads = list(lanes), 2
    pictures = [*images(7), np.full((16, 16, 3), 13, np.uint8)]
    with running(Worker(service, "tcp://127.0.0.1:*")) as worker, WorkerClient(worker.address, timeout_s=120) as client:
        numbers = [client.submit(asked(0, image)) for image in pictures]
        answers = {int(one.meta["id"]): one for one in (client.poll(120.0) for _ in numbers) if one}
        assert client.poll(0.2) is None
        status = client.status()
    said = [answers[number].meta for number in numbers]
    assert [one["op"] for one in said] == ["carried"] * 7 + ["error"]
    assert said[-1]["message"] == "lost twice while it was being done; its process ended: SIGKILL"
    assert status["lost"] == sum(lane.renewed for lane in lanes) == 2


def take(waiting: Waiting) -> list[Request]:
    return waiting.next_batch(lambda jobs: list(jobs), lambda: True)


def test_what_is_put_back_is_settled_once(told_clock: Any, carried: Any) -> None:  # noqa: ANN401
    waiting = Waiting(64, clock=told_clock)
    for id, client in enumerate("abcd"):
        waiting.add(carried(client, id))
    batch = take(waiting)
    assert waiting.cancel(b"a", 0)
    assert waiting.forget(b"b") == 1
    (cancelled,) = waiting.put_back(batch, "gone")
    assert cancelled[1].meta["message"] == "cancelled, as you asked"
    alone = [take(waiting), take(waiting)]
    assert [[one.client for one in each] for each in alone] == [[b"c"], [b"d"]]
    assert waiting.put_back(alone[0], "away", begun=False) == []  # which it never was given
    assert [one.client for one in take(waiting)] == [b"c"]
    ((late, why),) = waiting.put_back(alone[1], "gone")
    assert (late.client, why.meta["message"]) == (b"d", "lost twice while it was being done; gone")
    (last,) = waiting.finish(list(waiting._busy.wanted()), [Pdu({"op": "carried"})], 0.1)
    assert last[0].client == b"c"
    assert waiting.is_empty()


def test_a_job_that_was_lost_shares_no_batch_with_one_that_was_not(told_clock: Any, carried: Any) -> None:  # noqa: ANN401
    waiting = Waiting(64, clock=told_clock)
    waiting.add(carried("a", 0))
    waiting.put_back(take(waiting), "gone")
    for id, client in enumerate("bcd"):
        waiting.add(carried(client, id))
    seen: list[Sequence[bytes]] = []
    while len(waiting):
        seen.append([one.client for one in take(waiting)])
    assert sorted(map(len, seen)) == [1, 3]
    assert [b"a"] in seen
