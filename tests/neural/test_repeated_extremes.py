"""A network's symbols sent again over channels that are all but noiseless, or all but noise."""

from __future__ import annotations

import pytest
import torch

from semlink.neural.networks import DeepJSCC
from semlink.neural.repeated import Repeated
from semlink.phy.channels import parse_channel
from semlink.phy.link import Link


@pytest.mark.parametrize("esno_db", [-300.0, 400.0])
def test_any_es_n0_gives_what_one_round_gives_or_better(esno_db: float) -> None:
    torch.manual_seed(0)
    codec, channel = DeepJSCC(cell_symbols=8, widths=(4, 4)).eval(), parse_channel("rayleigh:coherence=64")
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    rounds = Repeated(codec, ratio=codec.ratio, round_ratio=codec.ratio, rounds=2, channel=channel)
    got = Link(rounds, channel)(image, esno_db, rng=torch.Generator().manual_seed(2)).image
    assert got.isfinite().all()
    if esno_db > 0:
        once = Link(codec, channel)(image, esno_db, rng=torch.Generator().manual_seed(2)).image
        torch.testing.assert_close(got, once, atol=1e-4, rtol=0)
