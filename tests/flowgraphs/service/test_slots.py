"""Slots of the uplink, users who are awaited, what is remembered: no clock but the one that is told."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.flowgraphs.service.cache import Cache, digest
from semlink.flowgraphs.service.expected import FIRST_S, Expected
from semlink.flowgraphs.service.presence import Presence
from semlink.flowgraphs.service.slots import Slots


def test_a_full_slot_goes_at_once_and_each_user_is_in_it_once() -> None:
    slots = Slots(3)
    for key, user in enumerate("aabc"):
        slots.add(key, user, 10.0, until=5.0)
    assert slots.take(0.0, awaited=frozenset("abcd")) == [[0, 2, 3]]
    assert len(slots) == 1
    assert slots.due() == 5.0


def test_what_a_slot_lacks_is_silence_and_no_waiting_beyond_its_time() -> None:
    slots = Slots(3)
    slots.add("one", "a", 10.0, until=5.0)
    slots.add("two", "b", 10.0, until=7.0)
    assert slots.take(4.9, awaited=frozenset("c")) == []
    assert slots.take(5.0, awaited=frozenset("c")) == [["one", "two"]]
    assert slots.due() is None


def test_nobody_is_waited_for_who_is_not_coming() -> None:
    slots = Slots(3)
    slots.add("one", "a", 10.0, until=5.0)
    assert slots.take(0.0, awaited=frozenset("a")) == [["one"]]  # she is in it already


def test_users_of_other_levels_are_in_other_slots() -> None:
    slots = Slots(2)
    for key, (user, level) in enumerate([("a", 10.0), ("b", 20.0), ("c", 10.0)]):
        slots.add(key, user, level, until=5.0)
    assert slots.take(0.0, awaited=frozenset("d")) == [[0, 2]]
    slots.drop(1)
    assert len(slots) == 0
    assert slots.take(9.0) == []
    with pytest.raises(ValueError, match="users=0 of a slot must be 1 or more"):
        Slots(0)


def test_users_are_awaited_as_long_as_they_usually_take() -> None:
    presence = Presence()
    for begin in (0.0, 1.0):  # asks 0.05 s after an answer
        presence.asks("quick", begin)
        presence.is_answered("quick", begin + 0.95)
    presence.asks("slow", 0.0)
    presence.is_answered("slow", 0.1)
    presence.asks("slow", 1.9)
    presence.is_answered("slow", 1.95)
    presence.asks("new", 1.9)
    presence.is_answered("new", 1.95)
    assert presence.awaited(1.96, within=0.2) == {"quick"}
    assert presence.awaited(2.04, within=0.2) == {"quick"}
    assert presence.awaited(2.06, within=0.2) == set()  # given up: twice as long as usual
    assert presence.awaited(1.96, within=0.01) == set()
    presence.asks("quick", 2.0)
    assert presence.awaited(2.01, within=0.2) == set()  # she is here
    assert presence.count(2.0, within=10.0) == 3
    assert presence.count(11.95, within=10.0) == 1


def test_the_least_recently_used_goes_when_the_bytes_are_spent() -> None:
    cache: Cache[str] = Cache(100)
    for key in "abc":
        cache.put(key, key.upper(), 40)
    assert [cache.get(key) for key in "abc"] == [None, "B", "C"]
    cache.get("b")
    cache.put("d", "D", 40)
    assert [cache.get(key) for key in "bcd"] == ["B", None, "D"]
    assert (cache.held, len(cache)) == (80, 2)
    cache.put("large", "L", 101)
    assert cache.get("large") is None
    cache.put("b", "again", 10)
    assert (cache.get("b"), cache.held) == ("again", 50)
    assert (cache.hits, cache.misses) == (6, 3)


def test_a_cache_that_is_off_keeps_and_counts_nothing() -> None:
    cache: Cache[str] = Cache(0)
    cache.put("a", "A", 1)
    assert (cache.get("a"), cache.misses, cache.held) == (None, 0, 0)
    with pytest.raises(ValueError, match="bytes=-1"):
        Cache(-1)


def test_digests_tell_contents_shapes_and_kinds_apart() -> None:
    one = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert digest(one) == digest(one.copy(order="F"))
    others = [one.reshape(4, 3), one.astype(np.float32), one + 1, one.T]
    assert len({digest(one), *map(digest, others)}) == 5
    assert digest(one, one) != digest(one)


def test_expected_times_follow_what_is_seen() -> None:
    expected = Expected()
    assert expected.seconds(["a", "b"]) == 2 * FIRST_S
    expected.learn("a", 4, 0.4)
    assert expected.seconds(["a"]) == pytest.approx(0.1)
    for _ in range(50):
        expected.learn("a", 1, 0.3)
    assert expected.seconds(["a"]) == pytest.approx(0.3, rel=1e-3)
    assert expected.knows(["a"])
    assert not expected.knows(["a", "b"])
    for kind in range(1000):
        expected.learn(kind, 1, 1.0)
    assert not expected.knows(["a"])
