"""What every impairment keeps to: what it hands back, precision, batches, gradients and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

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
    Stage,
)
from semlink.phy.rng import image_rngs

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


# All of them


@pytest.mark.parametrize("spec", STAGES)
def test_what_is_handed_back_is_the_gain_and_the_variance_measured(
    spec: str, gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
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
def test_precision_and_shape_stay(
    spec: str, dtype: torch.dtype, gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    for n in (1, 2, 33):
        got = apply(STAGES[spec], gaussian(2, n, dtype=dtype))
        assert (got.samples.dtype, got.gain.dtype, got.samples.shape) == (dtype, dtype, (2, n))
        assert (got.gain.shape, got.variance.shape) == ((2, 1), (2, 1))


@pytest.mark.parametrize("spec", STAGES)
def test_single_and_double_precision_agree(
    spec: str, gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    double = gaussian(2, 300)
    single = apply(STAGES[spec], double.to(torch.complex64)).samples
    off = (single - apply(STAGES[spec], double).samples).abs()
    # A quantiser may round a sample that lies on a threshold either way.
    assert float(off.quantile(0.99)) < 1e-4


@pytest.mark.parametrize("spec", STAGES)
def test_nothing_comes_out_of_a_silent_row_but_numbers(spec: str, apply: Callable[..., Distorted]) -> None:
    sent = torch.zeros(2, 40, dtype=torch.complex64, requires_grad=True)
    got = apply(STAGES[spec], sent)
    (gradient,) = torch.autograd.grad(got.samples.abs().square().sum() + got.samples.real.sum(), sent)
    for value in (got.samples, got.gain, got.variance, gradient):
        assert bool(torch.isfinite(torch.view_as_real(value) if value.is_complex() else value).all())
    assert float(got.samples.detach().abs().max()) < 1e-9


@pytest.mark.parametrize("spec", STAGES)
def test_neither_batch_nor_order_matters(
    spec: str, generator: Callable[..., torch.Generator], gaussian: Callable[..., torch.Tensor]
) -> None:
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
def test_what_is_drawn_does_not_depend_on_values(
    stage: Stage, gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    sent = gaussian(2, 50)
    torch.testing.assert_close(apply(stage, sent).samples / sent, apply(stage, torch.ones_like(sent)).samples)
    other = apply(stage, torch.ones_like(sent), seed=1).samples
    assert float((other - apply(stage, torch.ones_like(sent)).samples).abs().mean()) > 0.01


@pytest.fixture
def directional_derivatives(
    gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> Callable[..., tuple[float, float]]:
    """Of a linear functional of what comes out, by autograd and by a central difference.

    The direction is orthogonal to each row, so that the mean power, through which no gradient flows, is the same at
    both ends of the difference.
    """

    def derivatives(stage: Stage, step: float) -> tuple[float, float]:
        sent, weights, along = gaussian(2, 200), gaussian(2, 200, seed=5), gaussian(2, 200, seed=6)
        along = (
            along - (along * sent.conj()).real.sum(1, keepdim=True) / sent.abs().square().sum(1, keepdim=True) * sent
        )

        def functional(samples: torch.Tensor) -> torch.Tensor:
            return (apply(stage, samples).samples * weights.conj()).real.sum()

        leaf = sent.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(functional(leaf), leaf)
        difference = (functional(sent + step * along) - functional(sent - step * along)) / (2 * step)
        return float((gradient.conj() * along).real.sum()), float(difference)

    return derivatives


@pytest.mark.parametrize("spec", [spec for spec in STAGES if not spec.startswith(("adc", "dac"))])
def test_gradients_are_those_of_a_finite_difference(
    spec: str, directional_derivatives: Callable[..., tuple[float, float]]
) -> None:
    by_autograd, by_difference = directional_derivatives(STAGES[spec], 1e-6)
    assert by_autograd == pytest.approx(by_difference, rel=1e-5)
    assert abs(by_difference) > 0.01


def test_the_gradient_of_a_fine_quantiser_is_that_of_a_finite_difference(
    directional_derivatives: Callable[..., tuple[float, float]],
) -> None:
    by_autograd, by_difference = directional_derivatives(Adc(16, headroom_db=15.0), 1e-2)
    assert by_autograd == pytest.approx(by_difference, rel=5e-3)


def test_the_variance_and_the_gain_have_gradients(
    gaussian: Callable[..., torch.Tensor], apply: Callable[..., Distorted]
) -> None:
    sent = gaussian(1, 60).requires_grad_()
    got = apply(Rapp(3.0), sent)
    (gradient,) = torch.autograd.grad((got.variance / got.gain.abs().square()).sum(), sent)
    assert float(gradient.abs().sum()) > 0


def test_a_radio_adds_up_its_stages(
    generator: Callable[..., torch.Generator], gaussian: Callable[..., torch.Tensor]
) -> None:
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
def test_a_wrong_number_of_generators_is_refused(
    stage: Stage, generator: Callable[..., torch.Generator], gaussian: Callable[..., torch.Tensor]
) -> None:
    with pytest.raises(ValueError, match="2 generators for 3 images"):
        stage(gaussian(3, 4), rng=[generator(), generator()])
