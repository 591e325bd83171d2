"""What a service remembers has an end: bytes of its caches, users who asked once."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, carry_request
from semlink.flowgraphs.service import Service
from semlink.flowgraphs.service.cache import ENTRY_BYTES
from semlink.flowgraphs.service.presence import Presence
from semlink.flowgraphs.specs import make_channel


def carried(count: int) -> list[Pdu]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 16, 16, 3), np.uint8)
    return [carry_request(one, codec="deepjscc", ratio=1 / 6, esno_db=10) for one in images]


def test_what_the_caches_hold_keeps_nothing_else() -> None:
    """A row of a batch would keep the arrays of the whole batch."""
    awgn = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    service = Service(threads=1, channel=awgn, cache_bytes=1 << 20)
    replies = service.handle(carried(8))
    service.close()
    assert {reply.meta["op"] for reply in replies} == {"carried"}
    for cache, arrays in (
        (service.stages.encoded, [value.symbols for value, _ in service.stages.encoded._values.values()]),
        (service.stages.results, [value.image for value, _ in service.stages.results._values.values()]),
    ):
        assert len(arrays) == len(cache) == 8
        assert all(array.base is None or array.base.nbytes <= array.nbytes for array in arrays)
        assert cache.held > sum(array.nbytes for array in arrays) + 8 * ENTRY_BYTES


def test_small_entries_are_counted_with_what_they_take_beside() -> None:
    awgn = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    service = Service(threads=1, channel=awgn, cache_bytes=3 * (ENTRY_BYTES + 1300))
    service.handle(carried(8))
    service.close()
    assert len(service.stages.encoded) == len(service.stages.results) == 3


@pytest.mark.parametrize(("period", "most"), [(1.0, 257), (0.1, 2 * 601)])
def test_users_who_ask_once_are_forgotten_though_nobody_asks_how_many(period: float, most: int) -> None:
    presence = Presence()
    for i in range(3000):
        presence.asks(i, period * i)
        assert len(presence._users) <= most
    assert presence.count(3000 * period) == pytest.approx(60 / period, abs=1)
