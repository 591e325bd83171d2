"""Carrier and sampling offsets and phase noise, against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from semlink.phy.impairments import CarrierOffset, Distorted, PhaseNoise, SamplingOffset


def test_a_carrier_offset_turns_exactly(gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]) -> None:
    sent, k = gaussian(1, 5000), torch.arange(5000, dtype=torch.float64)
    got = apply(CarrierOffset(0.0123, phase=0.7), sent).samples
    turn = torch.from_numpy(np.exp(1j * (0.7 + 2 * np.pi * 0.0123 * k.numpy())))
    torch.testing.assert_close(got, sent * turn)
    torch.testing.assert_close(apply(CarrierOffset(0.0, phase=0), sent).samples, sent)


def test_a_random_phase_is_uniform_and_constant_over_a_row(apply: Callable[..., Distorted]) -> None:
    got = apply(CarrierOffset(0.0), torch.ones(4000, 3, dtype=torch.complex64))
    assert torch.equal(got.samples[:, :1].expand(-1, 3), got.samples)
    for order in (1, 2, 3):  # the moments E[exp(jkφ)] of a uniform phase are 0, each with E|·|² = 1/4000
        assert float((got.samples[:, 0] ** order).mean().abs()) <= 4 / math.sqrt(4000)
    torch.testing.assert_close(got.gain, got.samples[:, :1])  # what a receiver's pilots tell it
    assert float(got.variance.max()) < 1e-12


def test_a_carrier_offset_leaves_the_gain_of_a_mean_phasor(apply: Callable[..., Distorted]) -> None:
    got = apply(CarrierOffset(1e-3, phase=0), torch.ones(1, 200, dtype=torch.complex128))
    k = np.arange(200)
    mean = np.exp(2j * np.pi * 1e-3 * k).mean()
    assert got.gain.item() == pytest.approx(mean)
    assert got.variance.item() == pytest.approx(1 - abs(mean) ** 2)


@pytest.mark.parametrize("linewidth", [1e-5, 1e-3])
def test_phase_noise_has_increments_of_its_variance(
    linewidth: float, apply: Callable[..., Distorted], assert_mean: Callable[..., None]
) -> None:
    got = apply(PhaseNoise(linewidth), torch.ones(4, 20_000, dtype=torch.complex128)).samples
    assert bool((got[:, 0] == 1).all())
    steps = (got[:, 1:] * got[:, :-1].conj()).angle()
    assert_mean(steps.square(), 2 * math.pi * linewidth)
    assert abs(float((steps[:, 1:] * steps[:, :-1]).mean())) <= 4 * 2 * math.pi * linewidth / math.sqrt(steps.numel())


@pytest.mark.parametrize("lag", [5, 20, 60])
def test_phase_noise_has_the_autocorrelation_of_a_lorentzian(lag: int, apply: Callable[..., Distorted]) -> None:
    linewidth, rows = 5e-3, 20_000
    phases = torch.cat(
        [apply(PhaseNoise(linewidth), torch.ones(2000, lag + 3) + 0j, seed=s).samples for s in range(10)]
    )
    product = (phases[:, -1] * phases[:, 2].conj()).real
    expected = math.exp(-math.pi * linewidth * lag)
    error = 4 * float(product.std()) / math.sqrt(rows)
    assert abs(float(product.mean()) - expected) <= error
    assert abs(float(product.mean()) - expected**1.1) > error  # a linewidth off by a tenth


def pulse_of_tones(t: np.ndarray) -> np.ndarray:
    """Tones under a Gaussian of 30 samples: within ±0.45 cycles per sample and the frame, to twelve digits."""
    tones = [(1.0, 0.05, 0.1), (0.7, -0.31, 2.0), (0.5, 0.42, 4.0), (0.6, -0.445, 1.0)]
    envelope = np.exp(-((t - 300) ** 2) / (2 * 30**2))
    return np.asarray(sum(a * np.exp(1j * (2 * np.pi * f * t + p)) for a, f, p in tones) * envelope)


@pytest.mark.parametrize(("ppm", "delay"), [(0, 0.5), (20, 0.0), (-3000, 0.3), (10_000, -2.7), (500, 100.25)])
def test_a_sampling_offset_resamples_a_band_limited_signal(
    ppm: float, delay: float, apply: Callable[..., Distorted]
) -> None:
    k = np.arange(600)
    sent = torch.from_numpy(pulse_of_tones(k))[None]
    got = apply(SamplingOffset(ppm, delay=delay), sent).samples[0]
    np.testing.assert_allclose(got, pulse_of_tones(k * (1 + ppm * 1e-6) - delay), atol=1e-6)


@pytest.mark.parametrize(("ppm", "delay"), [(0, 0.5), (-800, 0.2), (10_000, 7.9)])
def test_a_sampling_offset_of_white_symbols_is_the_sum_of_their_sincs(
    ppm: float, delay: float, gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    sent, k = gaussian(3, 257), np.arange(257)
    sincs = np.sinc((k * (1 + ppm * 1e-6) - delay)[:, None] - k)
    np.testing.assert_allclose(apply(SamplingOffset(ppm, delay=delay), sent).samples, sent.numpy() @ sincs.T, atol=1e-6)


def test_a_whole_delay_shifts_in_zeros_and_the_drift_adds_up(
    gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    sent = gaussian(1, 50, dtype=torch.complex64)
    got = apply(SamplingOffset(0.0, delay=3.0), sent).samples
    torch.testing.assert_close(got[:, 3:], sent[:, :-3], atol=1e-5, rtol=0)
    assert float(got[:, :3].abs().max()) < 1e-5
    assert float(apply(SamplingOffset(0.0, delay=70.0), sent).samples.abs().max()) < 1e-5
    ramp = torch.polar(torch.ones(5000), 2 * math.pi * 0.01 * torch.arange(5000))[None].to(torch.complex128)
    phase = (apply(SamplingOffset(400.0), ramp).samples * ramp.conj()).angle()[0] / (2 * math.pi * 0.01)
    np.testing.assert_allclose(phase[500:4500:500], 4e-4 * np.arange(500, 4500, 500), atol=0.02)
