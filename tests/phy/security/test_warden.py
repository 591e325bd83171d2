"""The warden: her measurements, sample by sample, on her closed forms, within intervals that notice 0.2 dB."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semlink.phy.security import FriendlyJammer, Warden, theory

INF = math.inf


def jammer(peak: float, **options: str) -> FriendlyJammer:
    return FriendlyJammer(10 * math.log10(peak), **options)  # type: ignore[arg-type]  # words of its own


FADED = jammer(1.0, fading="rayleigh")
CASES = [
    (Warden(1), 0.5, None),
    (Warden(50, noise=2.0), 0.5, None),
    (Warden(50, noise_uncertainty_db=0.5), 0.5, None),
    (Warden(20, fading="rayleigh"), 1.0, None),
    (Warden(100, noise=1e-3, fading="rayleigh"), 1.0, FADED),
    (Warden(1, noise=1e-3, fading="rayleigh"), 0.1, FADED),
    (Warden(100, noise=1e-3), 0.3, jammer(1.0, power="uniform")),
    (Warden(30, noise=0.1, fading="rayleigh"), 0.7, jammer(1.0, power="uniform")),
    (Warden(30, noise=0.1), 0.7, jammer(1.0, power="uniform", fading="rayleigh")),
    (Warden(30, noise=0.1, fading="rayleigh"), 0.7, jammer(0.5)),
]


@pytest.mark.parametrize(("warden", "signal", "friend"), CASES)
def test_what_she_measures_lies_on_the_law(warden: Warden, signal: float, friend: FriendlyJammer | None) -> None:
    """Her ξ* from half the trials for the threshold, the other half for the errors: ends of two 95 % intervals."""
    measured = warden.watch(signal, friend, trials=100_000, rng=np.random.default_rng(1))
    least, found = warden.least_error_sum(signal, friend), measured.least_error_sum()
    assert found.low < least < found.high
    level = float(np.median(warden.watch(signal, friend, trials=101, rng=np.random.default_rng(9)).silent))
    at_level = measured.error_sum(level)
    assert at_level.low < float(warden.error_sum(level, signal, friend)) < at_level.high


def test_two_tenths_of_a_decibel_would_be_seen() -> None:
    warden = Warden(100, noise=1e-3, fading="rayleigh")
    found = warden.watch(10**0.02, FADED, trials=400_000, rng=np.random.default_rng(2)).least_error_sum()
    assert not found.low < warden.least_error_sum(1.0, FADED) < found.high
    assert found.low < warden.least_error_sum(10**0.02, FADED) < found.high


def test_of_infinitely_many_samples_she_has_the_closed_forms() -> None:
    for ratio in (0.05, 0.5, 1.0, 4.0):
        least = Warden(INF, 1e-6, fading="rayleigh").least_error_sum(ratio, FADED)
        assert least == pytest.approx(float(theory.rayleigh_least_error_sum(ratio)), abs=1e-6)
        least = Warden(INF, 1e-6).least_error_sum(ratio, jammer(1.0, power="uniform"))
        assert least == pytest.approx(float(theory.uniform_jamming_least_error_sum(ratio)), abs=3e-6)
    for snr in (0.05, 0.3):
        least = Warden(INF, noise_uncertainty_db=1.0).least_error_sum(snr)
        assert least == pytest.approx(float(theory.noise_uncertainty_least_error_sum(snr, 1.0)), abs=1 / 200)
    assert Warden(INF, fading="rayleigh").least_error_sum(0.0, FADED) == 1


def test_few_samples_help_the_transmitter() -> None:
    few, many = (Warden(n, 1e-3, fading="rayleigh").least_error_sum(0.1, FADED) for n in (1, 100))
    assert few > many + 0.015
    assert many == pytest.approx(float(theory.rayleigh_least_error_sum(0.1)), abs=2e-3)


@pytest.mark.parametrize("samples", [1, 5, 40])
def test_a_constant_envelope_is_told_by_the_non_central_form(samples: int) -> None:
    found = Warden(samples, noise=2.0).watch(
        1.5, trials=100_000, rng=np.random.default_rng(3), envelope="constant"
    ).least_error_sum()  # fmt: skip
    least = float(theory.least_error_sum(2.0, 1.5, samples=samples, envelope="constant"))
    assert found.low < least < found.high


@pytest.mark.parametrize("envelope", ["gaussian", "constant"])
def test_samples_have_the_moments_they_should(envelope: str) -> None:
    """Mean and variance of T: v and v²/n of a Gaussian signal, P + v and (v² + 2Pv)/n of a constant envelope."""
    trials, n = 20_000, 37  # sixteen at a time, and a rest
    seen = Warden(n).watch(0.5, trials=trials, rng=np.random.default_rng(4), envelope=envelope)  # type: ignore[arg-type]
    variance = 1.5**2 / n if envelope == "gaussian" else (1 + 2 * 0.5) / n
    assert abs(seen.sending.mean() - 1.5) < 4 * math.sqrt(variance / trials)
    assert abs(seen.sending.var() / variance - 1) < 4 * math.sqrt(2.3 / trials)  # a kurtosis of 3.3 at most
    assert abs(seen.silent.mean() - 1) < 4 * math.sqrt(1 / n / trials)
    assert len(np.unique(seen.silent)) == trials
    assert abs(np.corrcoef(seen.silent[1:], seen.silent[:-1])[0, 1]) < 4 / math.sqrt(trials)


def test_the_same_seed_measures_the_same() -> None:
    one, same, other = (Warden(64).watch(0.1, trials=5, rng=np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.sending, same.sending)
    assert not (one.sending == other.sending).any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 0}, "samples=0 must be at least 1"),
        ({"samples": 1.5}, "samples=1.5 must be a whole number"),
        ({"samples": 4, "noise": -1.0}, "noise=-1.0 must be above 0"),
        ({"samples": 4, "noise_uncertainty_db": -1.0}, "noise_uncertainty_db=-1.0 must be from 0 to 30 dB"),
        ({"samples": 4, "fading": "odd"}, "fading='odd' must be one of: none, rayleigh"),
    ],
)
def test_wardens_that_cannot_be(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Warden(**options)  # type: ignore[arg-type]


def test_measurements_that_cannot_be() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"signal=-0.1 must not be negative"):
        Warden(4).watch(-0.1, trials=1, rng=rng)
    with pytest.raises(ValueError, match=r"signal=-0.1 must not be negative"):
        Warden(4).least_error_sum(-0.1)
    with pytest.raises(ValueError, match="trials=0, samples=4"):
        Warden(4).watch(0.1, trials=0, rng=rng)
    with pytest.raises(ValueError, match="samples=inf: give at least one trial of finitely many"):
        Warden(INF).watch(0.1, trials=1, rng=rng)
