from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from semlink.baselines.layered import SHARE, AdaptiveLayeredCodec, LayeredCodec, digital_codec, plan_layers
from semlink.baselines.mcs import NR_SCHEMES, parse_mcs
from semlink.baselines.separate import GenieCodec, SeparateCodec
from semlink.baselines.sources import SOURCES, Pixels, Shape, register_source
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link, Received


class Rows:
    """A source coder of which every beginning is an image: grey levels of rows, a byte each, from the top on."""

    layered = True

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        rows = image.mean(axis=(1, 2)).round().astype("uint8")
        return bytes([1]) + rows.tobytes()[: budget - 1] if budget > 1 else None

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        import numpy as np

        if data[:1] != b"\x01":
            return None
        found = np.full(shape, 128, np.uint8)
        for i, level in enumerate(data[1 : 1 + shape[0]]):
            found[i] = level
        return found

    def note(self, shape: Shape) -> str:
        return "levels of rows"


@pytest.fixture(scope="module", autouse=True)
def rows() -> Iterator[None]:
    coder = Rows()
    register_source("rows", lambda: coder)
    yield
    del SOURCES["rows"]


@pytest.fixture
def image() -> Tensor:
    """Four images of 32 rows, each of one level."""
    levels = torch.randint(0, 256, (4, 1, 32, 1), generator=torch.Generator().manual_seed(0)).float() / 255
    return levels.expand(4, 3, 32, 32).contiguous()


def test_a_quarter_of_the_uses_has_at_most_half_the_rate() -> None:
    for name in ("16qam-1/2", "64qam-3/4", "nr1-8"):
        first, rest = plan_layers(512, parse_mcs(name))
        assert (first.symbols, rest.symbols) == (512 // SHARE, 512 - 512 // SHARE)
        assert first.mcs.bits_per_symbol * first.mcs.rate <= rest.mcs.bits_per_symbol * rest.mcs.rate / 2


def test_what_is_too_short_for_two_layers_is_one() -> None:
    assert [plan.symbols for plan in plan_layers(60, parse_mcs("16qam-1/2"))] == [60]
    assert [plan.symbols for plan in plan_layers(512, NR_SCHEMES[0])] == [512]


def test_all_arrives_and_the_account_adds_up(image: Tensor) -> None:
    codec = LayeredCodec(source="rows", mcs="16qam-1/2")
    frame = codec.encode(image, 0.01)
    layers = plan_layers(512, parse_mcs("16qam-1/2"))
    bits = sum(int(frame.bits[name][0]) for name in ("source", "padding", "crc", "parity"))
    assert bits == sum(plan.coded_bits for plan in layers)
    got = Link(codec, AWGN())(image, 20, rng=torch.Generator().manual_seed(0))
    assert torch.allclose(got.image, image, atol=1e-6)
    assert not bool(got.failed.any())


def test_the_first_layer_outlives_the_second(image: Tensor) -> None:
    """The symbols of the second are lost: what the first tells is shown, and the image counts as failed."""
    codec = LayeredCodec(source="rows", mcs="16qam-1/2")
    symbols, first = codec.encode(image, 0.01).symbols.clone(), 512 // SHARE
    symbols[:, first:] = 0
    got = codec.decode(Received(symbols, torch.full(symbols.shape, 0.05), image_shape=(3, 32, 32)))
    told = plan_layers(512, parse_mcs("16qam-1/2"))[0].payload_bytes - 1
    assert 5 < told < 32
    assert torch.allclose(got.image[:, :, :told], image[:, :, :told], atol=1e-6)
    assert torch.allclose(got.image[:, :, told:], torch.tensor(128 / 255))
    assert got.failed is not None
    assert bool(got.failed.all())
    symbols[:, :first] = 0
    nothing = codec.decode(Received(symbols, torch.full(symbols.shape, 0.05), image_shape=(3, 32, 32)))
    assert torch.allclose(nothing.image, torch.tensor(128 / 255))


def test_it_falls_in_two_steps(image: Tensor) -> None:
    """Between the two layers' cliffs an image in part; a link with one layer has nothing there."""
    codec, link = LayeredCodec(source="rows", mcs="16qam-1/2"), SeparateCodec(source="rows", mcs="16qam-1/2")
    errors = {}
    for name, one in (("layers", codec), ("one", link)):
        got = Link(one, AWGN())(image, 3.5, rng=torch.Generator().manual_seed(0))
        errors[name] = float((got.image - image).square().mean())
    assert errors["layers"] < 0.8 * errors["one"]


def test_adaptation_takes_more_where_there_is_more(image: Tensor) -> None:
    codec, rates = AdaptiveLayeredCodec(source="rows"), []
    for level in (-2, 4, 12):
        frame = codec.encode(image[:1], 10 ** (-level / 10))
        assert frame.header is not None
        rates.append(frame.header[0])
        got = Link(codec, AWGN())(image[:1], level, rng=torch.Generator().manual_seed(0))
        assert not bool(got.failed.any())
    assert rates == sorted(rates)
    with pytest.raises(ValueError, match="needs the burst header"):
        codec.decode(Received(torch.zeros(1, 512, dtype=torch.complex64), torch.ones(1, 512), image_shape=(3, 32, 32)))


def test_which_links_have_layers() -> None:
    fading = Rayleigh("block")
    assert isinstance(digital_codec(source="rows", mcs="adaptive"), AdaptiveLayeredCodec)
    assert isinstance(digital_codec(source="rows", mcs="outage", fading=fading), AdaptiveLayeredCodec)
    assert isinstance(digital_codec(source="rows"), LayeredCodec)
    assert isinstance(digital_codec(source="rows", mcs="genie"), GenieCodec)
    assert isinstance(digital_codec(source="rows", code="conv"), SeparateCodec)
    assert isinstance(digital_codec(source="jpeg"), SeparateCodec)
    with pytest.raises(ValueError, match="mcs='outage' needs `fading`"):
        digital_codec(source="rows", mcs="outage")


def test_other_receptions_are_refused(image: Tensor) -> None:
    with pytest.raises(ValueError, match="received has 100 symbols; such an image is sent in 512"):
        LayeredCodec(source="rows").decode(
            Received(torch.zeros(1, 100, dtype=torch.complex64), torch.ones(1, 100), image_shape=(3, 32, 32))
        )
    with pytest.raises(ValueError, match="ratio=0 must be"):
        LayeredCodec(source="rows", ratio=0)
