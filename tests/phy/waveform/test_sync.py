"""The parts of synchronisation, each against theory or arithmetic done otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from semlink.phy.waveform.sequences import pn_bits, pn_qpsk
from semlink.phy.waveform.sync import (
    Tracker,
    cfar_threshold,
    frequency,
    last_alive,
    local_variance,
    parabola_peak,
    share,
    turn,
    window_sum,
)


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """CN(0, 1)."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * np.sqrt(0.5)


@pytest.mark.parametrize(("references", "observations"), [(4, 96), (16, 144), (1, 47)])
@pytest.mark.parametrize("false_alarm", [1e-2, 1e-8, 1e-12])
def test_the_threshold_is_that_of_a_beta_distribution(references: int, observations: int, false_alarm: float) -> None:
    threshold = cfar_threshold(references, observations, false_alarm)
    assert beta(references, observations - references).sf(threshold) == pytest.approx(false_alarm, rel=1e-6)


def test_noise_passes_the_threshold_as_often_as_told_whatever_its_level() -> None:
    rng, trials, rate = np.random.default_rng(0), 100_000, 1e-2
    basis = np.linalg.qr(noise(rng, 24, 4))[0]
    observed = noise(rng, trials, 24) * np.exp(rng.uniform(-4, 4, (trials, 1)))
    part = (np.abs(observed @ basis.conj()) ** 2).sum(axis=1)
    passed = np.mean(share(part, (np.abs(observed) ** 2).sum(axis=1)) > cfar_threshold(4, 24, rate))
    assert abs(passed - rate) < 4 * np.sqrt(rate / trials)


def test_silence_has_no_share() -> None:
    np.testing.assert_array_equal(share(np.zeros(3), np.zeros(3)), np.zeros(3))
    np.testing.assert_allclose(share(np.array([1e-20, 1.0]), np.array([1e-20, 2.0])), [0, 0.5])


@pytest.mark.parametrize("esno_db", [3.0, 20.0])
def test_the_frequency_estimate_reaches_the_cramer_rao_bound(esno_db: float) -> None:
    """S. M. Kay, "Fundamentals of Statistical Signal Processing: Estimation Theory", 1993, example 3.14."""
    rng, n, trials, n0 = np.random.default_rng(1), 96, 400, 10 ** (-esno_db / 10)
    errors = []
    for _ in range(trials):
        true = rng.uniform(-1e-3, 1e-3)
        tone = np.exp(2j * np.pi * (true * np.arange(n) + rng.uniform())) + np.sqrt(n0) * noise(rng, n)
        errors.append(frequency(tone, np.arange(n), centre=0.0, reach=2e-3) - true)
    bound = 6 * n0 / (4 * np.pi**2 * n * (n**2 - 1))
    # 400 squares of a Gaussian: the standard error of their mean is 7 %.
    assert 0.75 < np.mean(np.square(errors)) / bound < 1.35


def test_a_parabola_peaks_where_it_does() -> None:
    for true in (-0.9, 0.0, 0.3):
        assert parabola_peak(5 - 2 * (np.arange(-1, 2) - true) ** 2) == pytest.approx(true)
    assert parabola_peak(np.array([1.0, 1.0, 1.0])) == 0
    assert parabola_peak(np.array([0.0, 1.0, 5.0])) == 0


@pytest.mark.parametrize(("n", "length", "stride"), [(50, 7, 1), (50, 5, 4), (47, 12, 4), (9, 9, 1)])
def test_window_sums_are_sums(n: int, length: int, stride: int) -> None:
    values = noise(np.random.default_rng(2), n)
    count = n - (length - 1) * stride
    naive = [values[i : i + (length - 1) * stride + 1 : stride].sum() for i in range(count)]
    np.testing.assert_allclose(window_sum(values, length, stride), naive, atol=1e-12)


def test_turning_is_a_multiplication_by_a_phasor() -> None:
    values = noise(np.random.default_rng(3), 1000)
    np.testing.assert_allclose(turn(values, 0.0123), values * np.exp(2j * np.pi * 0.0123 * np.arange(1000)), atol=1e-5)


def test_a_tracker_leaves_straight_lines_as_they_are() -> None:
    places = np.array([0.0, 1, 2, 10, 30, 31, 60, 100])
    tracker = Tracker(places, np.array([1.0, 2, 1, 1, 5, 1, 1, 1]), width=20)
    line = (2 - 1j) * places + 3j
    np.testing.assert_allclose(tracker.smooth(line), line, atol=1e-9)
    assert tracker.at(line, np.array([45.0]))[0] == pytest.approx((2 - 1j) * 45 + 3j)
    assert tracker.at(line, np.array([-5.0]))[0] == line[0]


def test_a_tracker_knows_its_own_error() -> None:
    rng, places = np.random.default_rng(4), np.arange(40.0)
    weights = rng.uniform(0.5, 4, 40)
    tracker = Tracker(places, weights, width=8)
    drawn = np.array([tracker.smooth(rng.standard_normal(40) / np.sqrt(weights)) for _ in range(4000)])
    # A variance from 4,000 draws is good to 2.2 %.
    np.testing.assert_allclose(drawn.var(axis=0), tracker.error, rtol=0.11)
    assert tracker.error.max() < 1 / weights.min()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_observations_are_tracked_as_well(count: int) -> None:
    tracker = Tracker(np.arange(count) * 100.0, np.ones(count), width=5)
    assert np.isfinite(tracker.smooth(np.ones(count))).all()
    np.testing.assert_allclose(tracker.smooth(np.ones(count)), 1)


def test_a_signal_ends_where_it_ends() -> None:
    rng = np.random.default_rng(5)
    for last in (5, 20, 37):
        values = (np.arange(40) <= last) + 0.1 * rng.standard_normal(40)
        assert last_alive(values, np.full(40, 0.1)) == last
    ends = [last_alive(1 + 0.25 * rng.standard_normal(60), np.full(60, 0.25)) for _ in range(3000)]
    assert sum(end != 59 for end in ends) <= 6


def test_the_local_variance_follows_and_is_right_on_average() -> None:
    rng, places = np.random.default_rng(6), np.arange(4000)
    variance = np.where(places < 2000, 1.0, 9.0)
    got = local_variance(np.abs(noise(rng, 4000)) ** 2 * variance, places, 200, lost=0)
    np.testing.assert_allclose([got[1000], got[3000]], [1, 9], rtol=0.25)
    flat = local_variance(np.abs(noise(rng, 4000)) ** 2, places, 200, lost=400)
    assert flat.mean() == pytest.approx(1 / 0.9, rel=0.06)


def test_the_pseudo_random_sequence_obeys_its_recurrence_and_looks_random() -> None:
    bits = pn_bits(20_000, 7)
    np.testing.assert_array_equal(bits[31:], bits[:-31] ^ bits[3:-28])
    signs = 1.0 - 2 * bits
    lags = [abs(float(signs[lag:] @ signs[: len(signs) - lag])) for lag in range(1, 200) if lag not in (28, 31, 3)]
    assert max(lags) < 5 * np.sqrt(20_000)
    symbols = pn_qpsk(96, 3)
    np.testing.assert_allclose(np.abs(symbols), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        symbols[0] = 0
