"""A request has a bound of time: who asked is told, what its thread still makes is dropped, and the next one waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu
from semlink.flowgraphs.service.jobs import Crossing, Job, choose
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting

Carried = Callable[..., Request]


def all_alike(waiting: Mapping[int, Job]) -> list[int]:
    return choose(waiting, batch=16, pixels=1 << 19)


def take(waiting: Waiting) -> list[Request]:
    return waiting.next_batch(all_alike, lambda: True)


def crossing(one: Request) -> Job:
    return one.job._replace(kind=Crossing(10.0, 50, 10, 10), arrays=(np.ones(50, np.complex64),))


def test_what_takes_too_long_is_given_up(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, job_s=2.0, clock=told_clock)
    waiting.add(carried("a", 7))
    (one,) = take(waiting)
    assert waiting.expires_in() == pytest.approx(2.0)
    told_clock.now = 1.9
    assert waiting.over() == []
    told_clock.now = 2.0
    assert waiting.expires_in() == 0
    ((request, reply),) = waiting.over()
    assert (request.client, reply.meta["id"]) == (b"a", 7)
    assert reply.meta["message"] == "given up: not done within the 2 s that a request has"
    assert waiting.over() == []
    assert waiting.expires_in() is None
    assert not waiting.cancel(b"a", 7)
    assert not waiting.knows(b"a", 7)
    assert waiting.under_way == 1  # its thread goes on
    assert waiting.finish([one], [Pdu({"op": "carried"})], 9.0) == []
    assert waiting.is_empty()
    assert waiting.expected.seconds([one.route]) == 2.0  # another of its kind has to wait as long


def test_stages_are_counted_together(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, job_s=2.0, clock=told_clock)
    waiting.add(carried("a", 0))
    (one,) = take(waiting)
    waiting.finish([one], [crossing(one)], 1.5)
    told_clock.now = 100.0  # what it waits for others does not count
    assert waiting.over() == []
    take(waiting)
    assert waiting.expires_in() == pytest.approx(0.5)
    told_clock.now = 100.6
    assert len(waiting.over()) == 1


def test_who_is_quick_is_not_given_up(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, job_s=2.0, clock=told_clock)
    for id, client in enumerate("ab"):
        waiting.add(carried(client, id, codec="swin" if client == "a" else "deepjscc"))
    first, second = take(waiting), take(waiting)
    told_clock.now = 1.0
    assert len(waiting.finish(first, [Pdu({"op": "carried"})], 1.0)) == 1
    told_clock.now = 3.0
    assert [request.client for request, _ in waiting.over()] == [second[0].client]


def test_a_client_has_a_share_of_the_queue(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    """However much one asks for, another has a place."""
    waiting = Waiting(16, clock=told_clock)
    for id in range(14):
        waiting.add(carried("a", id))
    with pytest.raises(ValueError, match="the queue is full for you: 14 of your requests"):
        waiting.add(carried("a", 14))
    waiting.add(carried("b", 0))
    jobs = waiting._candidates()
    assert {waiting._requests[key].client for key in list(jobs)[:2]} == {b"a", b"b"}  # and its turn at once
