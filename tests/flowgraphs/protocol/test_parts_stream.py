"""Messages of several parts over a stream: whole, in order, whatever their sizes, and without waiting."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Part, PartsStream


@pytest.fixture
def ends() -> Iterator[tuple[PartsStream, PartsStream]]:
    one, other = (PartsStream(end) for end in socket.socketpair())
    yield one, other
    for end in (one, other):
        end.close()


def carry(source: PartsStream, sink: PartsStream, count: int) -> list[list[Part]]:
    """So many messages, both ends having their turns."""
    found: list[list[Part]] = []
    for _ in range(100_000):
        source.flush()
        found += sink.take()
        if len(found) >= count:
            break
    return found


def test_messages_arrive_as_they_were_sent(ends: tuple[PartsStream, PartsStream]) -> None:
    rng = np.random.default_rng(0)
    sizes = [*rng.choice([0, 1, 7, 1000, 70_000], (100, 4)).tolist(), [3_000_000], [0], [0] * 50]
    sent: list[list[Part]] = [[rng.bytes(size) for size in row] for row in sizes]
    for parts in sent:
        ends[0].put(parts)
    assert ends[0].waiting > 3_000_000  # more than the system takes
    assert [[bytes(part) for part in parts] for parts in carry(*ends, len(sent))] == sent
    assert ends[0].waiting == 0
    assert ends[1].take() == []


def test_arrays_go_as_their_bytes(ends: tuple[PartsStream, PartsStream]) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    ends[0].put([memoryview(values)])
    ((part,),) = carry(*ends, 1)
    assert isinstance(part, memoryview)
    assert part.readonly
    np.testing.assert_array_equal(np.frombuffer(part, np.float32), values.ravel())


def test_both_ways_at_once_nothing_is_stuck(ends: tuple[PartsStream, PartsStream]) -> None:
    one, other = ends
    for end in ends:
        end.put([bytes(2_000_000)])
    found: dict[PartsStream, int] = {one: 0, other: 0}
    for _ in range(10_000):
        for end in ends:
            end.flush()
            found[end] += len(end.take())
        if all(found.values()):
            break
    assert all(found.values())


def test_an_end_that_is_gone_is_noticed(ends: tuple[PartsStream, PartsStream]) -> None:
    one, other = ends
    other.put([b"last"])
    other.close()
    assert one.is_open
    assert [[bytes(part) for part in parts] for parts in one.take()] == [[b"last"]]
    assert not one.is_open
    one.put([b"to nobody"])
    assert one.waiting == 0


def test_what_is_put_to_one_that_is_gone_is_not_kept(ends: tuple[PartsStream, PartsStream]) -> None:
    one, other = ends
    one.put([bytes(1 << 20)])
    assert one.waiting
    other.close()
    one.flush()
    assert (one.is_open, one.waiting) == (False, 0)
