"""What is learned of how long requests take: of those that were done, under names that users cannot multiply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, Scalar, carried_reply, carry_request, decode_request, error_reply
from semlink.flowgraphs.service import Service
from semlink.flowgraphs.service.jobs import route_of
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting
from semlink.flowgraphs.specs import make_channel
from semlink.phy.waveform import BurstHeader

Carried = Callable[..., Request]


def reply(**hits: bool) -> Pdu:
    usual = {"encoded_hit": False, "result_hit": False, **hits}
    return carried_reply(np.zeros((8, 8, 3), np.uint8), failed=False, codec="swin", slot=1, **usual)


def serve(waiting: Waiting, outcome: Pdu, seconds: float) -> None:
    waiting.finish(waiting.next_batch(lambda jobs: list(jobs)[:1], lambda: True), [outcome], seconds)


def test_errors_and_hits_do_not_tell_how_long_work_takes(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    waiting = Waiting(64, clock=told_clock)
    route = route_of(carried("a", 0).job)
    for id, (outcome, seconds) in enumerate(
        [
            (error_reply("no"), 1e-4),
            (reply(result_hit=True), 1e-4),
            (reply(encoded_hit=True), 1e-3),
            (reply(), 0.2),
            (error_reply("no"), 3.0),
            (reply(encoded_hit=True, result_hit=True), 1e-4),
        ]
    ):
        assert waiting.expected.knows([route]) == (id > 3)
        waiting.add(carried("a", id))
        serve(waiting, outcome, seconds)
    assert waiting.expected.seconds([route]) == pytest.approx(0.2)


def test_receivers_differ_by_what_makes_them_slow_alone(carried: Carried) -> None:
    def route(receiver: str) -> object:
        return route_of(carried("a", 0, codec=f"swin+{receiver}").job)

    assert route("sft:seed=1") == route("sft:seed=22") == route("sft")
    assert route("sft:seed=1,steps=2") == route("sft:steps=2") == route("sft:steps=02,seed=3")
    assert route("sft:steps=2,sampler=ddim") == route("sft:sampler=ddim,steps=2")
    assert len({route("sft"), route("sft:steps=2"), route("sft:steps=3"), route("sft:sampler=mean"), route("cnn")}) == 5
    assert route("sft+cnn") != route("cnn+sft")


BAD: list[tuple[dict[str, Scalar], str]] = [
    ({"codec": "swin", "ratio": 0.9}, r"ratio=0\.9 must be, for swin, one of"),
    ({"codec": "deepjscc", "ratio": 0.11}, r"ratio=0\.11 must be, for deepjscc, one of"),
    ({"codec": "user:48"}, "codec 'user:48': this worker has no codec of a user"),
    ({"codec": "swin+nix"}, "receiver 'nix' must be one of"),
    ({"codec": "jpeg-ldpc-qam+nix:steps=1"}, "receiver 'nix' must be one of"),
]


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(threads=1, channel=make_channel("awgn", coherence=None, csi=None, equaliser=None))


@pytest.mark.parametrize(("changed", "said"), BAD)
def test_what_is_not_there_is_refused_before_it_waits(service: Service, changed: dict[str, Scalar], said: str) -> None:
    asked = carry_request(np.zeros((16, 16, 3), np.uint8), codec="swin", ratio=1 / 6, esno_db=10)
    with pytest.raises(ValueError, match=said):
        service.read(replace(asked, meta={**asked.meta, **changed}))
    assert service.here.loads == 0


def test_receptions_of_what_is_not_there_are_refused_as_well(service: Service) -> None:
    def asked(codec: int, symbols: int) -> Pdu:
        header = BurstHeader(codec=codec, height=16, width=16, symbols=symbols)
        return decode_request(header, np.ones(symbols), np.ones(symbols))

    assert service.read(asked(2, 128)).op == service.read(asked(32, 128)).op == "decode"
    for pdu, said in [
        (asked(2, 700), r"symbols=700 of a 16x16 image is ratio 0\.9115; swin has 1/24 to 1/3"),
        (asked(48, 128), "codec 'user:48': this worker has no codec of a user"),
        (replace(asked(2, 128), meta={**asked(2, 128).meta, "receiver": "nix"}), "receiver 'nix' must be one of"),
    ]:
        with pytest.raises(ValueError, match=said):
            service.read(pdu)
    assert service.here.loads == 0
