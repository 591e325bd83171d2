"""The closed forms against other forms of the same, numerical integration and draws of channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from semlink.phy.mimo.theory import (
    alamouti_qam_ber,
    diversity_slope,
    ergodic_capacity,
    mrc_capacity,
    mrc_outage_capacity,
    mrc_outage_probability,
    mrc_qam_ber,
    waterfilling_capacity,
    zf_diversity,
    zf_qam_ber,
    zf_snr_cdf,
)
from semlink.phy.theory import qam_ber_awgn, qam_ber_rayleigh

ESNO_DB = np.array([-10.0, 0.0, 10.0, 25.0, 40.0])


def draw(rx: int, tx: int, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((count, rx, tx)) + 1j * rng.standard_normal((count, rx, tx))) / math.sqrt(2)


@pytest.mark.parametrize("order", [4, 16, 64])
@pytest.mark.parametrize("branches", [1, 2, 5])
def test_mrc_is_the_mean_over_a_gamma_distributed_snr(order: int, branches: int) -> None:
    for esno_db in (0.0, 10.0):
        law = stats.gamma(branches, scale=10 ** (esno_db / 10))
        mean, _ = integrate.quad(
            lambda x, law=law: float(qam_ber_awgn(order, 10 * math.log10(x))) * law.pdf(x), 1e-9, law.ppf(1 - 1e-12)
        )
        assert mrc_qam_ber(order, esno_db, branches=branches) == pytest.approx(mean, rel=1e-4)


def test_one_branch_is_rayleigh_fading() -> None:
    np.testing.assert_allclose(mrc_qam_ber(16, ESNO_DB, branches=1), qam_ber_rayleigh(16, ESNO_DB), rtol=1e-11)


def test_alamouti_is_three_decibels_behind_combining() -> None:
    np.testing.assert_allclose(
        alamouti_qam_ber(4, ESNO_DB, rx=2), mrc_qam_ber(4, ESNO_DB - 10 * math.log10(2), branches=4)
    )


@pytest.mark.parametrize(("tx", "rx"), [(1, 1), (1, 3), (2, 4), (4, 4)])
def test_error_rates_fall_with_the_diversity_order(tx: int, rx: int) -> None:
    high = np.array([60.0, 70.0])
    slope = diversity_slope(high, zf_qam_ber(4, high, tx=tx, rx=rx))
    np.testing.assert_allclose(slope, zf_diversity(tx=tx, rx=rx), rtol=1e-3)
    np.testing.assert_allclose(diversity_slope(high, alamouti_qam_ber(4, high, rx=rx)), 2 * rx, rtol=1e-3)


def test_zero_forcing_on_a_square_channel_has_an_exponential_snr() -> None:
    snr = np.array([0.1, 1.0, 5.0])
    np.testing.assert_allclose(zf_snr_cdf(snr, 10.0, tx=4, rx=4), 1 - np.exp(-snr / 2.5))


@pytest.mark.parametrize("branches", [1, 2, 8])
def test_telatars_integral_with_one_antenna_at_one_end_is_the_closed_form(branches: int) -> None:
    closed = mrc_capacity(ESNO_DB, branches=branches)
    np.testing.assert_allclose(ergodic_capacity(ESNO_DB, tx=1, rx=branches), closed, rtol=1e-9)
    spread = mrc_capacity(ESNO_DB - 10 * math.log10(branches), branches=branches)
    np.testing.assert_allclose(ergodic_capacity(ESNO_DB, tx=branches, rx=1), spread, rtol=1e-9)


def test_siso_capacity_where_the_exponential_integral_leaves_floating_point() -> None:
    """At low Es/N0 C = log2(e) (γ - γ² + 2γ³ …)."""
    gamma = np.array([1e-4, 1e-3, 1e-2])
    series = (gamma - gamma**2 + 2 * gamma**3) / math.log(2)
    np.testing.assert_allclose(mrc_capacity(10 * np.log10(gamma), branches=1), series, rtol=1e-5)


def check_capacity(tx: int, rx: int, off_db: float) -> None:
    h = draw(rx, tx, 40_000 // max(tx, rx))
    covariance = np.eye(rx) + 10 / tx * h @ h.conj().swapaxes(1, 2)
    sample = np.linalg.slogdet(covariance)[1] / math.log(2)
    error = sample.std() / math.sqrt(len(sample))
    assert abs(sample.mean() - ergodic_capacity(10.0 + off_db, tx=tx, rx=rx)) <= 4 * error


@pytest.mark.parametrize(("tx", "rx"), [(2, 2), (4, 4), (3, 2), (2, 5), (8, 8), (1, 32)])
def test_ergodic_capacity_is_that_of_drawn_channels(tx: int, rx: int) -> None:
    check_capacity(tx, rx, 0.0)
    with pytest.raises(AssertionError):
        check_capacity(tx, rx, 0.2)


def test_capacity_of_many_antennas_follows_marchenko_and_pastur() -> None:
    """As n grows, C / n tends to 2 log2((1 + s) / 2) - log2(e) (s - 1)² / (4 γ), s = sqrt(1 + 4 γ), for n×n."""
    s = math.sqrt(1 + 4 * 10.0)
    limit = 2 * math.log2((1 + s) / 2) - math.log2(math.e) * (s - 1) ** 2 / 40
    assert ergodic_capacity(10.0, tx=64, rx=64) / 64 == pytest.approx(limit, rel=1e-3)


@pytest.mark.parametrize("branches", [1, 2, 4])
def test_outage_is_that_of_drawn_channels_and_its_inverse(branches: int) -> None:
    power = np.square(np.abs(draw(branches, 1, 100_000))).sum(axis=(1, 2))
    rate = np.array([0.5, 2.0, 4.0])
    measured = np.mean(np.log2(1 + 10 * power)[:, None] < rate, axis=0)
    expected = mrc_outage_probability(rate, 10.0, branches=branches)
    error = np.sqrt(expected * (1 - expected) / len(power))
    assert (np.abs(measured - expected) <= 4 * error + 1e-9).all()
    off = mrc_outage_probability(rate, 10.2, branches=branches)
    assert (np.abs(measured - off) > 4 * error).any()
    np.testing.assert_allclose(mrc_outage_capacity(expected, 10.0, branches=branches), rate)


def test_waterfilling_beats_equal_power_and_meets_it_at_high_esno() -> None:
    h = draw(4, 4, 500)
    for n0, most in ((10.0, np.inf), (1e-8, 1e-2)):
        equal = np.linalg.slogdet(np.eye(4) + h @ h.conj().swapaxes(1, 2) / (4 * n0))[1] / math.log(2)
        gain = waterfilling_capacity(h, n0) - equal
        assert gain.min() >= -1e-9
        assert np.median(gain) <= most
    assert np.median(waterfilling_capacity(h, 10.0) / equal) < 1


def test_waterfilling_by_hand() -> None:
    """Gains 4 and 1 with N0 = 1: levels 1/4 and 1, water at 1 1/8. With N0 = 4 the weak one is left out."""
    h = np.diag([2.0, 1.0]).astype(complex)
    assert waterfilling_capacity(h, 1.0) == pytest.approx(math.log2(4.5) + math.log2(1.125))
    assert waterfilling_capacity(h, 4.0) == pytest.approx(1.0)
    assert waterfilling_capacity(np.zeros((2, 2), complex), 1.0) == 0.0


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: mrc_qam_ber(4, 0.0, branches=0), "branches=0"),
        (lambda: mrc_qam_ber(8, 0.0, branches=1), "order=8"),
        (lambda: zf_qam_ber(4, 0.0, tx=3, rx=2), "tx=3"),
        (lambda: ergodic_capacity(0.0, tx=65, rx=1), "tx=65"),
        (lambda: mrc_outage_capacity(1.0, 0.0, branches=1), "outage=1.0"),
        (lambda: waterfilling_capacity(np.ones((1, 1), complex), 0.0), "n0=0.0"),
    ],
)
def test_bad_input_names_the_value(call: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()  # type: ignore[operator]
