"""Tasks and what becomes of them on the wire: the same at the other end, and refused where they do not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, pack, unpack
from semlink.flowgraphs.service.jobs import Arriving, Crossing, Decoding, Encoding, Made, Restoring, Task
from semlink.flowgraphs.service.tasks import made_pdu, read_made, read_task, task_pdu
from semlink.flowgraphs.service.trips import read_request
from semlink.phy.waveform import BurstHeader

B, N, SIDE = 2, 5, 4
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (B, SIDE, SIDE, 3), np.uint8)


def complex_of(*shape: int) -> Any:  # noqa: ANN401
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(np.complex64)


def real(*shape: int) -> Any:  # noqa: ANN401
    return RNG.random(shape).astype(np.float32)


RECEIVED = {
    "symbols": complex_of(B, N),
    "n0": real(B, N),
    "gain": complex_of(B, N),
    "bias": real(B, N),
    "observed": complex_of(B, 3, 2),
    "h": complex_of(B, 3, 2, 2),
    "noise": real(B, 3),
}
SHOWN = Made({"image": PIXELS}, {"failed": [False, True]})
RESTORED = {"image": real(B, 3, SIDE, SIDE), "level": real(B, 1)}
TRIED = {
    "encode": (
        Task(Encoding("swin", 1 / 6, 10.0, SIDE, SIDE), {"image": PIXELS}, {}),
        Made({"symbols": complex_of(B, N)}, {"mcs": [3, 4], "entry": [3, None], "blind": [True, True]}),
    ),
    "cross": (
        Task(
            Crossing(10.0, N, SIDE, SIDE),
            {"symbols": complex_of(B, N), "image": PIXELS, "others": complex_of(B, N, 2)},
            {"realisation": [0, 7]},
        ),
        Made(RECEIVED, {"width": [16, 16]}),
    ),
    "arrive": (
        Task(Arriving("swin", "", 0.5, N, SIDE, SIDE), RECEIVED, {"header": [1, 2], "width": [16, 16]}, 3),
        SHOWN,
    ),
    "decode": (
        Task(
            Decoding(BurstHeader(codec=1, height=SIDE, width=SIDE, symbols=N), "sft"),
            {name: RECEIVED[name] for name in ("symbols", "n0")},
            {"header": [None, None], "width": [None, None]},
        ),
        Made(RESTORED, {"failed": [False, False]}),
    ),
    "restore": (Task(Restoring("swin", "sft", 1 / 6, SIDE, SIDE), RESTORED, {"failed": [False, True]}), SHOWN),
}


@pytest.mark.parametrize("name", TRIED)
def test_what_arrives_is_what_was_sent(name: str) -> None:
    task, made = TRIED[name]
    there = read_task(unpack(pack(task_pdu(task))))
    back = read_made(unpack(pack(made_pdu(made))), there)
    assert (there.kind, there.rows, there.threads, back.rows) == (task.kind, task.rows, task.threads, made.rows)
    for sent, got in ((task.arrays, there.arrays), (made.arrays, back.arrays)):
        assert got.keys() == sent.keys()
        for key, array in sent.items():
            np.testing.assert_array_equal(got[key], array, strict=True)


@pytest.mark.parametrize(
    ("name", "meta", "arrays", "said"),
    [
        ("encode", {"stage": "Service"}, {}, "stage='Service' must be one of"),
        ("encode", {"threads": 0}, {}, "threads=0 must be from 1"),
        ("encode", {"ratio": 2.0}, {}, "ratio=2 must be above 0"),
        ("encode", {"esno_db": 1e9}, {}, "esno_db=1e"),
        ("encode", {"height": SIDE + 1}, {}, "array image is"),
        ("encode", {"height": 0}, {}, "image of 4x0 pixels"),
        ("encode", {"rows": '{"mcs": []}'}, {}, "rows must be JSON with nothing in it"),
        ("encode", {"rows": "[" * 60_000}, {}, "rows must be JSON"),
        ("encode", {}, {"more": real(B)}, "array 'more' must be one of"),
        ("encode", {}, {"image": PIXELS[:0]}, "0 jobs in a task must be from 1"),
        ("arrive", {}, {"bias": real(B, N + 1)}, "of different lengths"),
        ("arrive", {}, {"h": complex_of(B, 3, 3, 2)}, "observed, h and noise must be"),
        ("arrive", {}, {"n0": real(B + 1, N)}, "array n0 is"),
        ("arrive", {"rows": '{"header": [1, "a"]}'}, {}, "rows: header must be 2 whole numbers"),
        ("arrive", {"rows": '{"header": [1]}'}, {}, "rows: header must be 2 whole numbers"),
        ("restore", {"rows": "{}"}, {}, "rows: failed must be 2 whole numbers"),
        ("restore", {}, {"level": real(B)}, "array level is"),
        ("decode", {"symbols": N + 1}, {}, "array symbols is"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, meta: dict[str, Any], arrays: dict[str, Any], said: str) -> None:
    pdu = task_pdu(TRIED[name][0])
    with pytest.raises(ValueError, match=said):
        read_task(Pdu({**pdu.meta, **meta}, {**pdu.arrays, **arrays}))


def test_an_answer_that_does_not_fit_is_refused() -> None:
    task, made = TRIED["encode"]
    with pytest.raises(ValueError, match="must be 'made'"):
        read_made(Pdu({"op": "status"}), task)
    with pytest.raises(ValueError, match="1 rows made of 2 jobs"):
        read_made(made_pdu(made._replace(arrays={"symbols": complex_of(1, N)})), task)
    with pytest.raises(ValueError, match="rows: blind must be"):
        read_made(made_pdu(made._replace(rows={"mcs": [0, 0], "entry": [None, None]})), task)


def test_a_node_does_no_more_than_it_says() -> None:
    """Nothing for other services unless it is one; no channel; no receiver that is a file of its machine."""
    encode, cross, restore = (task_pdu(TRIED[name][0]) for name in ("encode", "cross", "restore"))
    with pytest.raises(ValueError, match="op='make': this service does nothing for other services"):
        read_request(encode, carries=True)
    with pytest.raises(ValueError, match="a node has no channel"):
        read_request(cross, carries=True, makes=True)
    with pytest.raises(ValueError, match="must be one of `semlink zoo` by name"):
        read_request(replace(restore, meta={**restore.meta, "receiver": "module:Name"}), carries=False, makes=True)
    job = read_request(encode, carries=False, makes=True)
    assert (job.op, job.stage, job.pixels) == ("make", "encode", B * SIDE * SIDE)
    assert job.kind != read_request(encode, carries=False, makes=True).kind  # each is a batch already
