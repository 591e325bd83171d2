"""Closed forms of detection: against their integrals, their limits and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from semlink.phy.security import theory


@pytest.mark.parametrize("envelope", ["gaussian", "constant"])
@pytest.mark.parametrize("samples", [1, 7, 60, 61, 400, 20_000])
@pytest.mark.parametrize("signal", [0.02, 0.4, 3.0])
def test_the_threshold_is_the_best_of_all(samples: int, signal: float, envelope: str) -> None:
    levels = np.linspace(0, 2 * (2 + signal), 20_001)
    missed = theory.missed_detection(levels, 2.0, signal, samples=samples, envelope=envelope)
    sums = theory.false_alarm(levels, 2.0, samples=samples) + missed
    least = float(theory.least_error_sum(2.0, signal, samples=samples, envelope=envelope))
    assert least <= sums.min() + 1e-12
    assert sums.min() - least < 1e-4  # of a grid that is so fine


def test_a_constant_envelope_of_one_sample_is_rice_and_rayleigh() -> None:
    """Of n = 1, |s + w| is Rice's: its distribution function by quadrature."""
    from scipy.special import ive

    def density(x: float) -> float:  # of |y|², noise 1, |s|² = 0.7
        root = math.sqrt(0.7 * x)
        return math.exp(-((math.sqrt(x) - math.sqrt(0.7)) ** 2)) * float(ive(0, 2 * root))

    below, _ = integrate.quad(density, 0, 1.3)
    missed = theory.missed_detection(1.3, 1.0, 0.7, samples=1, envelope="constant")
    assert float(missed) == pytest.approx(below, abs=1e-9)
    assert float(theory.false_alarm(1.3, 1.0, samples=1)) == pytest.approx(math.exp(-1.3))


def test_a_warden_who_listens_forever_errs_never_or_by_guessing() -> None:
    assert theory.least_error_sum(1.0, [0.0, 1e-6, 2.0], samples=math.inf).tolist() == [1, 0, 0]
    assert float(theory.least_error_sum(1.0, 0.0, samples=50)) == 1
    assert float(theory.least_error_sum(1.0, 0.1, samples=1e6)) < 1e-9


def test_the_rayleigh_form_is_the_least_of_its_error_sum() -> None:
    for signal, jamming in ((0.1, 1.0), (1.0, 1.0), (1.0 + 1e-9, 1.0), (5.0, 0.5)):
        x = np.linspace(0, 30, 300_001)
        sums = theory.rayleigh_error_sum(x, signal, jamming)
        least = float(theory.rayleigh_least_error_sum(signal / jamming))
        assert sums.min() == pytest.approx(least, abs=1e-8)
        assert x[sums.argmin()] == pytest.approx(theory.rayleigh_threshold(signal, jamming), abs=2e-4)


def test_the_rayleigh_form_has_its_limits() -> None:
    ratios = [0.0, 1e-9, 0.1, 1 - 1e-7, 1.0, 1 + 1e-7, 2.0, 1e9]
    least = theory.rayleigh_least_error_sum(ratios)
    assert least[0] == 1
    assert least[2] == pytest.approx(1 - 0.1 ** (1 / 0.9))
    np.testing.assert_allclose(least[3:6], 1 - math.exp(-1), atol=1e-7)
    assert least[6] == pytest.approx(0.5)
    assert (np.diff(least) <= 0).all()
    for epsilon in (0.001, 0.1, 0.5, 0.999):
        assert float(theory.rayleigh_least_error_sum(theory.rayleigh_ratio(epsilon))) == pytest.approx(1 - epsilon)


def test_uninformed_wardens() -> None:
    assert theory.uniform_jamming_least_error_sum([0.0, 0.1, 1.0, 3.0]).tolist() == [1, 0.9, 0, 0]
    rho = 10**0.1
    sums = [
        1 - math.log(level / (level - 0.2)) / (2 * math.log(rho)) for level in np.linspace(0.2 + 1 / rho, rho, 10_001)
    ]
    assert float(theory.noise_uncertainty_least_error_sum(0.2, 1.0)) == pytest.approx(min(sums), abs=1e-9)
    assert float(theory.noise_uncertainty_least_error_sum(rho - 1 / rho, 1.0)) == pytest.approx(0, abs=1e-9)
    assert float(theory.noise_uncertainty_least_error_sum(0.0, 1.0)) == 1


def test_covert_bits_grow_as_the_root_of_the_uses() -> None:
    for epsilon in (0.05, 0.3):
        slope = theory.covert_bits_slope(epsilon, receiver_noise=0.5)
        bits = [theory.covert_bits(epsilon, samples=n, receiver_noise=0.5) / math.sqrt(n) for n in (1e2, 1e4, 1e6)]
        off = np.abs(np.array(bits) / slope - 1)
        assert off[0] < 0.15
        assert off[2] < 1e-3
        assert (np.diff(off) < 0).all()
        power = theory.covert_power(epsilon, samples=1000, noise=2.0)
        assert float(theory.least_error_sum(2.0, power, samples=1000)) == pytest.approx(1 - epsilon)
        assert float(theory.least_error_sum(2.0, 1.05 * power, samples=1000)) < 1 - epsilon


def test_more_jamming_brings_less_and_less() -> None:
    sinr = theory.covert_sinr(0.1, [0.0, 1.0, 10.0, 1e9], advantage=2.0, leakage=0.5, noise=0.1)
    ratio = theory.rayleigh_ratio(0.1)
    np.testing.assert_allclose(sinr, [0, 2 * ratio / 0.6, 20 * ratio / 5.1, 4 * ratio])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: theory.false_alarm(-1.0, 1.0, samples=1), "threshold=-1.0 must not be negative"),
        (lambda: theory.false_alarm(1.0, 0.0, samples=1), "noise=0.0 must be above 0"),
        (lambda: theory.missed_detection(1.0, 1.0, [0.1, -0.1], samples=1), "signal=.* must not be negative"),
        (lambda: theory.missed_detection(1, 1, 1, samples=1, envelope="odd"), "envelope='odd' must be one of"),
        (lambda: theory.least_error_sum(1.0, 0.1, samples=0), "samples=0 must be at least 1"),
        (lambda: theory.rayleigh_least_error_sum(math.nan), "ratio=nan must not be negative"),
        (lambda: theory.rayleigh_error_sum(1.0, 1.0, 0.0), "jamming=0.0 must be above 0"),
        (lambda: theory.rayleigh_ratio(0.0), "epsilon=0.0 must lie between 0 and 1"),
        (lambda: theory.covert_power(1.0, samples=10), "epsilon=1.0 must lie between 0 and 1"),
        (lambda: theory.covert_power(0.1, samples=math.inf), "samples=inf"),
        (lambda: theory.covert_sinr(0.1, -1.0), "jamming=-1.0 must not be negative"),
        (lambda: theory.noise_uncertainty_least_error_sum(0.1, 0.0), "uncertainty_db=0.0 must be above 0"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(call: object, said: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
