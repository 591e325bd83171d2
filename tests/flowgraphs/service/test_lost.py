"""Clients who are gone: nothing more is done for them, whatever was under way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semlink.flowgraphs.protocol import Pdu
from semlink.flowgraphs.service.jobs import Crossing, Job, choose
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting

Carried = Callable[..., Request]


def take(waiting: Waiting) -> list[Request]:
    return waiting.next_batch(lambda jobs: choose(jobs, batch=16, pixels=1 << 19), lambda: True)


def crossing(one: Request) -> Job:
    return one.job._replace(kind=Crossing(10.0, 50, 10, 10), arrays=(np.ones(50, np.complex64),))


def test_what_is_under_way_for_a_lost_client_goes_no_further(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, clock=told_clock)
    for id, client in enumerate("aab"):
        waiting.add(carried(client, id))
    batch = take(waiting)
    waiting.add(carried("a", 9))
    assert waiting.forget(b"a") == 3  # one that waits, two under way
    assert waiting.forget(b"a") == 0
    assert not waiting.cancel(b"a", 0)
    assert [one.client for one in batch] == [b"a", b"b", b"a"]
    done = waiting.finish(batch, [crossing(batch[0]), crossing(batch[1]), Pdu({"op": "carried"})], 0.1)
    assert done == []
    assert [one.client for one in take(waiting)] == [b"b"]
    assert waiting.forget(None) == 1
    assert waiting.under_way == 1  # until it is done


def test_one_that_comes_again_is_not_taken_for_a_replay(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, clock=told_clock)
    waiting.add(carried("a", 0))
    batch = take(waiting)
    assert waiting.knows(b"a", 0)
    waiting.forget(b"a")
    assert not waiting.knows(b"a", 0)
    waiting.add(carried("a", 0))
    waiting.finish(batch, [crossing(batch[0])], 0.1)
    assert waiting.knows(b"a", 0)
    (again,) = take(waiting)
    assert again.key != batch[0].key
    assert waiting.finish([again], [Pdu({"op": "carried"})], 0.1) == [
        (again._replace(spent=0.1), Pdu({"op": "carried"}))
    ]
    assert waiting.is_empty()


def test_a_slot_does_not_wait_for_who_is_gone_while_encoded(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, latency_s=1.0, users=3, threads=2, clock=told_clock)
    waiting.add(carried("a", 0))
    first = take(waiting)
    waiting.add(carried("b", 1))
    take(waiting)
    waiting.finish(first, [crossing(first[0])], 0.01)
    assert waiting._candidates() == {}
    waiting.forget(b"b")
    assert [job.id for job in waiting._candidates().values()] == [0]
