"""Images carried from end to end: the same as over the link itself, whoever else is in the slot; and from the cache."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.comparison import compare
from semlink.flowgraphs.protocol import (
    CarriedImage,
    WorkerClient,
    carry_request,
    decode_request,
    read_carried,
    read_decoded,
)
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.specs import make_channel, make_codecs
from semlink.phy.channels import parse_channel
from semlink.phy.link import esno_to_n0
from semlink.phy.mimo import OccupiedUplink, Uplink
from semlink.phy.rng import probe
from semlink.phy.sources import sample_images

pytest.importorskip("zmq", reason="pyzmq is not installed")
SEED = 5
DIGITAL = "jpeg-ldpc-qam:4qam-1/2"


def photographs(count: int, side: int = 32) -> list[NDArray[np.uint8]]:
    whole = to_uint8(sample_images())
    corners = np.random.default_rng(1).integers(0, 256 - side, (count, 2))
    return [whole[i % 3, y : y + side, x : x + side].copy() for i, (y, x) in enumerate(corners)]


def compared(spec: str, codec: str, images: Sequence[NDArray[np.uint8]], esno_db: float) -> list[NDArray[np.uint8]]:
    """What `compare` shows; it keeps three pictures."""
    over = make_channel(spec, coherence=None, csi=None, equaliser=None)
    codecs = make_codecs([codec], ratio=1 / 6, mcs="16qam-1/2", channel=over)
    shown = []
    for image in images:
        sent = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().float() / 255
        done = compare({"one": sent}, codecs, over, [esno_db], seed=SEED, pictures=[esno_db], workers=1)
        shown.append(done.pictures["one", codec, esno_db])
    return shown


def make_service(spec: str, cache_bytes: int = 0) -> Service:
    over = make_channel(spec, coherence=None, csi=None, equaliser=None)
    return Service(threads=2, channel=over, seed=SEED, cache_bytes=cache_bytes)


@contextmanager
def serving(spec: str, cache_bytes: int = 0) -> Iterator[Worker]:
    worker = Worker(make_service(spec, cache_bytes), "tcp://127.0.0.1:*", latency_s=0.5)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(60)
        assert not thread.is_alive()


def carry_at_once(address: str, images: Sequence[NDArray[np.uint8]], codec: str, esno_db: float) -> list[CarriedImage]:
    """Each by a user of its own."""
    clients = [WorkerClient(address, timeout_s=60) for _ in images]
    for client, image in zip(clients, images, strict=True):
        client.submit(carry_request(image, codec=codec, ratio=1 / 6, esno_db=esno_db))
    got = []
    for client in clients:
        answer = client.poll(60)
        assert answer is not None
        got.append(read_carried(answer))
        client.close()
    return got


@pytest.mark.parametrize(("detector", "esno_db"), [("zf", 12.0), ("zf", 2.0), ("mmse", 12.0), ("sic", 12.0)])
def test_users_of_a_slot_receive_bit_for_bit_what_compare_gives(detector: str, esno_db: float) -> None:
    """Zero-forced at 2 dB as well, where the images fail: in each as in the comparison."""
    spec, images = f"uplink:users=3,rx=3,{detector}", photographs(7)
    wanted, got = compared(spec, DIGITAL, images, esno_db), list[CarriedImage]()
    with serving(spec) as worker:
        for _ in range(30):  # until users meet, which a busy machine may keep apart
            if max((one.slot for one in got), default=0) > 1:
                break
            got = carry_at_once(worker.address, images, DIGITAL, esno_db)
            for one, want in zip(got, wanted, strict=True):
                np.testing.assert_array_equal(one.image, want)
    assert max(one.slot for one in got) > 1
    assert {one.codec for one in got} == {DIGITAL}
    assert any(one.failed for one in got) == (esno_db < 10)


@pytest.mark.parametrize("codec", ["swin", "swin+sft", "jpeg-ldpc-qam:adaptive", "jpeg-ldpc-qam:outage"])
def test_every_kind_of_codec_is_carried_as_compare_does(codec: str) -> None:
    spec, images = "uplink:users=3,rx=4,zf", photographs(3)
    service = make_service(spec)
    asked = [carry_request(image, codec=codec, ratio=1 / 6, esno_db=14) for image in images]
    got = [read_carried(reply) for reply in service.handle(asked)]
    service.close()
    for one, want in zip(got, compared(spec, codec, images, 14.0), strict=True):
        assert np.abs(one.image.astype(int) - want).max() <= (0 if "jpeg" in codec else 1)
        assert one.slot == 1


def test_a_realisation_is_one_of_compare() -> None:
    service = make_service("rayleigh")
    (image,) = photographs(1)
    asked = [carry_request(image, codec="swin", ratio=1 / 6, esno_db=10, realisation=i) for i in (0, 1, 0)]
    first, second, third = (read_carried(reply).image for reply in service.handle(asked))
    service.close()
    assert np.abs(first.astype(int) - third).max() <= 1
    assert np.abs(first.astype(int) - second).max() > 5


def test_hits_are_exact_and_said() -> None:
    service = make_service("awgn", cache_bytes=1 << 20)
    image, other = photographs(2)
    changed = image.copy()
    changed[0, 0, 0] ^= 1

    def ask(pixels: NDArray[np.uint8], codec: str = "swin+sft", esno_db: float = 10.0) -> CarriedImage:
        (reply,) = service.handle([carry_request(pixels, codec=codec, ratio=1 / 6, esno_db=esno_db)])
        return read_carried(reply)

    def hits(one: CarriedImage) -> tuple[bool, bool]:
        return one.encoded_hit, one.result_hit

    first = ask(image)
    again = ask(image)
    assert (hits(first), hits(again)) == ((False, False), (True, True))
    np.testing.assert_array_equal(first.image, again.image)
    assert hits(ask(image, codec="swin")) == (True, False)  # the same symbols, another receiver
    assert hits(ask(changed)) == hits(ask(other)) == (False, False)
    assert hits(ask(image, esno_db=11.0)) == (False, False)  # this network heeds the Es/N0
    assert hits(ask(image, codec=DIGITAL)) == (False, False)
    assert hits(ask(image, codec=DIGITAL, esno_db=11.0)) == (True, False)  # this code does not
    assert service.stages.summary()["encoded_hits"] == 3
    assert service.stages.summary()["result_hits"] == 1
    service.close()


def test_what_radios_received_is_restored() -> None:
    service = Service(threads=1)
    (image,) = photographs(1)
    sent = service.encode(image, codec="swin", esno_db=6)
    noise = np.random.default_rng(0).standard_normal((512, 2)) @ [1, 1j] * np.sqrt(esno_to_n0(6) / 2)
    asked = decode_request(sent.header, sent.symbols + noise, np.full(512, esno_to_n0(6)))
    plain, restored, wrong = service.handle(
        [asked, *(replace(asked, meta={**asked.meta, "receiver": name}) for name in ("sft", "nix"))]
    )
    service.close()
    assert read_decoded(restored).codec == "swin+sft"
    assert restored.meta["result_hit"] is False
    assert np.abs(read_decoded(plain).image.astype(int) - read_decoded(restored).image).max() > 0
    assert "receiver 'nix' must be one of" in str(wrong.meta["message"])


def test_what_the_others_of_an_uplink_send_is_what_is_told() -> None:
    """Without noise and nulling, it is on their antennas: matched filters tell it from silence."""
    mimo = parse_channel("uplink:users=3,rx=3,mmse")
    sent, others = probe(2, 64), torch.stack([probe(2, 64), 2 * probe(2, 64)], dim=2)
    rngs = [torch.Generator().manual_seed(i) for i in range(2)]
    scheme = OccupiedUplink(3, 3, "mmse", others=others[:, :, :1])
    out = scheme.precode(sent[..., None], None, 0.1, rng=rngs)
    torch.testing.assert_close(out[:, :, 0, 1], others[:, :, 0])
    assert not out[:, :, 0, 2].any()
    ahead = [torch.Generator().manual_seed(i) for i in range(2)]
    Uplink(3, 3, "mmse").precode(sent[..., None], None, 0.1, rng=ahead)
    assert torch.equal(rngs[0].get_state(), ahead[0].get_state())  # all is drawn as without them
    zf = replace(mimo, antennas=Uplink(3, 3, "zf"))  # type: ignore[type-var]
    known = replace(zf, antennas=OccupiedUplink(3, 3, "zf", others=others))
    got = [one(sent, 0.1, rng=[torch.Generator().manual_seed(i) for i in range(2)]) for one in (zf, known)]
    torch.testing.assert_close(got[0].symbols, got[1].symbols, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="3 of them beside user 0; there are 3 users in all"):
        OccupiedUplink(3, 3, "zf", others=torch.zeros(1, 8, 3, dtype=torch.complex64))
