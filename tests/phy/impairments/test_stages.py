"""Trust tests of the impairments, against closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import erfc

from semlink.phy.impairments import (
    Adc,
    CarrierOffset,
    Clip,
    Dac,
    DcOffset,
    Distorted,
    IqImbalance,
    PhaseNoise,
    Radio,
    Rapp,
    Saleh,
    SamplingOffset,
    Side,
    Stage,
)
from semlink.phy.rng import image_rngs

FIFTH_OF_A_DB = 10**0.02
STAGES: dict[str, Stage] = {
    "rapp:ibo=3,p=3": Rapp(3.0, 3.0),
    "saleh:ibo=8": Saleh(8.0),
    "clip:level=3": Clip(3.0),
    "cfo:offset=0.0001": CarrierOffset(1e-4),
    "cfo:offset=-0.01,phase=0.5,side=transmitter": CarrierOffset(-0.01, phase=0.5, side="transmitter"),
    "phase-noise:linewidth=1e-5": PhaseNoise(1e-5),
    "sfo:ppm=20": SamplingOffset(20.0),
    "sfo:ppm=-2000,delay=0.3": SamplingOffset(-2000.0, delay=0.3),
    "iq:gain=0.5,phase=3": IqImbalance(0.5, 3.0),
    "iq:gain=-1,side=transmitter": IqImbalance(-1.0, side="transmitter"),
    "dc:level=-30": DcOffset(-30.0),
    "dac:bits=6": Dac(6),
    "adc:bits=3,headroom=9.5": Adc(3, headroom_db=9.5),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(b: int, n: int, *, seed: int = 99, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(b, n, dtype=dtype, generator=generator(seed))


def apply(stage: Stage, samples: torch.Tensor, *, seed: int = 0) -> Distorted:
    return stage(samples, rng=[generator(seed + 1000 * i) for i in range(len(samples))])


def assert_mean(values: torch.Tensor, expected: float, *, off: float = FIFTH_OF_A_DB) -> None:
    """Within 4 standard errors; and the twin: a fifth of a decibel off is beyond them."""
    error = 4 * float(values.std()) / math.sqrt(values.numel())
    assert abs(float(values.mean()) - expected) <= error
    assert abs(float(values.mean()) - expected * off) > error


# Amplifiers


@pytest.mark.parametrize("ibo_db", [-10.0, 0.0, 6.0])
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.0, 40.0])
def test_rapp_compresses_by_its_formula(ibo_db: float, p: float) -> None:
    amplitude = np.concatenate([np.geomspace(1e-3, 30, 200), [300.0]])
    sent = torch.polar(torch.from_numpy(amplitude), torch.linspace(0, 6, 201, dtype=torch.float64))[None]
    limit = math.sqrt((amplitude**2).mean() * 10 ** (ibo_db / 10))
    got = apply(Rapp(ibo_db, p), sent).samples
    with np.errstate(over="ignore"):
        expected = amplitude / (1 + (amplitude / limit) ** (2 * p)) ** (1 / (2 * p))
    np.testing.assert_allclose(got.abs()[0], expected, rtol=1e-9)
    torch.testing.assert_close(got.angle(), sent.angle())


def test_rapp_at_its_limits() -> None:
    sent = torch.ones(1, 20000, dtype=torch.complex64)
    assert apply(Rapp(0.0, 2.0), sent).samples[0, 0].abs().item() == pytest.approx(2 ** (-1 / 4))  # at saturation
    assert apply(Rapp(60.0, 2.0), sent).samples[0, 0].item() == pytest.approx(1, abs=1e-6)  # small signal
    sent[0, 0] = 1e6  # far beyond it, where (r/A)^(2p) is no float32 any more
    got = apply(Rapp(0.0, 20.0), sent)
    limit = float(sent.abs().double().square().mean().sqrt())
    assert got.samples[0, 0].abs().item() == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("ibo_db", [0.0, 8.0])
def test_saleh_compresses_and_turns_by_its_formula(ibo_db: float) -> None:
    amplitude = np.geomspace(1e-3, 30, 200)
    sent = torch.from_numpy(amplitude).to(torch.complex128)[None]
    # The original: the input scaled so that its mean power is `ibo_db` below the saturation point 1 / β_a.
    r = amplitude * math.sqrt(10 ** (-ibo_db / 10) / 1.1517 / (amplitude**2).mean())
    out = 2.1587 * r / (1 + 1.1517 * r**2) * np.exp(1j * 4.0033 * r**2 / (1 + 9.1040 * r**2))
    np.testing.assert_allclose(apply(Saleh(ibo_db), sent).samples[0], out * amplitude / r / 2.1587, rtol=1e-9)


def test_saleh_at_saturation_gives_half_the_linear_output_turned_by_22_degrees() -> None:
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
def test_clipping_leaves_bussgangs_gain_and_distortion(level_db: float) -> None:
    gain, variance = bussgang_of_a_clipper(level_db)
    got = apply(Clip(level_db), gaussian(300, 4000))
    assert_mean(got.gain.real, gain)
    assert float(got.gain.imag.abs().mean()) <= 4 * float(got.variance.mean() / 4000) ** 0.5
    assert_mean(got.variance, variance)
    assert float(got.samples.abs().max()) <= 10 ** (level_db / 20) * 1.1  # of a row's own mean power


def test_clipping_leaves_what_is_below_the_level() -> None:
    sent = gaussian(3, 500)
    got, level = apply(Clip(2.0), sent).samples, 10**0.1 * sent.abs().square().mean(dim=1, keepdim=True).sqrt()
    torch.testing.assert_close(got, torch.polar(torch.minimum(sent.abs(), level), sent.angle()))


def test_a_row_sets_its_own_level() -> None:
    sent = gaussian(1, 200)
    for stage in (Rapp(2.0), Saleh(6.0), Clip(1.0), Adc(4), DcOffset(-10.0)):
        torch.testing.assert_close(apply(stage, 5 * sent).samples, 5 * apply(stage, sent).samples)


# Oscillators and clocks


def test_a_carrier_offset_turns_exactly() -> None:
    sent, k = gaussian(1, 5000), torch.arange(5000, dtype=torch.float64)
    got = apply(CarrierOffset(0.0123, phase=0.7), sent).samples
    turn = torch.from_numpy(np.exp(1j * (0.7 + 2 * np.pi * 0.0123 * k.numpy())))
    torch.testing.assert_close(got, sent * turn)
    torch.testing.assert_close(apply(CarrierOffset(0.0, phase=0), sent).samples, sent)


def test_a_random_phase_is_uniform_and_constant_over_a_row() -> None:
    got = apply(CarrierOffset(0.0), torch.ones(4000, 3, dtype=torch.complex64))
    assert torch.equal(got.samples[:, :1].expand(-1, 3), got.samples)
    for order in (1, 2, 3):  # the moments E[exp(jkφ)] of a uniform phase are 0, each with E|·|² = 1/4000
        assert float((got.samples[:, 0] ** order).mean().abs()) <= 4 / math.sqrt(4000)
    torch.testing.assert_close(got.gain, got.samples[:, :1])  # what a receiver's pilots tell it
    assert float(got.variance.max()) < 1e-12


def test_a_carrier_offset_leaves_the_gain_of_a_mean_phasor() -> None:
    got = apply(CarrierOffset(1e-3, phase=0), torch.ones(1, 200, dtype=torch.complex128))
    k = np.arange(200)
    mean = np.exp(2j * np.pi * 1e-3 * k).mean()
    assert got.gain.item() == pytest.approx(mean)
    assert got.variance.item() == pytest.approx(1 - abs(mean) ** 2)


@pytest.mark.parametrize("linewidth", [1e-5, 1e-3])
def test_phase_noise_has_increments_of_its_variance(linewidth: float) -> None:
    got = apply(PhaseNoise(linewidth), torch.ones(4, 20_000, dtype=torch.complex128)).samples
    assert bool((got[:, 0] == 1).all())
    steps = (got[:, 1:] * got[:, :-1].conj()).angle()
    assert_mean(steps.square(), 2 * math.pi * linewidth)
    assert abs(float((steps[:, 1:] * steps[:, :-1]).mean())) <= 4 * 2 * math.pi * linewidth / math.sqrt(steps.numel())


@pytest.mark.parametrize("lag", [5, 20, 60])
def test_phase_noise_has_the_autocorrelation_of_a_lorentzian(lag: int) -> None:
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
def test_a_sampling_offset_resamples_a_band_limited_signal(ppm: float, delay: float) -> None:
    k = np.arange(600)
    sent = torch.from_numpy(pulse_of_tones(k))[None]
    got = apply(SamplingOffset(ppm, delay=delay), sent).samples[0]
    np.testing.assert_allclose(got, pulse_of_tones(k * (1 + ppm * 1e-6) - delay), atol=1e-6)


@pytest.mark.parametrize(("ppm", "delay"), [(0, 0.5), (-800, 0.2), (10_000, 7.9)])
def test_a_sampling_offset_of_white_symbols_is_the_sum_of_their_sincs(ppm: float, delay: float) -> None:
    sent, k = gaussian(3, 257), np.arange(257)
    sincs = np.sinc((k * (1 + ppm * 1e-6) - delay)[:, None] - k)
    np.testing.assert_allclose(apply(SamplingOffset(ppm, delay=delay), sent).samples, sent.numpy() @ sincs.T, atol=1e-6)


def test_a_whole_delay_shifts_in_zeros_and_the_drift_adds_up() -> None:
    sent = gaussian(1, 50, dtype=torch.complex64)
    got = apply(SamplingOffset(0.0, delay=3.0), sent).samples
    torch.testing.assert_close(got[:, 3:], sent[:, :-3], atol=1e-5, rtol=0)
    assert float(got[:, :3].abs().max()) < 1e-5
    assert float(apply(SamplingOffset(0.0, delay=70.0), sent).samples.abs().max()) < 1e-5
    ramp = torch.polar(torch.ones(5000), 2 * math.pi * 0.01 * torch.arange(5000))[None].to(torch.complex128)
    phase = (apply(SamplingOffset(400.0), ramp).samples * ramp.conj()).angle()[0] / (2 * math.pi * 0.01)
    np.testing.assert_allclose(phase[500:4500:500], 4e-4 * np.arange(500, 4500, 500), atol=0.02)


# Mixers and converters


@pytest.mark.parametrize("side", ["transmitter", "receiver"])
@pytest.mark.parametrize(("gain_db", "phase_deg"), [(0.5, 3.0), (-1.0, 0.0), (0.0, 10.0), (3.0, -20.0)])
def test_iq_imbalance_rejects_the_image_by_its_formula(side: Side, gain_db: float, phase_deg: float) -> None:
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
def test_iq_imbalance_is_what_the_mixer_does_to_its_branches(side: Side) -> None:
    """A quadrature branch of gain g that mixes with a sine of phase error φ, by hand."""
    sent, g, phi = gaussian(2, 30), 10 ** (2.0 / 20), math.radians(15.0)
    i, q = sent.real, sent.imag
    if side == "transmitter":  # i cos(ωt) - g q sin(ωt + φ), seen by an ideal receiver
        by_hand = torch.complex(i - g * q * math.sin(phi), g * q * math.cos(phi))
    else:  # the branches of i cos(ωt) - q sin(ωt) mixed with cos(ωt) and -g sin(ωt + φ)
        by_hand = torch.complex(i, g * (q * math.cos(phi) - i * math.sin(phi)))
    got = apply(IqImbalance(2.0, 15.0, side=side), sent).samples
    torch.testing.assert_close(got, by_hand / math.sqrt((1 + g * g) / 2))


def test_dc_has_its_power_on_both_axes() -> None:
    sent = gaussian(4, 300) * torch.tensor([[0.1], [1.0], [2.0], [30.0]])
    added = apply(DcOffset(-20.0), sent).samples - sent
    torch.testing.assert_close(added, added[:, :1].expand_as(added), atol=1e-10, rtol=0)
    power = sent.abs().square().mean(dim=1)
    torch.testing.assert_close(added[:, 0].abs().square(), 0.01 * power)
    torch.testing.assert_close(added[:, 0].real, added[:, 0].imag)


@pytest.mark.parametrize("bits", [4, 6, 8, 10])
def test_a_quantiser_has_six_decibels_a_bit(bits: int) -> None:
    """Uniform over full scale A: signal A²/3, error Δ²/12 = A²/3 / 4^bits."""
    axes = 2 * torch.rand(1, 100_000, 2, dtype=torch.float64, generator=generator(1)) - 1
    sent = torch.view_as_complex(axes)
    full_over_rms = 20 * math.log10(1 / axes.square().mean().sqrt().item())
    error = torch.view_as_real(apply(Adc(bits, headroom_db=full_over_rms), sent).samples) - axes
    assert_mean(error.square(), 1 / 3 / 4**bits)


def test_a_quantiser_is_mid_rise_with_as_many_levels_as_told() -> None:
    sent = gaussian(1, 20_000)
    got = apply(Dac(3, headroom_db=6.0), sent).samples
    full = 10**0.3 * float(torch.view_as_real(sent).square().mean().sqrt())
    levels = np.unique(np.round(torch.view_as_real(got).numpy() / full, 9))
    np.testing.assert_allclose(levels, np.arange(-7, 8, 2) / 8)
    inside = torch.view_as_real(sent).abs() <= full
    off = (torch.view_as_real(got) - torch.view_as_real(sent)).abs()[inside]
    assert float(off.max()) <= full / 8 * (1 + 1e-9)


def test_the_gradient_of_a_quantiser_is_straight_through_within_full_scale() -> None:
    sent = gaussian(2, 500).requires_grad_()
    (gradient,) = torch.autograd.grad(apply(Adc(2, headroom_db=3.0), sent).samples.real.sum(), sent)
    full = 10**0.15 * (sent.detach().abs().square().mean(dim=1, keepdim=True) / 2).sqrt()
    torch.testing.assert_close(gradient.real, (sent.detach().real.abs() <= full).double())
    assert float(gradient.imag.abs().max()) == 0


# All of them


@pytest.mark.parametrize("spec", STAGES)
def test_what_is_handed_back_is_the_gain_and_the_variance_measured(spec: str) -> None:
    sent = gaussian(3, 400)
    got = apply(STAGES[spec], sent)
    rest = got.samples - got.gain * sent
    torch.testing.assert_close(rest.abs().square().mean(dim=1, keepdim=True), got.variance)
    assert float((rest * sent.conj()).mean(dim=1).abs().max()) < 1e-12


@pytest.mark.parametrize("spec", STAGES)
def test_a_spec_tells_what_is_not_at_its_default(spec: str) -> None:
    stage = STAGES[spec]
    assert stage.spec == spec
    assert isinstance(stage, Stage)
    late = ("cfo:offset=0.0001", "sfo", "iq:gain=0.5", "dc", "adc")
    assert stage.side == ("receiver" if spec.startswith(late) else "transmitter")
    assert hash(stage) == hash(type(stage)(**vars(stage)))  # frozen, and equal by value


@pytest.mark.parametrize("spec", STAGES)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_precision_and_shape_stay(spec: str, dtype: torch.dtype) -> None:
    for n in (1, 2, 33):
        got = apply(STAGES[spec], gaussian(2, n, dtype=dtype))
        assert (got.samples.dtype, got.gain.dtype, got.samples.shape) == (dtype, dtype, (2, n))
        assert (got.gain.shape, got.variance.shape) == ((2, 1), (2, 1))


@pytest.mark.parametrize("spec", STAGES)
def test_single_and_double_precision_agree(spec: str) -> None:
    double = gaussian(2, 300)
    single = apply(STAGES[spec], double.to(torch.complex64)).samples
    off = (single - apply(STAGES[spec], double).samples).abs()
    # A quantiser may round a sample that lies on a threshold either way.
    assert float(off.quantile(0.99)) < 1e-4


@pytest.mark.parametrize("spec", STAGES)
def test_nothing_comes_out_of_a_silent_row_but_numbers(spec: str) -> None:
    sent = torch.zeros(2, 40, dtype=torch.complex64, requires_grad=True)
    got = apply(STAGES[spec], sent)
    (gradient,) = torch.autograd.grad(got.samples.abs().square().sum() + got.samples.real.sum(), sent)
    for value in (got.samples, got.gain, got.variance, gradient):
        assert bool(torch.isfinite(torch.view_as_real(value) if value.is_complex() else value).all())
    assert float(got.samples.detach().abs().max()) < 1e-9


@pytest.mark.parametrize("spec", STAGES)
def test_neither_batch_nor_order_matters(spec: str) -> None:
    sent, stage, images = gaussian(6, 50), STAGES[spec], torch.rand(6, 1, 2, 2, generator=generator())
    rng = generator(5)
    parts = [stage(part, rng=[rng] * len(part)).samples for part in (sent[:1], sent[1:4], sent[4:])]
    whole = stage(sent, rng=[shared := generator(5)] * 6).samples
    torch.testing.assert_close(whole, torch.cat(parts))
    assert torch.equal(shared.get_state(), rng.get_state())
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    straight = stage(sent, rng=image_rngs(1, images)).samples
    torch.testing.assert_close(stage(sent[order], rng=image_rngs(1, images[order])).samples, straight[order])


@pytest.mark.parametrize("stage", [CarrierOffset(0.01), PhaseNoise(1e-3)])
def test_what_is_drawn_does_not_depend_on_values(stage: Stage) -> None:
    sent = gaussian(2, 50)
    torch.testing.assert_close(apply(stage, sent).samples / sent, apply(stage, torch.ones_like(sent)).samples)
    other = apply(stage, torch.ones_like(sent), seed=1).samples
    assert float((other - apply(stage, torch.ones_like(sent)).samples).abs().mean()) > 0.01


def directional_derivatives(stage: Stage, step: float) -> tuple[float, float]:
    """Of a linear functional of what comes out, by autograd and by a central difference.

    The direction is orthogonal to each row, so that the mean power, through which no gradient flows, is the same at
    both ends of the difference.
    """
    sent, weights, along = gaussian(2, 200), gaussian(2, 200, seed=5), gaussian(2, 200, seed=6)
    along = along - (along * sent.conj()).real.sum(1, keepdim=True) / sent.abs().square().sum(1, keepdim=True) * sent

    def functional(samples: torch.Tensor) -> torch.Tensor:
        return (apply(stage, samples).samples * weights.conj()).real.sum()

    leaf = sent.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(functional(leaf), leaf)
    difference = (functional(sent + step * along) - functional(sent - step * along)) / (2 * step)
    return float((gradient.conj() * along).real.sum()), float(difference)


@pytest.mark.parametrize("spec", [spec for spec in STAGES if not spec.startswith(("adc", "dac"))])
def test_gradients_are_those_of_a_finite_difference(spec: str) -> None:
    by_autograd, by_difference = directional_derivatives(STAGES[spec], 1e-6)
    assert by_autograd == pytest.approx(by_difference, rel=1e-5)
    assert abs(by_difference) > 0.01


def test_the_gradient_of_a_fine_quantiser_is_that_of_a_finite_difference() -> None:
    by_autograd, by_difference = directional_derivatives(Adc(16, headroom_db=15.0), 1e-2)
    assert by_autograd == pytest.approx(by_difference, rel=5e-3)


def test_the_variance_and_the_gain_have_gradients() -> None:
    sent = gaussian(1, 60).requires_grad_()
    got = apply(Rapp(3.0), sent)
    (gradient,) = torch.autograd.grad((got.variance / got.gain.abs().square()).sum(), sent)
    assert float(gradient.abs().sum()) > 0


def test_a_radio_adds_up_its_stages() -> None:
    """The rest of each stage is uncorrelated with what that stage was given: gains multiply, to within chance."""
    sent = gaussian(1, 200_000)
    radio = Radio(transmitter=(Dac(5), Rapp(4.0)), receiver=(IqImbalance(1.0, 5.0), Adc(4)))
    got = radio.send(sent, rng=[generator()])
    rest = got.samples - got.gain * sent
    assert float(rest.abs().square().mean() / got.variance) == pytest.approx(1, abs=0.02)


# Bad input


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Rapp(math.inf), "ibo_db=inf must be from -20 to 60 dB"),
        (lambda: Rapp(math.nan), "ibo_db=nan must be from"),
        (lambda: Rapp("6"), "ibo_db='6' must be from"),  # type: ignore[arg-type]
        (lambda: Rapp(6.0, smoothness=0), "smoothness=0 must be from 0.5 to 100"),
        (lambda: Saleh(-21.0), "ibo_db=-21.0 must be from"),
        (lambda: Saleh(8.0, beta_a=0.0), "beta_a=0.0 must be from 0.001 to 100"),
        (lambda: Saleh(8.0, beta_p=-1.0), "beta_p=-1.0 must be from"),
        (lambda: Saleh(8.0, alpha_p=1e3), "alpha_p=1000.0 must be from -100 to 100 radians"),
        (lambda: Clip(61.0), "level_db=61.0 must be from -20 to 60 dB"),
        (lambda: CarrierOffset(0.6), "offset=0.6 must be from -0.5 to 0.5 cycles per sample"),
        (lambda: CarrierOffset(0.1, phase="any"), "phase='any' must be from .* or \"random\""),  # type: ignore[arg-type]
        (lambda: CarrierOffset(0.1, side="both"), "side='both' must be one of: transmitter, rece"),  # type: ignore[arg-type]
        (lambda: PhaseNoise(-1e-5), "linewidth=-1e-05 must be from 0 to 0.5 of the sample rate"),
        (lambda: PhaseNoise(1e-5, side="x"), "side='x' must be"),  # type: ignore[arg-type]
        (lambda: SamplingOffset(2e4), "ppm=20000.0 must be from -10000 to 10000"),
        (lambda: SamplingOffset(0.0, delay=2e3), "delay=2000.0 must be from -1000 to 1000 samples"),
        (lambda: SamplingOffset(0.0, side="x"), "side='x' must be"),  # type: ignore[arg-type]
        (lambda: IqImbalance(21.0), "gain_db=21.0 must be from -20 to 20 dB"),
        (lambda: IqImbalance(0.0, 91.0), "phase_deg=91.0 must be from -90 to 90 degrees"),
        (lambda: IqImbalance(0.0, side="x"), "side='x' must be"),  # type: ignore[arg-type]
        (lambda: DcOffset(True), "level_db=True must be from -200 to 60 dB"),
        (lambda: DcOffset(0.0, side="x"), "side='x' must be"),  # type: ignore[arg-type]
        (lambda: Adc(0), "bits=0 must be a whole number from 1 to 16"),
        (lambda: Dac(6.0), "bits=6.0 must be a whole number from 1 to 16"),  # type: ignore[arg-type]
        (lambda: Adc(6, headroom_db=99.0), "headroom_db=99.0 must be from -20 to 60 dB"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(make: Callable[[], Stage], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


@pytest.mark.parametrize("stage", [CarrierOffset(0.01), PhaseNoise(1e-3)])
def test_a_wrong_number_of_generators_is_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="2 generators for 3 images"):
        stage(gaussian(3, 4), rng=[generator(), generator()])
