"""Whose turn it is, and how much waits: pure bookkeeping, no clock."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from semlink.flowgraphs.service.fair import FairQueue
from semlink.flowgraphs.service.load import Room


def served(queue: FairQueue, count: int) -> list[object]:
    """So many keys in their turns."""
    taken = []
    for _ in range(count):
        key = next(iter(queue))
        queue.take(key)
        taken.append(key)
    return taken


def test_a_user_who_floods_delays_herself_alone() -> None:
    queue = FairQueue()
    for i in range(100):
        queue.add(("flood", i), "flood", 1.0)
    served(queue, 5)
    for i in range(3):
        queue.add(("modest", i), "modest", 1.0)
    turns = served(queue, 7)
    assert {one[1] for one in turns if one[0] == "modest"} == {0, 1, 2}  # type: ignore[index]
    assert [one[0] for one in turns].count("flood") == 4  # type: ignore[index]


def test_time_is_shared_and_not_requests() -> None:
    """Who asks for work of three times the cost is served a third as often."""
    queue = FairQueue()
    for i in range(60):
        queue.add(("large", i), "large", 3.0)
        queue.add(("small", i), "small", 1.0)
    counts = Counter(one[0] for one in served(queue, 40))  # type: ignore[index]
    assert counts["small"] == pytest.approx(30, abs=1)


def test_nothing_is_saved_up_while_away() -> None:
    queue = FairQueue()
    for i in range(50):
        queue.add(("a", i), "a", 1.0)
    served(queue, 40)
    for i in range(20):
        queue.add(("b", i), "b", 1.0)
    assert Counter(one[0] for one in served(queue, 10)) == {"a": 5, "b": 5}  # type: ignore[index]


def test_a_batch_may_take_requests_out_of_their_turn() -> None:
    queue = FairQueue()
    for i in range(4):
        queue.add(i, "a", 1.0)
    queue.take(3)
    queue.add("late", "b", 1.0)  # not behind what was taken before its time
    assert list(queue)[0:2] == [0, "late"]


def test_what_is_dropped_costs_nothing() -> None:
    queue = FairQueue()
    for i in range(3):
        queue.add(i, "a", 1.0)
    queue.add("b", "b", 1.5)
    for i in (0, 1):
        queue.drop(i)
    assert list(queue) == [2, "b"]
    assert 2 in queue
    assert len(queue) == 2
    queue.drop(2)
    queue.add(3, "a", 1.0)
    assert next(iter(queue)) == "b"
    assert queue.before("a") == 2.5


def test_users_who_are_through_are_forgotten() -> None:
    queue = FairQueue()
    for i in range(1000):
        queue.add(i, i, 1.0)
        queue.take(i)
    assert len(queue._ends) < 200


@pytest.mark.parametrize("cost", [-1.0, math.nan])
def test_costs_are_not_negative(cost: float) -> None:
    with pytest.raises(ValueError, match="cost="):
        FairQueue().add(0, "a", cost)
    queue = FairQueue()
    queue.add(0, "a", 0.0)
    with pytest.raises(ValueError, match="key=0 waits already"):
        queue.add(0, "b", 0.0)


def test_expected_time_is_bounded_for_each_and_in_all() -> None:
    room = Room(100, bytes=10**9, seconds=4.0)
    for _ in range(2):
        room.check("a", 10, 1.0)
        room.enter("a", 10, 1.0)
    with pytest.raises(ValueError, match=r"full for you: about 2\.0 s of your work wait"):
        room.check("a", 10, 1.0)
    for user in "bc":
        room.check(user, 10, 1.0)
        room.enter(user, 10, 1.0)
    with pytest.raises(ValueError, match=r"the queue is full: about 4\.0 s of work wait; try again"):
        room.check("d", 10, 1.0)
    for user in "aabc":
        room.leave(user, 10, 1.0)
    room.check("d", 10, 100.0)  # alone it may take as long as it takes
    assert (room.waiting.count, room.waiting.seconds, room.of("a").count) == (0, 0.0, 0)
