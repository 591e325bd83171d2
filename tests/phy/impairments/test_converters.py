"""I/Q imbalance, DC and quantisers, against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from semlink.phy.impairments import Adc, Dac, DcOffset, Distorted, IqImbalance, Side


@pytest.mark.parametrize("side", ["transmitter", "receiver"])
@pytest.mark.parametrize(("gain_db", "phase_deg"), [(0.5, 3.0), (-1.0, 0.0), (0.0, 10.0), (3.0, -20.0)])
def test_iq_imbalance_rejects_the_image_by_its_formula(
    side: Side, gain_db: float, phase_deg: float, apply: Callable[..., Distorted]
) -> None:
    n, tone = 64, 5
    sent = torch.polar(torch.ones(n, dtype=torch.float64), 2 * math.pi * tone / n * torch.arange(n).double())[None]
    got = apply(IqImbalance(gain_db, phase_deg, side=side), sent)
    bins = torch.fft.fft(got.samples[0]).abs().square() / n**2
    g, cos = 10 ** (gain_db / 20), math.cos(math.radians(phase_deg))
    rejection = (1 + 2 * g * cos + g * g) / (1 - 2 * g * cos + g * g)
    assert (bins[tone] / bins[-tone]).item() == pytest.approx(rejection)
    assert (bins[tone] + bins[-tone]).item() == pytest.approx(1)  # a circular signal keeps its energy
    assert got.variance.item() == pytest.approx(1 / (1 + rejection))


@pytest.mark.parametrize("side", ["transmitter", "receiver"])
def test_iq_imbalance_is_what_the_mixer_does_to_its_branches(
    side: Side, gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    """A quadrature branch of gain g that mixes with a sine of phase error φ, by hand."""
    sent, g, phi = gaussian(2, 30), 10 ** (2.0 / 20), math.radians(15.0)
    i, q = sent.real, sent.imag
    if side == "transmitter":  # i cos(ωt) - g q sin(ωt + φ), seen by an ideal receiver
        by_hand = torch.complex(i - g * q * math.sin(phi), g * q * math.cos(phi))
    else:  # the branches of i cos(ωt) - q sin(ωt) mixed with cos(ωt) and -g sin(ωt + φ)
        by_hand = torch.complex(i, g * (q * math.cos(phi) - i * math.sin(phi)))
    got = apply(IqImbalance(2.0, 15.0, side=side), sent).samples
    torch.testing.assert_close(got, by_hand / math.sqrt((1 + g * g) / 2))


def test_dc_has_its_power_on_both_axes(gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]) -> None:
    sent = gaussian(4, 300) * torch.tensor([[0.1], [1.0], [2.0], [30.0]])
    added = apply(DcOffset(-20.0), sent).samples - sent
    torch.testing.assert_close(added, added[:, :1].expand_as(added), atol=1e-10, rtol=0)
    power = sent.abs().square().mean(dim=1)
    torch.testing.assert_close(added[:, 0].abs().square(), 0.01 * power)
    torch.testing.assert_close(added[:, 0].real, added[:, 0].imag)


@pytest.mark.parametrize("bits", [4, 6, 8, 10])
def test_a_quantiser_has_six_decibels_a_bit(
    bits: int,
    generator: Callable[..., torch.Generator],
    apply: Callable[..., Distorted],
    assert_mean: Callable[..., None],
) -> None:
    """Uniform over full scale A: signal A²/3, error Δ²/12 = A²/3 / 4^bits."""
    axes = 2 * torch.rand(1, 100_000, 2, dtype=torch.float64, generator=generator(1)) - 1
    sent = torch.view_as_complex(axes)
    full_over_rms = 20 * math.log10(1 / axes.square().mean().sqrt().item())
    error = torch.view_as_real(apply(Adc(bits, headroom_db=full_over_rms), sent).samples) - axes
    assert_mean(error.square(), 1 / 3 / 4**bits)


def test_a_quantiser_is_mid_rise_with_as_many_levels_as_told(
    gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    sent = gaussian(1, 20_000)
    got = apply(Dac(3, headroom_db=6.0), sent).samples
    full = 10**0.3 * float(torch.view_as_real(sent).square().mean().sqrt())
    levels = np.unique(np.round(torch.view_as_real(got).numpy() / full, 9))
    np.testing.assert_allclose(levels, np.arange(-7, 8, 2) / 8)
    inside = torch.view_as_real(sent).abs() <= full
    off = (torch.view_as_real(got) - torch.view_as_real(sent)).abs()[inside]
    assert float(off.max()) <= full / 8 * (1 + 1e-9)


def test_the_gradient_of_a_quantiser_is_straight_through_within_full_scale(
    gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    sent = gaussian(2, 500).requires_grad_()
    (gradient,) = torch.autograd.grad(apply(Adc(2, headroom_db=3.0), sent).samples.real.sum(), sent)
    full = 10**0.15 * (sent.detach().abs().square().mean(dim=1, keepdim=True) / 2).sqrt()
    torch.testing.assert_close(gradient.real, (sent.detach().real.abs() <= full).double())
    assert float(gradient.imag.abs().max()) == 0
