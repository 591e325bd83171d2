"""What a notebook shows of links and their outcomes, and what it is told of a number or a generator that is none."""

from __future__ import annotations

import pytest
import torch

from semlink.baselines.separate import SeparateCodec
from semlink.phy.channels import AWGN
from semlink.phy.fec import LDPC5G
from semlink.phy.link import Link, Transmission, esno_to_n0

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def sent() -> Transmission:
    link = Link(SeparateCodec(ratio=1 / 2), AWGN())
    return link(IMAGE, 20, rng=torch.Generator().manual_seed(0))


def test_what_is_shown_is_short() -> None:
    assert repr(Link(SeparateCodec(), AWGN())) == "Link(SeparateCodec, AWGN())"
    assert repr(Link(SeparateCodec(), AWGN(), clips=True)) == "Link(SeparateCodec, AWGN(), clips=True)"
    assert repr(LDPC5G(512, 1024)) == "LDPC5G(k=512, n=1024, base_graph=2)"
    assert "mcs='16qam-1/2', ratio=0.1667, code='ldpc')" in repr(SeparateCodec())
    said = repr(sent())
    assert said.startswith("Transmission(image=(2, 3, 16, 16), esno_db=20, failed=0 of 2, uses={'payload': 384")
    assert len(said) < 150


@pytest.mark.parametrize("level", ["10", [0, 10], torch.tensor([0.0, 10.0])])
def test_an_esno_that_is_no_number(level: object) -> None:
    with pytest.raises(ValueError, match=r"esno_db is a (str|list|Tensor); it must be one number of dB"):
        esno_to_n0(level)  # type: ignore[arg-type]


def test_a_seed_is_no_generator() -> None:
    with pytest.raises(ValueError, match=r"rng is a int; it must be a torch\.Generator"):
        Link(SeparateCodec(ratio=1 / 2), AWGN())(IMAGE, 20, rng=0)  # type: ignore[arg-type]


def test_bits_that_are_no_tensor() -> None:
    for call in (LDPC5G(512, 1024).encode, LDPC5G(512, 1024).decode):
        with pytest.raises(ValueError, match=r"LDPC5G\(k=512.* takes a tensor of rows, not a list"):
            call([0, 1])  # type: ignore[arg-type]
