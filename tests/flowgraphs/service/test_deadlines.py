"""Deadlines: what is refused for them, what is hurried for them, and who is told when they are over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import encode_request, encoded_reply
from semlink.flowgraphs.service import Service
from semlink.flowgraphs.service.jobs import Job, choose, read_job
from semlink.flowgraphs.service.waiting import Request, Waiting
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
        before = service.loads
        service.run([read_job(asked)])
        loads.append(service.loads - before)
    service.close()
    assert loads == [1, 0]
