"""What may wait, of each client and in all; what a request may ask for; where the worker listens."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, decode_request, encode_request
from semlink.flowgraphs.service import Worker
from semlink.flowgraphs.service.door import check_local
from semlink.flowgraphs.service.jobs import MAX_SYMBOLS, Job, read_job
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting
from semlink.phy.waveform import BurstHeader

SIDE = 10


def request(client: str) -> Request:
    """Of 300 bytes."""
    pdu = encode_request(np.zeros((SIDE, SIDE, 3), np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=10)
    return Request(client.encode(), read_job(pdu), 0.0)


def first(waiting: Mapping[int, Job]) -> list[int]:
    return list(waiting)[:1]


def test_a_client_leaves_room_for_others() -> None:
    waiting = Waiting(16)
    for _ in range(14):
        waiting.add(request("greedy"))
    with pytest.raises(ValueError, match="the queue is full for you: 14 of your requests of 4200 bytes wait"):
        waiting.add(request("greedy"))
    waiting.add(request("modest"))
    waiting.add(request("late"))
    with pytest.raises(ValueError, match="the queue is full: 16 requests of 4800 bytes wait"):
        waiting.add(request("too late"))


def test_bytes_are_bounded_for_each_client_and_in_all() -> None:
    waiting = Waiting(64, bytes=2000)
    for client in ("a", "a", "a"):
        waiting.add(request(client))
    with pytest.raises(ValueError, match="full for you: 3 of your requests of 900 bytes"):
        waiting.add(request("a"))
    for client in ("b", "c", "d"):
        waiting.add(request(client))
    with pytest.raises(ValueError, match="the queue is full: 6 requests of 1800 bytes"):
        waiting.add(request("e"))
    alone = Waiting(64, bytes=100)
    alone.add(request("large"))  # what has more than all may have alone
    with pytest.raises(ValueError, match="is full"):
        alone.add(request("large"))


def test_what_is_under_way_counts() -> None:
    waiting = Waiting(64, bytes=700)
    for client in ("a", "b"):
        waiting.add(request(client))
    batch = waiting.next_batch(first, lambda: True)
    assert [one.client for one in batch] == [b"a"]
    with pytest.raises(ValueError, match="1 requests of 600 bytes"):
        waiting.add(request("c"))
    waiting.finish(batch, [Pdu({"op": "encoded"})], 0.1)
    waiting.add(request("c"))
    assert not waiting.is_empty()
    assert (waiting.forget(b"b"), len(waiting), waiting.forget(), len(waiting)) == (1, 1, 1, 0)
    waiting.stopping = True
    assert waiting.next_batch(first, lambda: True) == []
    assert waiting.is_empty()
    with pytest.raises(ValueError, match="about to stop"):
        waiting.add(request("d"))


def test_nothing_begins_while_replies_pile_up() -> None:
    waiting, answers = Waiting(4), iter([False, False, True])
    waiting.add(request("a"))
    assert len(waiting.next_batch(first, lambda: next(answers))) == 1
    assert next(answers, None) is None


@pytest.mark.parametrize("symbols", [0, 16 * 16 * 3 + 1, MAX_SYMBOLS])
def test_symbols_beyond_ratio_1_are_refused_before_anything_is_made_of_them(symbols: int) -> None:
    """16.7 million of them for an image of 16×16; the arrays are not even there."""
    header = BurstHeader(codec=1, height=16, width=16, symbols=128)
    meta = {**decode_request(header, np.ones(128), np.ones(128)).meta, "symbols": symbols}
    with pytest.raises(ValueError, match=rf"symbols={symbols} of a 16x16 image must be from 1 to 768, ratio 1"):
        read_job(Pdu(meta))
    with pytest.raises(ValueError, match="array symbols is missing"):
        read_job(Pdu({**meta, "symbols": 768}))


LOCAL = (
    "tcp://127.0.0.1:5555",
    "tcp://127.0.0.1:*",
    "tcp://127.8.0.1:1",
    "tcp://localhost:5555",
    "tcp://[::1]:5555",
    "ipc:///tmp/worker",
)
REACHED = (
    "tcp://*:5555",
    "tcp://0.0.0.0:5555",
    "tcp://192.168.1.7:5555",
    "tcp://[::]:5555",
    "tcp://[fe80::1]:5555",
    "tcp://a.host:5555",
    "tcp://localhost.a.host:5555",
    "tcp://127.0.0.1.a.host:5555",
    "tcp://eth0:5555",
    "tcp://127.1:5555",
    "tcp://:5555",
    "tcp://5555",
)


@pytest.mark.parametrize("address", LOCAL)
def test_addresses_of_this_machine_are_taken(address: str) -> None:
    check_local(address)


@pytest.mark.parametrize("address", REACHED)
def test_addresses_that_others_reach_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="unless --insecure says otherwise") as refusal:
        Worker(None, address)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(f"address {address!r}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("address", ["", "127.0.0.1:5555", "inproc://x", "udp://127.0.0.1:1", "pgm://eth0;239.0.0.1:1"])
def test_other_kinds_of_addresses_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"must be tcp:// or ipc://; such as tcp://127\.0\.0\.1:5555"):
        check_local(address)
