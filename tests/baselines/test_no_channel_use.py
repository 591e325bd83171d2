"""Budgets of not one channel use: told as too small, whatever the transmitter knows, and not an error of arithmetic."""

from __future__ import annotations

import pytest
import torch

from semlink.baselines.harq_link import HarqCodec
from semlink.baselines.ideal import CapacityCodec
from semlink.baselines.separate import separate_codec
from semlink.phy.channels import Rayleigh
from semlink.phy.link import Codec, InformedCodec, Link

CHANNEL = Rayleigh(coherence=4)
MAKERS = {
    "adaptive": lambda: separate_codec(mcs="adaptive"),
    "outage": lambda: separate_codec(mcs="outage", fading=CHANNEL),
    "genie": lambda: separate_codec(mcs="genie"),
    "nr": lambda: separate_codec(mcs="outage", fading=CHANNEL, code="nr"),
    "harq": lambda: HarqCodec(mcs="outage", fading=CHANNEL),
    "capacity": CapacityCodec,
    "capacity in outage": lambda: CapacityCodec(bound="outage=0.1"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_image_of_one_pixel_is_told_as_too_small(name: str) -> None:
    codec: Codec | InformedCodec = MAKERS[name]()
    with pytest.raises(ValueError, match="too small for an image of 1×1×3"):
        Link(codec, CHANNEL)(torch.zeros(1, 3, 1, 1), 10.0, rng=torch.Generator().manual_seed(1))
