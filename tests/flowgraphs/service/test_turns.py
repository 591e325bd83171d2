"""What waits, stage by stage, by a clock that is told: deadlines, cancelling, slots, shares of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, carry_request, decode_request, encode_request, encoded_reply, with_id
from semlink.flowgraphs.service.jobs import Arriving, Crossing, Job, choose
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.trips import read_deadline, read_request
from semlink.flowgraphs.service.waiting import Waiting
from semlink.phy.waveform import BurstHeader

SIDE = 10


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def image(value: int = 0) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), value, np.uint8)


def job(id: int, value: int = 0, codec: str = "swin", esno_db: float = 10.0) -> Job:
    asked = carry_request(image(value), codec=codec, ratio=1 / 6, esno_db=esno_db)
    return read_request(with_id(asked, id), carries=True)


def request(client: str, id: int, now: float = 0.0, **options: float) -> Request:
    deadline = options.pop("deadline", float("inf"))
    return Request(client.encode(), job(id, **options), now, deadline=deadline)  # type: ignore[arg-type]


def all_alike(waiting: Mapping[int, Job]) -> list[int]:
    return choose(waiting, batch=16, pixels=1 << 19)


def next_stage(one: Request, value: complex) -> Job:
    symbols = np.full(50, value, np.complex64)
    return one.job._replace(kind=Crossing(10.0, 50, SIDE, SIDE), arrays=(symbols,))


def take(waiting: Waiting) -> list[Request]:
    return waiting.next_batch(all_alike, lambda: True)


def test_users_who_wait_are_grouped_and_each_has_the_symbols_of_the_others(clock: Clock) -> None:
    waiting = Waiting(64, latency_s=1.0, users=3, clock=clock)
    for i, user in enumerate("abcd"):
        waiting.add(request(user, i))
    batch = take(waiting)
    assert [one.client for one in batch] == [b"a", b"b", b"c", b"d"]
    assert waiting.finish(batch, [next_stage(one, i + 1) for i, one in enumerate(batch)], 0.1) == []
    sent = take(waiting)
    slots = {one.client: [row[0].real for row in one.job.arrays] for one in sent}
    assert slots == {b"a": [1, 2, 3], b"b": [2, 1, 3], b"c": [3, 1, 2], b"d": [4]}


def test_a_slot_waits_for_who_is_being_encoded_but_not_beyond_the_latency(clock: Clock) -> None:
    waiting = Waiting(64, latency_s=1.0, users=3, threads=2, clock=clock)
    waiting.add(request("a", 0))
    first = take(waiting)
    waiting.add(request("b", 1, esno_db=10.0))
    second = take(waiting)
    waiting.finish(first, [next_stage(first[0], 1)], 0.1)
    assert waiting._candidates() == {}
    clock.now = 0.99
    assert waiting._candidates() == {}
    clock.now = 1.0
    assert [len(one.arrays) for one in waiting._candidates().values()] == [1]  # alone, with silence
    waiting.finish(second, [next_stage(second[0], 2)], 0.1)
    assert {len(one.arrays) for one in waiting._candidates().values()} == {1}  # too late for that slot


def test_what_is_late_is_told_and_not_done(clock: Clock) -> None:
    waiting = Waiting(64, clock=clock)
    waiting.add(request("a", 7, deadline=0.5))
    waiting.add(request("b", 8))
    clock.now = 0.6
    assert [one.client for one in take(waiting)] == [b"b"]
    ((late, reply),) = waiting.over()
    assert (late.client, reply.meta["id"]) == (b"a", 7)
    assert reply.meta["message"] == "too late: deadline_ms=500 was over before it was done"
    assert waiting.over() == []


def test_what_would_come_too_late_is_refused_at_once(clock: Clock) -> None:
    waiting = Waiting(64, clock=clock)
    waiting.add(request("a", 0))
    batch = take(waiting)
    waiting.finish(batch, [encoded_reply(BurstHeader(codec=1, height=8, width=8, symbols=8), np.ones(8))], 0.2)
    for i in range(3):
        waiting.add(request("a", i + 1))
    with pytest.raises(ValueError, match="deadline_ms=500: about 800 ms of work come before the answer; try again"):
        waiting.add(request("a", 9, deadline=0.5))
    waiting.add(request("b", 0, deadline=0.5))  # hers comes before those of the other


def test_a_user_cancels_her_own_requests_alone(clock: Clock) -> None:
    waiting = Waiting(64, clock=clock)
    waiting.add(request("a", 1))
    batch = take(waiting)
    waiting.add(request("a", 2))
    assert not waiting.cancel(b"b", 2)
    assert not waiting.cancel(b"a", 3)
    assert waiting.cancel(b"a", 2)
    assert not waiting.cancel(b"a", 2)
    assert waiting.cancel(b"a", 1)  # under way: what comes of it is not told
    done = waiting.finish(batch, [next_stage(batch[0], 1)], 0.1)
    said = [(one.job.id, reply.meta["message"]) for one, reply in [*done, *waiting.over()]]
    assert sorted(said) == [(1, "cancelled, as you asked"), (2, "cancelled, as you asked")]
    assert waiting.is_empty()
    assert not waiting.knows(b"a", 1)


def test_a_message_that_comes_twice_is_known(clock: Clock) -> None:
    waiting = Waiting(64, clock=clock)
    waiting.add(request("a", 1))
    assert waiting.knows(b"a", 1)
    assert not waiting.knows(b"b", 1)
    assert not waiting.knows(b"a", None)
    waiting.finish(take(waiting), [with_id(Pdu({"op": "error"}), 1)], 0.1)
    assert not waiting.knows(b"a", 1)


def test_the_largest_batch_goes_first_unless_something_would_be_late(clock: Clock) -> None:
    waiting = Waiting(64, latency_s=1.0, clock=clock)
    waiting.add(request("a", 0))
    batch = take(waiting)
    waiting.finish(batch, [next_stage(batch[0], 1)], 0.01)
    for user in "bc":
        waiting.add(request(user, 0))
    assert {one.op for one in waiting._candidates().values()} == {"carry"}
    assert len(waiting._candidates()) == 2
    clock.now = 1.0
    ((only, crossing),) = waiting._candidates().items()
    assert isinstance(crossing.kind, Crossing)
    arrived = Arriving("swin", "", 1 / 6, 50, SIDE, SIDE)
    (one,) = take(waiting)
    assert one.key == only
    waiting.finish([one], [one.job._replace(kind=arrived)], 0.01)
    assert [each.job.kind for each in take(waiting)] == [arrived]


def test_a_client_that_is_gone_is_not_waited_for(clock: Clock) -> None:
    waiting = Waiting(64, latency_s=1.0, users=3, clock=clock)
    for user in "ab":
        waiting.add(request(user, 0))
    batch = take(waiting)
    waiting.finish(batch, [next_stage(one, 1) for one in batch], 0.1)
    assert waiting.forget(b"a") == 1
    assert [(one.client, len(one.job.arrays)) for one in take(waiting)] == [(b"b", 1)]
    assert waiting.users == 2


BAD = [
    ({"codec": "nix"}, "codec='nix' must be one of"),
    ({"codec": "swin+"}, "a part is empty"),
    ({"codec": "swin+/etc/passwd"}, "must be one of `semlink zoo` by name"),
    ({"codec": "swin+../x.safetensors"}, "must be one of `semlink zoo` by name"),
    ({"codec": "swin+sft:steps"}, "must be one of `semlink zoo` by name"),
    ({"codec": "os:system"}, "codec='os:system' must be one of"),
    ({"codec": "jpeg-ldpc-qam:genie"}, "mcs='genie' must be one of"),
    ({"ratio": 0.0}, "ratio=0 must be above 0"),
    ({"esno_db": 101.0}, "esno_db=101 must be from -100 to 100 dB"),
    ({"realisation": -1}, "realisation=-1 must be from 0 to"),
    ({"realisation": "x"}, "realisation is 'x', of type str; it must be of type int"),
]


@pytest.mark.parametrize(("changed", "said"), BAD)
def test_what_cannot_be_carried_is_refused_in_a_line(changed: dict[str, object], said: str) -> None:
    asked = carry_request(image(), codec="swin", ratio=1 / 6, esno_db=10)
    bad = replace(asked, meta={**asked.meta, **changed})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=said) as refusal:
        read_request(bad, carries=True)
    assert "\n" not in str(refusal.value)


def test_nothing_is_carried_without_a_channel() -> None:
    with pytest.raises(ValueError, match="this service has no channel; `semlink serve` has one"):
        read_request(carry_request(image(), codec="swin", ratio=1 / 6, esno_db=10), carries=False)
    with pytest.raises(ValueError, match="must be one of: encode, decode, carry, make, cancel, status"):
        read_request(Pdu({"op": "quit"}), carries=True)


@pytest.mark.parametrize("after", [0, -5, -0.1])
def test_a_deadline_in_the_past_is_refused(after: float) -> None:
    asked = encode_request(image(), codec="swin", ratio=1 / 6, esno_db=10)
    with pytest.raises(ValueError, match=f"deadline_ms={after:g} must be above 0: milliseconds"):
        read_deadline(replace(asked, meta={**asked.meta, "deadline_ms": after}), 0.0)
    assert read_deadline(replace(asked, meta={**asked.meta, "deadline_ms": 250}), 1.0) == 1.25


def test_receptions_of_real_radios_may_be_restored() -> None:
    header = BurstHeader(codec=2, height=16, width=16, symbols=128)
    asked = decode_request(header, np.ones(128), np.ones(128))
    assert read_request(asked, carries=False).trip is None
    restored = read_request(replace(asked, meta={**asked.meta, "receiver": "sft"}), carries=False)
    assert restored.op == "decode"
    assert restored.kind != read_request(asked, carries=False).kind
    with pytest.raises(ValueError, match=r"receiver 'x\.safetensors' must be one of"):
        read_request(replace(asked, meta={**asked.meta, "receiver": "x.safetensors"}), carries=False)
