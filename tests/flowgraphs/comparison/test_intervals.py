"""The intervals of a comparison: which one holds follows from what a transmission's blocks share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.flowgraphs.comparison import Comparison, compare
from semlink.flowgraphs.comparison.intervals import Luck, shares_fade
from semlink.flowgraphs.specs import make_channel
from semlink.phy.link import Channel, Decoded, Frame, Received
from semlink.phy.metrics import error_rate

BLOCKS, IMAGES = 10, {f"{i}": torch.full((1, 3, 8, 8), 0.1 + 0.1 * i) for i in range(3)}


class Outage:
    """Its ten blocks fail together: where the fade leaves less than 10 dB."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        self.sent = image
        return Frame(torch.ones(len(image), 16, dtype=torch.complex64), {"payload": 16})

    def decode(self, received: Received) -> Decoded:
        lost = received.n0.mean(dim=1) > 0.1
        image = torch.where(lost[:, None, None, None], 128 / 255, (self.sent + 0.02).clamp(0, 1))
        return Decoded(image, lost, BLOCKS * lost.long(), BLOCKS)


class Spread:
    """A code without blocks, of one level: what noise there is goes into the picture."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        self.shape = image.shape
        return Frame(torch.ones(len(image), 64, dtype=torch.complex64), {"payload": 64})

    def decode(self, received: Received) -> Tensor:
        noise = (received.symbols - 1).real.view(-1, 1, 8, 8).expand(-1, 3, -1, -1)
        level = torch.tensor([0.5], dtype=noise.dtype)
        return (level + 0.1 * noise).clamp(0, 1)


def channel(spec: str) -> Channel:
    return make_channel(spec, coherence=None, csi=None, equaliser=None)


def sent(codec: object, spec: str, esno_db: float, *, realisations: int, seed: int = 0) -> Comparison:
    return compare(IMAGES, {"one": codec}, channel(spec), [esno_db], realisations=realisations, seed=seed, workers=1)  # type: ignore[dict-item]


def test_block_error_rates_on_block_fading_hold() -> None:
    """At 20 dB a tenth of the fades are below 10 dB: 1 - exp(-0.1); 60 experiments of 30 transmissions."""
    truth, rates, held, widths = -math.expm1(-0.1), [], 0, []
    for seed in range(60):
        row = sent(Outage(), "rayleigh", 20.0, realisations=10, seed=seed).table.iloc[0]
        exact = error_rate(int(row["failed"]), 30)
        assert (row["bler_low"], row["bler_high"]) == pytest.approx((exact.low, exact.high))  # not of 300 blocks
        assert (row["failed_low"], row["failed_high"]) == pytest.approx((exact.low, exact.high))
        rates.append(row["bler"])
        widths.append(row["bler_high"] - row["bler_low"])
        held += bool(row["bler_low"] <= truth <= row["bler_high"])
    assert held >= 60 * 0.935 - 3 * math.sqrt(60 * 0.05 * 0.95)
    assert np.mean(widths) > 3 * np.std(rates)  # of 300 independent blocks it would be 1.2 times


def test_psnr_reckons_with_an_outage_that_was_not_seen() -> None:
    row = sent(Outage(), "rayleigh", 40.0, realisations=10).table.iloc[0]
    assert row["failed"] == 0
    assert row["psnr_db_low"] < row["psnr_db"] - 3
    assert row["psnr_db"] <= row["psnr_db_high"] < row["psnr_db"] + 1


def test_few_transmissions_that_may_fade_have_none() -> None:
    row = sent(Spread(), "rayleigh", 10.0, realisations=2).table.iloc[0]
    assert math.isnan(row["psnr_db_low"])
    assert math.isfinite(row["psnr_db"])
    assert math.isfinite(sent(Spread(), "rayleigh", 10.0, realisations=4).table["psnr_db_low"].iloc[0])


def test_in_noise_alone_two_realisations_tell_it() -> None:
    row = sent(Spread(), "awgn", 10.0, realisations=2).table.iloc[0]
    assert 0 < row["psnr_db_high"] - row["psnr_db_low"] < 5


def test_in_noise_alone_blocks_are_by_themselves() -> None:
    """And of images that all arrived, or were all lost, noise leaves no interval of the PSNR."""
    kept, lost = (sent(Outage(), "awgn", level, realisations=4).table.iloc[0] for level in (20.0, 5.0))
    exact = error_rate(0, 120)
    assert (kept["bler_low"], kept["bler_high"]) == pytest.approx((exact.low, exact.high))
    for row in (kept, lost):
        assert math.isnan(row["psnr_db_low"])
        assert math.isnan(row["psnr_mean_db_high"])
    assert (kept["failed"], lost["failed"]) == (0, 12)


def test_what_shares_a_fade_follows_from_what_a_channel_says() -> None:
    shared = {
        "awgn": False, "rayleigh:coherence=fast": False, "rayleigh": True, "rayleigh:coherence=16": True,
        "rayleigh:coherence=fast,doppler=0.001": True, "awgn+rapp:ibo=6": True, "tdl-c:ds=100ns": True,
    }  # fmt: skip
    for spec, expected in shared.items():
        assert shares_fade(channel(spec).labels) is expected, spec  # type: ignore[attr-defined]
    assert shares_fade({})  # a channel of one's own that says nothing
    heard = {**channel("rayleigh").labels, "spec": "awgn"}  # type: ignore[attr-defined]
    assert shares_fade(heard)  # by somebody else than the link's receiver


def test_an_unknown_worst_is_not_made_up() -> None:
    """Of a perceptual distance: what a lost image has is known once one was lost."""
    values = np.full((3, 10), 0.1)
    assert math.isnan(Luck(fades=True, failed=0, sent=30, coded=True).mean(values).low)
    values[0, 0] = 0.8
    found = Luck(fades=True, failed=1, sent=30, coded=True).mean(values)
    assert found.low < found.value < found.high < 0.8
