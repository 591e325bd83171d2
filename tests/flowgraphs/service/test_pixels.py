"""How large the images are that the threads of a service have under way, together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from semlink.flowgraphs.comparison import BATCH_PIXELS
from semlink.flowgraphs.service import Service
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting

Carried = Callable[..., Request]
SIDE = 362
"""Four images of it are one thread's share, nearly."""


@pytest.fixture
def service() -> Service:
    one = Service(threads=2)
    one.concurrent = True
    return one


def start(service: Service, clock: Any) -> tuple[Waiting, Callable[[], int]]:  # noqa: ANN401
    """What waits, and a thread that takes what there is at once, or nothing."""
    waiting = Waiting(64, threads=2, pixels=service.pixels, clock=clock)

    def take() -> int:
        return len(waiting._take(waiting._candidates(), service.choose))

    return waiting, take


def test_each_thread_has_its_share_of_pixels(service: Service, told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    """And not each that of all threads."""
    waiting, take = start(service, told_clock)
    for id in range(12):
        waiting.add(carried("a", id, side=SIDE))
    assert [take(), take(), take()] == [4, 4, 0]
    assert sum(one.job.pixels for one in waiting._busy.wanted()) <= 2 * BATCH_PIXELS
    waiting._let_go(list(waiting._busy.wanted())[:1])
    assert take() == 1


def test_large_images_leave_the_others_what_is_left(service: Service, told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting, take = start(service, told_clock)
    for id, (client, side) in enumerate([("a", 900), ("b", 900), ("c", SIDE)]):
        waiting.add(carried(client, id, side=side))
    assert [take(), take()] == [1, 0]  # 810,000 of 1,048,576
    waiting.forget(b"b")
    assert take() == 1


def test_beside_one_larger_than_all_may_be_others_go_on(service: Service, told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting, take = start(service, told_clock)
    waiting.add(carried("a", 0, side=1100))
    for id in range(6):
        waiting.add(carried("b", id, side=SIDE))
    assert [take(), take(), take()] == [1, 4, 0]
