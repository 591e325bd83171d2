"""PDUs: what goes in comes out, and what is none is refused before anything is allocated for it."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from semlink.flowgraphs.protocol import (
    MAX_PART,
    MalformedPduError,
    Pdu,
    decode_request,
    encode_request,
    error_reply,
    pack,
    read_decoded,
    read_encoded,
    read_header,
    unpack,
    with_id,
)
from semlink.flowgraphs.protocol.messages import header_meta
from semlink.flowgraphs.protocol.pdu import MAX_HEADER
from semlink.phy.waveform import BurstHeader

ROOT = Path(__file__).parents[3]


def example() -> Pdu:
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.integers(0, 256, (5, 7, 3), dtype=np.uint8),
        "symbols": (rng.standard_normal((9, 2)) @ [1, 1j]).astype(np.complex64),
        "n0": np.array([1e9, 0, 1e-7], np.float32),
    }
    return Pdu({"op": "example", "id": 7, "esno_db": -2.5, "failed": True, "wörd": "ä"}, arrays)


def head(**changes: object) -> bytes:
    """The first part of a PDU with one array of three bytes, with something else in it."""
    entry = {"name": "a", "dtype": "uint8", "shape": [3]}
    whole = {"semlink": 1, "meta": {"op": "x", "id": 5}, "arrays": [entry]}
    return json.dumps({**whole, **changes}).encode()


def entry(**changes: object) -> bytes:
    return head(arrays=[{"name": "a", "dtype": "uint8", "shape": [3], **changes}])


def test_what_goes_in_comes_out() -> None:
    sent = example()
    got = unpack(pack(sent))
    assert got.meta == sent.meta
    assert {name: type(value) for name, value in got.meta.items()} == {k: type(v) for k, v in sent.meta.items()}
    assert list(got.arrays) == list(sent.arrays)
    for name, array in sent.arrays.items():
        assert got.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(got.arrays[name], array)


def test_arrays_go_whatever_way_they_lie_in_memory() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-2]
    big = np.array([1.5, -2], dtype=">f4")
    got = unpack(pack(Pdu({}, {"image": image, "big": big, "none": np.zeros((0, 3), np.float32)}))).arrays
    np.testing.assert_array_equal(got["image"], image)
    np.testing.assert_array_equal(got["big"], [1.5, -2])
    assert got["big"].dtype == np.float32
    assert got["none"].shape == (0, 3)


def test_numbers_of_numpy_are_numbers() -> None:
    assert unpack(pack(Pdu({"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True)}))).meta == {  # type: ignore[dict-item]
        "a": 0.5,
        "b": 3,
        "c": True,
    }


def test_the_wire_is_little_endian_and_c_ordered() -> None:
    parts = pack(Pdu({}, {"a": np.array([[1, 2], [3, 4]], np.float32).T}))
    assert parts[1] == np.array([1, 3, 2, 4], "<f4").tobytes()


MALFORMED = {
    "no parts": [],
    "empty": [b""],
    "no JSON": [b"\xff\xfe", b"abc"],
    "deep": [b"[" * 60_000],
    "a number": [b"7"],
    "keys missing": [b'{"semlink": 1, "meta": {}}'],
    "keys too many": [head(more=1), b"abc"],
    "another version": [head(semlink=2), b"abc"],
    "meta no object": [head(meta=[]), b"abc"],
    "meta with a list": [head(meta={"a": []}), b"abc"],
    "meta with null": [head(meta={"a": None}), b"abc"],
    "meta NaN": [head(meta={"a": math.nan}), b"abc"],
    "meta infinite": [b'{"semlink": 1, "meta": {"a": 1e999}, "arrays": []}'],
    "meta beyond 64 bits": [head(meta={"a": 10**30}), b"abc"],
    "id too long": [head(meta={"id": "x" * 60_000}), b"abc"],
    "head too long": [head(meta={"a": "x" * MAX_HEADER}), b"abc"],
    "arrays no list": [head(arrays={}), b"abc"],
    "part missing": [head()],
    "part too many": [head(), b"abc", b"abc"],
    "parts by the dozen": [head(), *[b"abc"] * 12],
    "entry no object": [head(arrays=["a"]), b"abc"],
    "dtype unknown": [entry(dtype="object"), b"abc"],
    "dtype of another kind": [entry(dtype=["uint8"]), b"abc"],
    "dtype in NumPy's words": [entry(dtype="<f4"), b"abc"],
    "shape too large": [entry(shape=[4]), b"abc"],
    "shape too small": [entry(shape=[2]), b"abc"],
    "shape negative": [entry(shape=[-3]), b"abc"],
    "shape twice negative": [entry(shape=[-1, -3]), b"abc"],
    "shape of fractions": [entry(shape=[3.0]), b"abc"],
    "shape of truths": [entry(shape=[True, 3]), b"abc"],
    "shape huge": [entry(shape=[10**9, 10**9]), b"abc"],
    "shape empty but huge": [entry(shape=[10**30, 0]), b""],
    "axes too many": [entry(shape=[1, 1, 1, 1, 3]), b"abc"],
    "name no string": [entry(name=3), b"abc"],
    "name twice": [head(arrays=[{"name": "a", "dtype": "uint8", "shape": [3]}] * 2), b"abc", b"abc"],
    "not finite": [entry(dtype="float32", shape=[1]), np.float32(np.nan).tobytes()],
    "infinite": [entry(dtype="complex64", shape=[1]), np.complex64(complex(0, np.inf)).tobytes()],
}


def test_the_example_of_this_file_is_well_formed() -> None:
    """Or the malformed ones might be refused for another reason."""
    assert unpack([head(), b"abc"]).meta["id"] == 5
    assert unpack([entry(dtype="float32", shape=[1]), np.float32(1).tobytes()]).arrays["a"] == 1


@pytest.mark.parametrize("parts", MALFORMED.values(), ids=MALFORMED)
def test_malformed_parts_are_refused(parts: list[bytes]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedPduError) as caught:
            unpack(parts)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000  # nothing by what a shape declares
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 300


def test_a_refusal_knows_whom_to_answer_as_far_as_it_can_be_read() -> None:
    with pytest.raises(MalformedPduError) as caught:
        unpack([entry(dtype="nix"), b"abc"])
    assert caught.value.id == 5
    with pytest.raises(MalformedPduError) as caught:
        unpack([head(meta={"id": [1]}), b"abc"])
    assert caught.value.id is None
    with pytest.raises(MalformedPduError, match="at most 256") as caught:
        unpack([head(meta={"id": "x" * 60_000}), b"abc"])
    assert caught.value.id is None  # a reply might have no room for it
    pack(with_id(error_reply("\U0001f4fb" * 9999), "\U0001f4fb" * 256))


def test_damaged_messages_raise_nothing_else() -> None:
    rng, whole = np.random.default_rng(1), pack(example())
    for _ in range(2000):
        parts = [bytearray(part) for part in whole]
        for _ in range(int(rng.integers(1, 4))):
            part = parts[int(rng.integers(len(parts)))]
            part[int(rng.integers(len(part)))] = int(rng.integers(256))
        try:
            unpack([bytes(part) for part in parts])
        except MalformedPduError:
            continue


@pytest.mark.parametrize(
    "pdu",
    [
        Pdu({"a": math.inf}),
        Pdu({"a": None}),  # type: ignore[dict-item]
        Pdu({3: 1}),  # type: ignore[dict-item]
        Pdu({"a": "x" * MAX_HEADER}),
        Pdu({}, {"a": np.zeros(3)}),
        Pdu({}, {"a": np.array([np.nan], np.float32)}),
        Pdu({}, {str(i): np.zeros(1, np.uint8) for i in range(9)}),
        Pdu({}, {"a": np.broadcast_to(np.uint8(0), (MAX_PART + 1,))}),
    ],
)
def test_what_would_be_refused_is_not_packed(pdu: Pdu) -> None:
    with pytest.raises(MalformedPduError):
        pack(pdu)


def test_a_header_goes_with_the_symbols() -> None:
    header = BurstHeader(codec=32, mcs=13, height=512, width=768, symbols=4, scale_db=-1.53125)
    request = unpack(pack(with_id(decode_request(header, np.ones(4), np.full(4, 0.1)), "x")))
    assert read_header(request.meta) == header
    assert request.meta["id"] == "x"
    assert request.arrays["symbols"].dtype == np.complex64
    for name, value in (("height", 0), ("codec", 64), ("symbols", 2.0), ("mcs", True), ("scale_db", "0")):
        with pytest.raises(ValueError, match=name):
            read_header({**header_meta(header), name: value})
    with pytest.raises(ValueError, match="width is missing"):
        read_header({name: value for name, value in header_meta(header).items() if name != "width"})


def test_requests_are_checked_where_they_are_made() -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        encode_request(np.zeros((4, 4, 3)), codec="swin", ratio=1 / 6, esno_db=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be uint8"):
        encode_request(np.zeros((4, 4), np.uint8), codec="swin", ratio=1 / 6, esno_db=0)
    with pytest.raises(ValueError, match="n0 of shape"):
        decode_request(BurstHeader(symbols=4), np.ones(4), np.ones(3))


def test_replies_are_checked_where_they_are_read() -> None:
    header = BurstHeader(codec=2, height=8, width=8, symbols=3)
    reply = Pdu({"op": "encoded", **header_meta(header)}, {"symbols": np.ones(3, np.complex64)})
    assert read_encoded(reply).header == header
    with pytest.raises(ValueError, match="op='encoded' must be 'decoded'"):
        read_decoded(reply)
    with pytest.raises(ValueError, match="array symbols is complex64"):
        read_encoded(Pdu(reply.meta, {"symbols": np.ones(2, np.complex64)}))
    with pytest.raises(ValueError, match="array symbols is missing"):
        read_encoded(Pdu(reply.meta))


RADIO_SIDE = """
import sys
for name in ("torch", "jaxtyping", "zmq", "scipy", "numba"):
    sys.modules[name] = None
from semlink.flowgraphs.protocol import codebook, messages, pdu, worker_client
import numpy as np
assert codebook.scheme_number("nr1-13") == 13
parts = pdu.pack(pdu.Pdu({"op": "x"}, {"a": np.ones(3, np.complex64)}))
assert pdu.unpack(parts).arrays["a"].sum() == 3
try:
    worker_client.WorkerClient()
except ValueError as error:
    assert "python3-zmq" in str(error)
else:
    raise AssertionError
print("well", np.__version__)
"""


def run_radio_side(python: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "typing_root")}
    return subprocess.run([python, "-c", RADIO_SIDE], capture_output=True, text=True, env=environment)


def test_the_radio_side_needs_numpy_alone() -> None:
    done = run_radio_side(sys.executable)
    assert done.stdout.startswith("well"), done.stderr


def test_the_radio_side_runs_under_the_python_of_gnu_radio() -> None:
    python = "/usr/bin/python3"
    if not Path(python).exists() or subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode:
        pytest.skip("no system Python with NumPy")
    done = run_radio_side(python)
    assert done.stdout.startswith("well"), done.stderr
