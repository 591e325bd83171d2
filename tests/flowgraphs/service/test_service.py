"""The service without sockets: what the codecs give, whatever the batch; one request fails alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from semlink.baselines.separate import AdaptiveCodec, SeparateCodec, to_uint8
from semlink.flowgraphs.protocol import (
    EncodedImage,
    Pdu,
    codebook,
    decode_request,
    encode_request,
    read_decoded,
    read_encoded,
    with_id,
)
from semlink.flowgraphs.protocol.messages import status_request
from semlink.flowgraphs.service import Service
from semlink.flowgraphs.service import codecs as service_codecs
from semlink.flowgraphs.service.commands import split_own
from semlink.flowgraphs.service.lanes import load_own
from semlink.neural import zoo
from semlink.phy.link import Frame, Received, channel_uses, esno_to_n0, normalise_power
from semlink.phy.metrics import psnr
from semlink.phy.sources import sample_images
from semlink.phy.waveform import BurstHeader
from semlink.phy.waveform.burst import ERASED

CODECS = ("swin", "deepjscc", "jpeg-ldpc-qam", "jpeg-ldpc-qam:nr1-13", "jpeg-ldpc-qam:adaptive", "webp-ldpc-qam:nr2-5")
ESNO_DB = 12.0


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    one = Service(threads=2)
    yield one
    one.close()


def photographs(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """Cut from the sample photographs."""
    whole = to_uint8(sample_images())
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 256 - max(height, width) + 1, (count, 2))
    return [whole[i % 3, y : y + height, x : x + width].copy() for i, (y, x) in enumerate(corners)]


def noisy(sent: EncodedImage, seed: int = 0) -> Pdu:
    """The request to decode what arrives over AWGN."""
    n0, n = esno_to_n0(ESNO_DB), len(sent.symbols)
    noise = np.random.default_rng(seed).standard_normal((n, 2)) @ [1, 1j] * np.sqrt(n0 / 2)
    return decode_request(sent.header, sent.symbols + noise, np.full(n, n0))


def quality_db(image: NDArray[np.uint8], sent: NDArray[np.uint8]) -> float:
    tensors = [torch.from_numpy(np.array(one)).permute(2, 0, 1)[None].float() / 255 for one in (image, sent)]
    return float(psnr(*tensors))


@pytest.mark.parametrize("codec", CODECS)
def test_images_arrive(service: Service, codec: str) -> None:
    """The receiver has the header and the symbols, and no word of the codec or the ratio."""
    (image,) = photographs(1, 40, 56)
    sent = service.encode(image, codec=codec, ratio=1 / 6, esno_db=ESNO_DB)
    assert sent.symbols.dtype == np.complex64
    assert len(sent.symbols) == sent.header.symbols == channel_uses((3, 40, 56), 1 / 6)
    assert (sent.header.height, sent.header.width, sent.header.scale_db) == (40, 56, 0)
    assert np.mean(np.abs(sent.symbols) ** 2) == pytest.approx(1, abs=0.15)
    got = read_decoded(service.handle([noisy(sent)])[0])
    assert not got.failed
    assert got.codec == codebook.name_of(sent.header)
    assert got.codec.startswith(codebook.split_name(codec)[0])
    assert quality_db(got.image, image) > 20


def test_the_symbols_are_the_codecs_own(service: Service) -> None:
    """Of a neural codec, of a fixed scheme and of the adaptive one, whose choice goes into the header."""
    (pixels,) = photographs(1, 32, 48)
    image, n0 = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, esno_to_n0(ESNO_DB)
    neural = zoo.load("deepjscc", ratio=1 / 12)
    sent = service.encode(pixels, codec="deepjscc", ratio=1 / 12, esno_db=ESNO_DB)
    np.testing.assert_allclose(sent.symbols, neural.encode(image, n0).symbols[0].numpy(), atol=1e-4)
    fixed = SeparateCodec(mcs="nr1-9", ratio=1 / 6).encode(image, n0)
    sent = service.encode(pixels, codec="jpeg-ldpc-qam:nr1-9", ratio=1 / 6, esno_db=ESNO_DB)
    np.testing.assert_array_equal(sent.symbols, fixed.symbols[0].numpy())
    adapted = AdaptiveCodec(ratio=1 / 6).encode(image, n0)
    sent = service.encode(pixels, codec="jpeg-ldpc-qam:adaptive", ratio=1 / 6, esno_db=ESNO_DB)
    np.testing.assert_array_equal(sent.symbols, adapted.symbols[0].numpy())
    assert [sent.header.mcs] == adapted.header
    assert codebook.scheme_name(sent.header.mcs) == adapted.modes[0]


@pytest.mark.parametrize(
    ("codec", "ratio"), [("deepjscc", 1 / 12), ("deepjscc", 1 / 6), ("swin", 1 / 24), ("swin", 1 / 3)]
)
@pytest.mark.parametrize("size", [(9, 11), (33, 47)])
def test_the_ratio_is_found_from_the_number_of_symbols(
    service: Service, codec: str, ratio: float, size: tuple[int, int]
) -> None:
    """Also where the floor has taken much of a symbol, as with small images of odd sides."""
    (image,) = photographs(1, *size)
    sent = service.encode(image, codec=codec, ratio=ratio, esno_db=30)
    got = service.decode(sent.header, sent.symbols, np.full(len(sent.symbols), 1e-3))
    own = zoo.load(codec, ratio=ratio).decode(
        Received(torch.from_numpy(sent.symbols)[None], torch.full((1, len(sent.symbols)), 1e-3), image_shape=(3, *size))
    )
    assert np.abs(got.image.astype(int) - to_uint8(own.image)[0].astype(int)).max() <= 1


def test_a_batch_gives_what_its_images_give_one_by_one(service: Service) -> None:
    """And replies come in the order of the requests, each with its id."""
    images = photographs(6, 32, 32)
    names = ["swin", "jpeg-ldpc-qam:nr1-9"]
    asked = [
        with_id(encode_request(image, codec=name, ratio=1 / 6, esno_db=ESNO_DB), f"{name} {i}")
        for i, image in enumerate(images)
        for name in names
    ]
    service.record.batches.clear()
    together = service.handle(asked)
    assert sorted(service.record.batches) == [6, 6]
    alone = [service.handle([one])[0] for one in asked]
    assert [reply.meta["id"] for reply in together] == [request.meta["id"] for request in asked]
    for one, other in zip(map(read_encoded, together), map(read_encoded, alone), strict=True):
        assert one.header == other.header
        np.testing.assert_allclose(one.symbols, other.symbols, atol=1e-4 if one.header.codec == 2 else 0)
    back = [noisy(read_encoded(reply), seed=i) for i, reply in enumerate(alone)]
    service.record.batches.clear()
    shown = [read_decoded(reply) for reply in service.handle(back)]
    assert sorted(service.record.batches) == [6, 6]
    for request, got in zip(back, shown, strict=True):
        single = read_decoded(service.handle([request])[0])
        assert (got.failed, got.codec) == (single.failed, single.codec)
        assert np.abs(got.image.astype(int) - single.image).max() <= (request.meta["codec"] == 2)


def test_batches_are_bounded() -> None:
    small = Service(batch=2, threads=1)
    requests = [encode_request(image, codec="deepjscc", ratio=1 / 6, esno_db=0) for image in photographs(5, 16, 16)]
    assert [reply.meta["op"] for reply in small.handle(requests)] == ["encoded"] * 5
    assert list(small.record.batches) == [2, 2, 1]
    small.close()


def test_a_lost_segment_costs_what_it_carries(service: Service) -> None:
    """A neural codec shows an image of less quality; a digital one says that it failed."""
    (image,) = photographs(1, 64, 64)
    for codec, fails in (("swin", False), ("jpeg-ldpc-qam:nr1-28", True)):  # the code is of rate 0.93
        sent = service.encode(image, codec=codec, ratio=1 / 6, esno_db=ESNO_DB)
        symbols, n0 = sent.symbols.copy(), np.full(len(sent.symbols), 0.01, np.float32)
        symbols[1024:1536], n0[1024:1536] = 0, ERASED
        got = service.decode(sent.header, symbols, n0)
        assert got.failed == fails
        if not fails:
            assert (
                15
                < quality_db(got.image, image)
                < quality_db(service.decode(sent.header, sent.symbols, np.full(len(symbols), 0.01)).image, image) - 1
            )


def test_without_noise_nothing_breaks(service: Service) -> None:
    (image,) = photographs(1, 32, 32)
    for codec in ("deepjscc", "jpeg-ldpc-qam"):
        sent = service.encode(image, codec=codec, esno_db=ESNO_DB)
        got = service.decode(sent.header, sent.symbols, np.zeros(len(sent.symbols)))
        assert not got.failed
        assert quality_db(got.image, image) > 20


def good() -> Pdu:
    return encode_request(photographs(1, 16, 16)[0], codec="deepjscc", ratio=1 / 6, esno_db=10)


def arrived(**changes: object) -> Pdu:
    """A decoding that would work, with something else in its header."""
    header = BurstHeader(codec=1, height=16, width=16, symbols=128)
    request = decode_request(header, np.ones(128), np.full(128, 0.1))
    return replace(request, meta={**request.meta, **changes})  # type: ignore[arg-type]


REFUSED = {
    "no op": (Pdu({}), "op='None' must be one of: encode"),
    "another op": (Pdu({"op": "train"}), "op='train'"),
    "no codec": (Pdu({"op": "encode"}), "codec is missing"),
    "another codec": (replace(good(), meta={**good().meta, "codec": "nix"}), "codec='nix' must be one of"),
    "codec not in the zoo": (replace(good(), meta={**good().meta, "codec": "user:48"}), "no codec of a user"),
    "a genie": (replace(good(), meta={**good().meta, "codec": "jpeg-ldpc-qam:genie"}), "mcs='genie'"),
    "ratio of text": (replace(good(), meta={**good().meta, "ratio": "1/6"}), "ratio is '1/6'"),
    "ratio it has not": (replace(good(), meta={**good().meta, "ratio": 0.2}), "1/12, 1/6"),
    "ratio of nothing": (replace(good(), meta={**good().meta, "ratio": 0.0}), "ratio=0 must be"),
    "Es/N0 too high": (replace(good(), meta={**good().meta, "esno_db": 1e6}), "esno_db"),
    "no image": (replace(good(), arrays={}), "array image is missing"),
    "image of floats": (replace(good(), arrays={"image": np.zeros((8, 8, 3), np.float32)}), "must be uint8"),
    "image too small": (replace(good(), arrays={"image": np.zeros((4, 4, 3), np.uint8)}), "at least 8x8"),
    "image empty": (replace(good(), arrays={"image": np.zeros((0, 4, 3), np.uint8)}), "4x0 pixels"),
    "no code block": (
        replace(good(), meta={**good().meta, "codec": "jpeg-ldpc-qam", "ratio": 0.01}),
        "too small for an image",
    ),
    "codec number unknown": (arrived(codec=0), "codec=0 must be one of"),
    "mcs unknown": (arrived(codec=32, mcs=63), "mcs=63 must be"),
    "symbols of another ratio": (arrived(height=17), "deepjscc has 1/12, 1/6"),
    "another size than was sent": (arrived(codec=5, height=3), "deepjscc-plain-4 has"),
    "a huge image": (arrived(codec=32, height=16383, width=16383), "16383x16383 pixels"),
    "too few symbols": (arrived(symbols=129), "array symbols is complex64"),
    "n0 missing": (replace(arrived(), arrays={"symbols": np.ones(128, np.complex64)}), "array n0 is missing"),
    "n0 negative": (
        replace(arrived(), arrays={"symbols": np.ones(128, np.complex64), "n0": np.full(128, -1, np.float32)}),
        "must not be negative",
    ),
}


@pytest.mark.parametrize(("request_", "said"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused_alone(service: Service, request_: Pdu, said: str) -> None:
    before = service.record.refused
    replies = service.handle([with_id(good(), 1), with_id(request_, 2), with_id(good(), 3)])
    assert [reply.meta["op"] for reply in replies] == ["encoded", "error", "encoded"]
    assert [reply.meta["id"] for reply in replies] == [1, 2, 3]
    with pytest.raises(ValueError, match=said):
        raise ValueError(replies[1].meta["message"])
    assert service.record.refused == before + 1


class Fussy:
    """Sends the mean of an image; does not like dark ones, and goes to pieces over black ones."""

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        if float(image.mean(dim=(1, 2, 3)).min()) < 0.1:
            raise (ValueError if float(image.max()) > 0 else RuntimeError)("too dark")
        symbols = normalise_power(image.flatten(1)[:, :10].to(torch.complex64) + 1)
        return Frame(symbols, {"payload": 10})

    def decode(self, received: Received) -> Tensor:
        assert received.image_shape is not None
        shape = len(received.symbols), *received.image_shape
        return received.symbols.real.mean(dim=1)[:, None, None, None].expand(shape).clamp(0, 1)


def test_one_image_makes_no_other_fail() -> None:
    """Nor does an error of whatever kind end the service."""
    one = Service(threads=2, own={"user:48": Fussy()})
    levels = (200, 1, 100, 0, 50)
    images = [np.full((8, 8, 3), level, np.uint8) for level in levels]
    asked = [encode_request(image, codec="user:48", ratio=0.5, esno_db=0) for image in images]
    replies = one.handle(asked)
    assert [reply.meta["op"] for reply in replies] == ["encoded", "error", "encoded", "error", "encoded"]
    assert [replies[i].meta["message"] for i in (1, 3)] == ["too dark", "RuntimeError: too dark"]
    assert (one.record.served, one.record.refused) == (3, 2)
    sent = read_encoded(replies[0])
    assert (sent.header.codec, sent.header.symbols) == (48, 10)
    assert one.decode(sent.header, sent.symbols, np.zeros(10)).codec == "user:48"
    with pytest.raises(ValueError, match=r"ratio=0\.05 is 9 symbols; user:48 makes 10"):
        one.encode(images[0], codec="user:48", ratio=0.05, esno_db=0)
    one.close()


def test_own_codecs_have_the_names_set_aside_for_them() -> None:
    with pytest.raises(ValueError, match="must be named user:48 to user:63"):
        Service(own={"swin": Fussy()})
    for limit in ({"batch": 0}, {"threads": 0}):
        with pytest.raises(ValueError, match="=0 must be 1 or more"):
            Service(**limit)  # type: ignore[arg-type]


def test_codecs_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[str, float | None]] = []
    load = zoo.load
    monkeypatch.setattr(
        zoo, "load", lambda name, *, ratio=None: loaded.append((name, ratio)) or load(name, ratio=ratio)
    )
    monkeypatch.setattr(service_codecs, "KEPT", 2)
    one, (image,) = Service(threads=1), photographs(1, 16, 16)
    for codec in ("swin", "deepjscc", "swin", "adjscc", "swin", "deepjscc"):
        one.encode(image, codec=codec, ratio=one._shelf.usual_ratio(codec), esno_db=0)
    names = [name for name, _ in loaded]
    assert names == ["swin", "deepjscc-6", "adjscc-64", "deepjscc-6"]  # swin was always among the latest two
    one.close()


def test_preloading_leaves_no_trace_in_the_record() -> None:
    one = Service(threads=1)
    for name in ("deepjscc", "jpeg-ldpc-qam:nr1-9"):
        one.preload(name)
    with pytest.raises(ValueError, match="codec='nix'"):
        one.preload("nix")
    one = Service(threads=1)
    one.preload("deepjscc")
    status = one.handle([with_id(status_request(), 4)])[0]
    assert {name: status.meta[name] for name in ("op", "id", "queue", "served", "refused", "batch_max")} == {
        "op": "status", "id": 4, "queue": 0, "served": 0, "refused": 0, "batch_max": 0,
    }  # fmt: skip
    one.handle([good(), good()])
    status = one.handle([status_request()])[0]
    assert (status.meta["served"], status.meta["batch_max"]) == (2, 2)
    assert 0 < status.meta["encode_mean_ms"] <= status.meta["encode_p95_ms"] < 60_000  # type: ignore[operator]
    assert status.meta["decode_mean_ms"] == 0


def test_a_codec_of_ones_own(tmp_path: Path) -> None:
    weights = Path(zoo.__file__).parent / "weights"
    for suffix in (".json", ".safetensors"):
        shutil.copy(weights / f"deepjscc-6{suffix}", tmp_path / f"deepjscc-6{suffix}")
    own, names = split_own([f"user:50={tmp_path}/deepjscc-6", "swin"])
    assert names == ["user:50", "swin"]
    service = Service(threads=1, own=load_own(own))
    (photograph,) = photographs(1, 32, 32)
    mine, theirs = (service.encode(photograph, codec=name, esno_db=10) for name in ("user:50", "deepjscc"))
    assert (mine.header.codec, theirs.header.codec) == (50, 1)
    np.testing.assert_array_equal(mine.symbols, theirs.symbols)
    service.close()
