"""The simulator's channel over bursts takes every offset at which they are found, and no more."""

from __future__ import annotations

import pytest
import torch

from semlink.phy.channels import WaveformChannel, parse_channel
from semlink.phy.link import ERASED
from semlink.phy.rng import probe


@pytest.mark.parametrize(
    "spec", ["waveform:sc,cfo=0.08,ppm=22", "waveform:sc,sps=8,cfo=-0.16", "waveform:ofdm,cfo=-5,ppm=-22"]
)
def test_at_the_end_of_the_range_everything_arrives(spec: str) -> None:
    sent = probe(2, 3000)
    got = parse_channel(spec)(sent, 0.05, rng=torch.Generator().manual_seed(0))
    assert float(got.n0.max()) < ERASED
    assert float(((got.symbols - sent).abs().square() / got.n0).mean()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("sps", "limit"), [(2, 0.04), (4, 0.08), (16, 0.32)])
def test_the_range_is_one_of_cycles_per_sample(sps: int, limit: float) -> None:
    assert WaveformChannel(sps=sps, cfo=-limit).cfo == -limit
    with pytest.raises(ValueError, match=f"must be from -{limit:g} to {limit:g} cycles per symbol"):
        WaveformChannel(sps=sps, cfo=1.01 * limit)


def test_a_pulse_that_is_none_is_refused_before_the_offset() -> None:
    with pytest.raises(ValueError, match="samples_per_symbol=0 must be from 2 to 16"):
        WaveformChannel(sps=0, cfo=0.01)
