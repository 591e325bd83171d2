"""Links whose source coder chooses the resolution: whatever they adapt to, none fails for lack of quality."""

from __future__ import annotations

import pytest
import torch

from semlink.baselines.ideal import CapacityCodec
from semlink.baselines.separate import separate_codec
from semlink.baselines.sources import Sealed, link_source
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Codec, InformedCodec, Link, Transmission
from semlink.phy.metrics import squared_error
from semlink.phy.rng import image_rngs
from semlink.phy.security import Key
from semlink.phy.sources import sample_images

PHOTOGRAPHS = torch.nn.functional.avg_pool2d(sample_images(), 2)[:, :, :97, :121]
NOISE = torch.rand(2, 3, 97, 121, generator=torch.Generator().manual_seed(0))
IMAGES = torch.cat([PHOTOGRAPHS, NOISE])


def send(codec: Codec | InformedCodec, esno_db: float, channel: Channel | None = None) -> Transmission:
    return Link(codec, channel or AWGN())(IMAGES, esno_db, rng=image_rngs(0, IMAGES))


@pytest.mark.parametrize("source", ["jpeg", "webp"])
@pytest.mark.parametrize("code", ["ldpc", "nr"])
def test_nothing_fails_for_lack_of_quality(source: str, code: str) -> None:
    """Far below where a whole file fits: 733 channel uses for 97×121."""
    codec = separate_codec(source=source, mcs="adaptive", ratio=1 / 48, code=code)
    errors = []
    for esno_db in (-2.0, 1.0, 8.0):
        got = send(codec, esno_db)
        assert got.block_errors is not None
        assert not (got.failed & (got.block_errors == 0)).any()
        assert (got.bits["source"] > 0).all()
        errors.append(float(squared_error(got.image, IMAGES)[: len(PHOTOGRAPHS)].mean()))
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("mcs", ["4qam-1/2", "outage", "genie"])
def test_other_ways_to_adapt_have_it_too(mcs: str) -> None:
    channel = Rayleigh("block")
    got = send(separate_codec(mcs=mcs, ratio=1 / 48, fading=channel), 25.0, channel)
    assert got.block_errors is not None
    assert (got.bits["source"] > 0).all()
    assert not (got.failed & (got.block_errors == 0)).any()


@pytest.mark.parametrize("source", ["jpeg", "webp"])
@pytest.mark.parametrize("esno_db", [0.0, 6.0])
def test_ceilings_stay_ceilings(source: str, esno_db: float) -> None:
    ceiling = squared_error(send(CapacityCodec(source=source, ratio=1 / 24), esno_db).image, IMAGES)
    got = send(separate_codec(source=source, mcs="adaptive", ratio=1 / 24), esno_db)
    assert (squared_error(got.image, IMAGES) > 0.97 * ceiling).all()


def test_a_ceiling_has_something_for_64_bits() -> None:
    got = send(CapacityCodec(ratio=1 / 48), -11.0)
    assert 64 <= float(got.bits["source"].max()) < 90
    assert not got.failed.any()


def test_sealed_images_are_reduced_too() -> None:
    codec = separate_codec(source=Sealed(link_source("jpeg"), Key(bytes(range(32)))), mcs="adaptive", ratio=1 / 48)
    got = send(codec, 6.0)
    assert not got.failed.any()
    other = separate_codec(source=Sealed(link_source("jpeg"), Key(bytes(32))), mcs="adaptive", ratio=1 / 48)
    frame = codec.encode(IMAGES, 0.25)
    received = AWGN()(frame.symbols, 1e-3, rng=torch.Generator().manual_seed(0))
    from dataclasses import replace

    decoded = other.decode(replace(received, image_shape=(3, 97, 121), header=frame.header))
    assert decoded.failed is not None
    assert decoded.failed.all()


def test_what_is_lost_in_outage_was_sent() -> None:
    got = send(CapacityCodec(bound="outage=0.5"), 15.0, Rayleigh("block"))
    assert (got.bits["source"] > 0).all()
    assert got.failed.any()
