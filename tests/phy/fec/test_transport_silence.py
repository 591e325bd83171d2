"""Transport blocks of which nothing arrived: the zeros that a decoder makes of silence are a code word, not a block."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from semlink.baselines.harq import Harq
from semlink.baselines.harq_link import HarqCodec
from semlink.baselines.separate import SeparateCodec
from semlink.phy.channels import parse_channel
from semlink.phy.fec import TransportBlock, transport_block_size
from semlink.phy.link import Link


def block(symbols: int, rate_1024: int) -> TransportBlock:
    rate = Fraction(rate_1024, 1024)
    size = transport_block_size(symbols, rate=rate, bits_per_symbol=2)
    return TransportBlock(size, 2 * symbols, rate, 2)


@pytest.mark.parametrize(("symbols", "rate"), [(40, 308), (300, 120), (400, 658), (9000, 602)])
@pytest.mark.parametrize("size", [0.0, 1e-12, 0.02, 0.05])
def test_of_llrs_that_say_nothing_no_block_arrives(symbols: int, rate: int, size: float) -> None:
    """From 0.02 on a few of an int8 decoder's values are not 0: flipped bits among those of parity alone."""
    code = block(symbols, rate)
    llr = size * torch.randn(16 if symbols < 1000 else 2, code.n, generator=torch.Generator().manual_seed(1))
    assert not code.decode(llr)[1].any()
    assert not code.decode(torch.cat([llr, llr.flip(1)], dim=1), (0, 2))[1].any()


@pytest.mark.parametrize("size", [1.0, 20.0])
def test_a_payload_of_zeros_arrives(size: float) -> None:
    code = block(400, 658)
    sent = torch.zeros(2, code.payload)
    bits, arrived = code.decode(size * (1 - 2 * code.encode(sent)))
    assert torch.equal(bits, sent)
    assert arrived.all()


def test_a_block_that_is_silent_is_lost_beside_one_that_arrives() -> None:
    code = block(9000, 602)
    assert code.blocks == 2
    sent = torch.randint(0, 2, (1, code.payload), generator=torch.Generator().manual_seed(1)).float()
    llr = 20 * (1 - 2 * code.encode(sent))
    llr[:, code.lengths[0] :] = 0
    assert code.decode(llr)[1].tolist() == [[True, False]]


@pytest.mark.parametrize("channel", ["awgn", "waveform"])
def test_an_image_of_which_nothing_arrives_is_lost_on_the_channel(channel: str) -> None:
    """At -45 dB, where no burst is found either: each of its code blocks is in error, and not its source coding."""
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    link = Link(SeparateCodec(mcs="4qam-1/2", ratio=1 / 3, code="nr"), parse_channel(channel))
    got = link(image, -45.0, rng=torch.Generator().manual_seed(2))
    assert got.failed.all()
    assert got.block_errors is not None
    assert got.block_errors.tolist() == [1]


def test_of_silence_every_round_is_asked_for() -> None:
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    link = Link(HarqCodec(mcs="4qam-1/2", ratio=1 / 3, harq=Harq(rounds=2)), parse_channel("awgn"))
    got = link(image, -50.0, rng=torch.Generator().manual_seed(2))
    assert got.failed.all()
    assert got.spent is not None
    assert got.spent.tolist() == [256.0]
