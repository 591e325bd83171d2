"""Trust tests of interference and jamming: powers, places and draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from semlink.phy.impairments import Distorted, Interferer, Jammer, Stage
from semlink.phy.rng import image_rngs

N, PILOTS = 2000, torch.arange(2000) % 10 == 3
STAGES: dict[str, Stage] = {
    "interferer:sir=10": Interferer(10.0),
    "jammer:kind=barrage,jsr=0": Jammer("barrage", 0.0),
    "jammer:kind=tone,jsr=-5": Jammer("tone", -5.0),
    "jammer:kind=pilot,jsr=-2.5": Jammer("pilot", -2.5),
}
POWER = {"interferer": 0.1, "barrage": 1.0, "tone": 10**-0.5, "pilot": 10**-0.25}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def power_of(spec: str) -> float:
    return next(power for name, power in POWER.items() if name in spec)


def apply(stage: Stage, samples: torch.Tensor, *, seed: int = 0) -> Distorted:
    rng = [generator(seed + i) for i in range(len(samples))]
    return stage(samples, rng=rng, pilots=PILOTS[: samples.shape[1]])


def foreign(stage: Stage, rows: int = 30, *, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    """What is added, seen where nothing else is."""
    return apply(stage, torch.zeros(rows, N, dtype=dtype)).samples


def is_mean(values: torch.Tensor, expected: float) -> bool:
    error = 4 * float(values.std()) / math.sqrt(values.numel()) + 1e-6 * expected
    return abs(float(values.mean()) - expected) <= error


@pytest.mark.parametrize("spec", STAGES)
def test_the_mean_power_over_a_frame_is_the_one_asked_for(spec: str) -> None:
    energy = foreign(STAGES[spec], 60).abs().square().mean(dim=1)
    assert is_mean(energy, power_of(spec))
    assert not is_mean(energy, power_of(spec) * 10**0.02)  # a fifth of a decibel is caught


@pytest.mark.parametrize("spec", STAGES)
def test_the_variance_handed_back_is_that_on_the_data(spec: str) -> None:
    got = apply(STAGES[spec], torch.zeros(60, N, dtype=torch.complex128))
    assert torch.equal(got.gain, torch.ones(60, 1, dtype=torch.complex128))
    assert torch.equal(got.variance, got.variance[:1].expand(60, 1))
    if "pilot" in spec:
        assert float(got.variance.max()) == 0
        assert float(got.samples[:, ~PILOTS].abs().max()) == 0
        return
    energy = got.samples[:, ~PILOTS].abs().square().mean(dim=1)
    assert is_mean(energy, got.variance[0].item())
    assert not is_mean(energy, got.variance[0].item() * 10**0.02)


@pytest.mark.parametrize("spec", STAGES)
def test_the_power_refers_to_the_link_and_not_to_the_samples(spec: str) -> None:
    """And what is drawn does not depend on their values."""
    sent = torch.randn(3, N, dtype=torch.complex128, generator=generator(9))
    alone = foreign(STAGES[spec], 3)
    for scale in (0.1, 10.0):
        torch.testing.assert_close(apply(STAGES[spec], scale * sent).samples - scale * sent, alone)


def test_an_interferer_sends_qpsk_at_a_phase_of_its_own() -> None:
    got = foreign(Interferer(0.0), 500)
    torch.testing.assert_close(got.abs(), torch.ones(500, N, dtype=torch.float64), atol=1e-6, rtol=0)
    fourth = got**4  # a fourth power takes QPSK away and leaves four times the phase
    torch.testing.assert_close(fourth, fourth[:, :1].expand_as(fourth), atol=1e-5, rtol=0)
    assert float(fourth[:, 0].mean().abs()) <= 4 / math.sqrt(500)  # uniform over the rows
    assert float(got.mean(dim=1).abs().square().mean() * N) == pytest.approx(1, abs=4 / math.sqrt(500))
    lagged = (got[:, 1:] * got[:, :-1].conj()).mean().abs()
    assert float(lagged) <= 4 / math.sqrt(500 * (N - 1))  # independent symbols


def test_a_barrage_is_white_circular_gaussian_noise() -> None:
    got = foreign(Jammer("barrage", 0.0), 100).flatten()
    count = got.numel()
    assert float((got**2).mean().abs()) <= 4 * math.sqrt(2 / count)  # circular
    assert float((got[1:] * got[:-1].conj()).mean().abs()) <= 4 / math.sqrt(count)  # white
    fourth = got.abs() ** 4  # E|w|⁴ = 2, of variance E|w|⁸ - 4 = 20
    assert abs(float(fourth.mean()) - 2) <= 4 * math.sqrt(20 / count)


def test_a_tone_is_one_frequency_uniform_over_the_band() -> None:
    got = foreign(Jammer("tone", 0.0), 400)
    step = got[:, 1:] * got[:, :-1].conj()
    torch.testing.assert_close(step, step[:, :1].expand_as(step), atol=1e-9, rtol=0)
    for unit in (step[:, 0], got[:, 0]):  # frequency and phase: the moments of a uniform angle are 0
        torch.testing.assert_close(unit.abs(), torch.ones(400, dtype=torch.float64))
        assert float(unit.mean().abs()) <= 4 / math.sqrt(400)
        assert float(unit.square().mean().abs()) <= 4 / math.sqrt(400)


def test_all_the_energy_of_a_pilot_jammer_is_on_the_pilots() -> None:
    """p of n samples are pilots: each gets n/p = 10 times the mean power, and the data nothing."""
    sent = torch.randn(60, N, dtype=torch.complex128, generator=generator(9))
    got = apply(Jammer("pilot", 3.0), sent)
    assert torch.equal(got.samples[:, ~PILOTS], sent[:, ~PILOTS])
    energy = (got.samples - sent)[:, PILOTS].abs().square()
    assert is_mean(energy, 10 * 10**0.3)
    assert not is_mean(energy, 10 * 10**0.32)


@pytest.mark.parametrize("pilots", [None, torch.zeros(5, dtype=torch.bool)])
def test_a_pilot_jammer_without_pilots_is_refused(pilots: torch.Tensor | None) -> None:
    with pytest.raises(ValueError, match=r"kind='pilot': the frame has no pilots to jam; that needs csi=estimated"):
        Jammer("pilot", 0.0)(torch.zeros(1, 5, dtype=torch.complex64), rng=[generator()], pilots=pilots)


@pytest.mark.parametrize("spec", STAGES)
def test_neither_batch_nor_order_matters(spec: str) -> None:
    sent, stage, pilots = torch.randn(6, 50, dtype=torch.complex64, generator=generator()), STAGES[spec], PILOTS[:50]
    rng = generator(5)
    parts = [stage(part, rng=[rng] * len(part), pilots=pilots).samples for part in (sent[:1], sent[1:4], sent[4:])]
    torch.testing.assert_close(stage(sent, rng=[generator(5)] * 6, pilots=pilots).samples, torch.cat(parts))
    images, order = torch.rand(6, 1, 2, 2, generator=generator()), torch.tensor([3, 0, 5, 1, 4, 2])
    straight = stage(sent, rng=image_rngs(1, images), pilots=pilots).samples
    shuffled = stage(sent[order], rng=image_rngs(1, images[order]), pilots=pilots).samples
    torch.testing.assert_close(shuffled, straight[order])
    assert float((straight - stage(sent, rng=image_rngs(2, images), pilots=pilots).samples).abs().mean()) > 0.01


@pytest.mark.parametrize("spec", STAGES)
def test_the_gradient_is_that_of_what_passes_through(spec: str) -> None:
    sent, along = torch.randn(2, 2, 100, dtype=torch.complex128, generator=generator(3))
    leaf = sent.clone().requires_grad_()

    def functional(samples: torch.Tensor) -> torch.Tensor:
        return apply(STAGES[spec], samples).samples.abs().square().sum()

    (gradient,) = torch.autograd.grad(functional(leaf), leaf)
    difference = (functional(sent + 1e-5 * along) - functional(sent - 1e-5 * along)) / 2e-5
    assert float((gradient.conj() * along).real.sum()) == pytest.approx(float(difference), rel=1e-6)


@pytest.mark.parametrize("spec", STAGES)
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_specs_sides_precision_and_shapes(spec: str, dtype: torch.dtype) -> None:
    stage = STAGES[spec]
    assert (stage.spec, stage.side) == (spec, "receiver")
    assert isinstance(stage, Stage)
    got = apply(stage, torch.ones(2, 7, dtype=dtype))
    assert (got.samples.dtype, got.gain.dtype, got.samples.shape) == (dtype, dtype, (2, 7))
    assert (got.gain.shape, got.variance.shape, got.variance.dtype) == ((2, 1), (2, 1), got.samples.real.dtype)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Interferer(math.nan), "sir_db=nan must be from -60 to 100 dB"),
        (lambda: Interferer(-61.0), "sir_db=-61.0 must be from -60 to 100 dB"),
        (lambda: Jammer("loud", 0.0), "kind='loud' must be one of: barrage, tone, pilot"),  # type: ignore[arg-type]
        (lambda: Jammer("tone", math.inf), "jsr_db=inf must be from -100 to 60 dB"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


@pytest.mark.parametrize("spec", STAGES)
def test_a_wrong_number_of_generators_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="2 generators for 3 images"):
        STAGES[spec](torch.zeros(3, N, dtype=torch.complex64), rng=[generator(), generator()], pilots=PILOTS)
