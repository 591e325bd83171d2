"""Amplifiers and the clipper, against their formulas and Bussgang's theorem."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import erfc

from semlink.phy.impairments import Adc, Clip, DcOffset, Distorted, Rapp, Saleh


@pytest.mark.parametrize("ibo_db", [-10.0, 0.0, 6.0])
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, 40.0])
def test_rapp_compresses_by_its_formula(ibo_db: float, p: float, apply: Callable[..., Distorted]) -> None:
    amplitude = np.concatenate([np.geomspace(1e-3, 30, 200), [300.0]])
    sent = torch.polar(torch.from_numpy(amplitude), torch.linspace(0, 6, 201, dtype=torch.float64))[None]
    limit = math.sqrt((amplitude**2).mean() * 10 ** (ibo_db / 10))
    got = apply(Rapp(ibo_db, p), sent).samples
    with np.errstate(over="ignore"):
        expected = amplitude / (1 + (amplitude / limit) ** (2 * p)) ** (1 / (2 * p))
    np.testing.assert_allclose(got.abs()[0], expected, rtol=1e-9)
    torch.testing.assert_close(got.angle(), sent.angle())


def test_rapp_at_its_limits(apply: Callable[..., Distorted]) -> None:
    sent = torch.ones(1, 20000, dtype=torch.complex64)
    assert apply(Rapp(0.0, 2.0), sent).samples[0, 0].abs().item() == pytest.approx(2 ** (-1 / 4))  # at saturation
    assert apply(Rapp(60.0, 2.0), sent).samples[0, 0].item() == pytest.approx(1, abs=1e-6)  # small signal
    sent[0, 0] = 1e6  # far beyond it, where (r/A)^(2p) is no float32 any more
    got = apply(Rapp(0.0, 20.0), sent)
    limit = float(sent.abs().double().square().mean().sqrt())
    assert got.samples[0, 0].abs().item() == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("ibo_db", [0.0, 8.0])
def test_saleh_compresses_and_turns_by_its_formula(ibo_db: float, apply: Callable[..., Distorted]) -> None:
    amplitude = np.geomspace(1e-3, 30, 200)
    sent = torch.from_numpy(amplitude).to(torch.complex128)[None]
    # The original: the input scaled so that its mean power is `ibo_db` below the saturation point 1 / β_a.
    r = amplitude * math.sqrt(10 ** (-ibo_db / 10) / 1.1517 / (amplitude**2).mean())
    out = 2.1587 * r / (1 + 1.1517 * r**2) * np.exp(1j * 4.0033 * r**2 / (1 + 9.1040 * r**2))
    np.testing.assert_allclose(apply(Saleh(ibo_db), sent).samples[0], out * amplitude / r / 2.1587, rtol=1e-9)


def test_saleh_at_saturation_gives_half_the_linear_output_turned_by_22_degrees(apply: Callable[..., Distorted]) -> None:
    got = apply(Saleh(0.0), torch.ones(1, 8, dtype=torch.complex128)).samples[0, 0]
    assert got.abs().item() == pytest.approx(0.5)
    assert math.degrees(got.angle().item()) == pytest.approx(22.36, abs=0.01)
    steeper = apply(Saleh(0.0, beta_a=2.3034), torch.ones(1, 8, dtype=torch.complex128)).samples[0, 0]
    assert math.degrees(steeper.angle().item()) == pytest.approx(math.degrees(4.0033 / (2.3034 + 9.1040)))


def bussgang_of_a_clipper(level_db: float) -> tuple[float, float]:
    """Gain and distortion variance of a soft envelope limiter for CN(0, 1)."""
    ratio = 10 ** (level_db / 20)
    tail = math.exp(-(ratio**2))
    gain = 1 - tail + math.sqrt(math.pi) / 2 * ratio * float(erfc(ratio))
    return gain, 1 - tail - gain**2


@pytest.mark.parametrize("level_db", [-3.0, 0.0, 3.0, 6.0])
def test_clipping_leaves_bussgangs_gain_and_distortion(
    level_db: float,
    gaussian: Callable[..., torch.Tensor],
    apply: Callable[..., Distorted],
    assert_mean: Callable[..., None],
) -> None:
    gain, variance = bussgang_of_a_clipper(level_db)
    got = apply(Clip(level_db), gaussian(300, 4000))
    assert_mean(got.gain.real, gain)
    assert float(got.gain.imag.abs().mean()) <= 4 * float(got.variance.mean() / 4000) ** 0.5
    assert_mean(got.variance, variance)
    assert float(got.samples.abs().max()) <= 10 ** (level_db / 20) * 1.1  # of a row's own mean power


def test_clipping_leaves_what_is_below_the_level(
    gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    sent = gaussian(3, 500)
    got, level = apply(Clip(2.0), sent).samples, 10**0.1 * sent.abs().square().mean(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(got, torch.polar(torch.minimum(sent.abs(), level), sent.angle()))


def test_a_row_sets_its_own_level(gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]) -> None:
    sent = gaussian(1, 200)
    for stage in (Rapp(2.0), Saleh(6.0), Clip(1.0), Adc(4), DcOffset(-10.0)):
        torch.testing.assert_close(apply(stage, 5 * sent).samples, 5 * apply(stage, sent).samples)
