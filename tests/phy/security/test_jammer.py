"""The friendly jammer on a link: its power, its law, and what it costs the receiver."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from semlink.phy.channels import parse_channel
from semlink.phy.constellation import QAM
from semlink.phy.link import Received
from semlink.phy.rng import probe
from semlink.phy.security import FriendlyJammer
from semlink.phy.theory import qam_ber_awgn


def jammed(spec: str, rows: int, n: int, n0: float = 0.01) -> tuple[Tensor, Received]:
    sent = probe(rows, n)
    return sent, parse_channel(spec)(sent, n0, rng=[torch.Generator().manual_seed(i) for i in range(rows)])


def test_a_fixed_power_is_noise_that_the_receiver_knows() -> None:
    sent, got = jammed("awgn+jammer:friendly,jsr=-6", 8, 4096)
    power = 0.01 + 10**-0.6
    torch.testing.assert_close(got.n0, torch.full_like(got.n0, power), rtol=1e-4, atol=0)
    measured = float((got.symbols - sent).abs().square().mean())
    assert abs(measured / power - 1) < 4 / math.sqrt(8 * 4096)
    assert abs(measured / power - 10**0.02) > 4 / math.sqrt(8 * 4096)  # 0.2 dB would be seen


def test_a_random_power_is_uniform_and_known_for_each_image() -> None:
    sent, got = jammed("awgn+jammer:friendly,jsr=0,power=uniform", 600, 400)
    power = got.n0[:, 0] - 0.01
    assert float(got.n0.std(dim=1).max()) < 1e-6
    assert 0 <= float(power.min()) < 0.02
    assert 0.98 < float(power.max()) <= 1
    assert abs(float(power.mean()) - 0.5) < 4 * math.sqrt(1 / 12 / 600)
    measured = (got.symbols - sent).abs().square().mean(dim=1)
    assert float((measured / got.n0[:, 0] - 1).abs().max()) < 5 / math.sqrt(400)


def test_a_faded_path_has_mean_power_one() -> None:
    _, got = jammed("awgn+jammer:friendly,jsr=-3,fading=rayleigh", 2000, 16, n0=0.1)
    power = (got.n0[:, 0] - 0.1) / 10**-0.3
    assert abs(float(power.mean()) - 1) < 4 / math.sqrt(2000)
    assert abs(float((power > 1).float().mean()) - math.exp(-1)) < 4 * math.sqrt(0.24 / 2000)


def test_what_it_costs_is_what_as_much_noise_costs() -> None:
    bits = torch.randint(2, (4, 40_000), generator=torch.Generator().manual_seed(0))
    channel = parse_channel("awgn+jammer:friendly,jsr=-7")
    got = channel(QAM(4).map(bits), 0.1, rng=torch.Generator().manual_seed(1))
    errors = float(((QAM(4).llr(got.symbols, got.n0) < 0) != bits.bool()).float().mean())
    expected = float(qam_ber_awgn(4, -10 * math.log10(0.1 + 10**-0.7)))
    assert abs(errors - expected) < 4 * math.sqrt(expected / bits.numel())


@pytest.mark.parametrize(
    "spec",
    [
        "awgn+jammer:friendly,jsr=-3",
        "rayleigh:csi=estimated+jammer:friendly,jsr=2,power=uniform,fading=rayleigh",
        "tdl-a:domain=time+jammer:friendly,jsr=-20",
    ],
)
def test_its_specification_reads_back(spec: str) -> None:
    told = parse_channel(spec).labels["spec"]  # type: ignore[attr-defined]
    assert "+jammer:friendly,jsr=" in told
    assert parse_channel(told).labels["spec"] == told  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("awgn+jammer:friendly", "lacks jsr"),
        ("awgn+jammer:friendly,jsr=200", "jsr_db=200.0 must be from -100 to 60 dB"),
        ("awgn+jammer:friendly,jsr=0,power=odd", "power=odd must be one of: fixed, uniform"),
        ("awgn+jammer:barrage,jsr=0,power=uniform", "power: only with kind=friendly"),
    ],
)
def test_what_cannot_be_is_refused(spec: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_channel(spec)


def test_from_python_it_refuses_the_same() -> None:
    with pytest.raises(ValueError, match="power='odd' must be one of"):
        FriendlyJammer(0.0, power="odd")  # type: ignore[arg-type]
