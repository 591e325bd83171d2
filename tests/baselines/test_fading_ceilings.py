"""The ceilings on Rayleigh fading against drawn gains, their limits, and each other."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from semlink.baselines.capacity import constrained
from semlink.baselines.fading_ceilings import (
    ergodic_rayleigh,
    ergodic_rayleigh_constrained,
    outage_capacity_rayleigh,
    outage_rayleigh,
)
from semlink.phy.constellation import ORDERS

Z = 4.5  # standard errors: one false alarm in 150,000
OFF_DB = 0.2  # the error that must be caught
Array = np.ndarray


def linear(esno_db: float) -> float:
    return float(10 ** (esno_db / 10))


def assert_mean(samples: Array, expected: float) -> None:
    assert abs(samples.mean() - expected) < Z * samples.std() / math.sqrt(samples.size)


@cache
def gains() -> Array:
    """|h|² of h ~ CN(0, 1)."""
    draws = np.random.default_rng(0).standard_normal((2, 400_000)) / math.sqrt(2)
    return np.asarray((draws**2).sum(axis=0))


@pytest.mark.parametrize("off_db", [0.0, -OFF_DB, OFF_DB])
@pytest.mark.parametrize("esno_db", [0.0, 10.0, 25.0])
def test_ergodic_capacity_is_the_mean_over_the_gain(esno_db: float, off_db: float) -> None:
    pairs = [(np.log2(1 + linear(esno_db) * gains()), float(ergodic_rayleigh(esno_db + off_db)))]
    if esno_db < 20:  # beyond, 16-QAM is nearly full and tells nothing apart
        of_16_qam = float(ergodic_rayleigh_constrained(16, esno_db + off_db))
        pairs.append((constrained_at_each_gain(16, esno_db), of_16_qam))
    for samples, expected in pairs:
        if off_db == 0.0:
            assert_mean(samples, expected)
        else:
            with pytest.raises(AssertionError):
                assert_mean(samples, expected)


def constrained_at_each_gain(order: int, esno_db: float) -> Array:
    """`constrained` at each drawn gain, read off a fine grid."""
    grid_db = np.arange(-60.0, 50.0, 0.1)
    return np.interp(esno_db + 10 * np.log10(gains()), grid_db, constrained(order, grid_db))


def test_ergodic_capacity_at_both_ends() -> None:
    """γ / ln 2 (1 - γ + 2 γ²) when small; log2 γ less Euler's constant over ln 2 when large."""
    small, large = linear(-40.0), linear(60.0)
    expected = [small * (1 - small + 2 * small**2) / math.log(2), math.log2(large) - np.euler_gamma / math.log(2)]
    np.testing.assert_allclose(ergodic_rayleigh([-40.0, 60.0])[0], expected[0], rtol=1e-9)
    np.testing.assert_allclose(ergodic_rayleigh([-40.0, 60.0])[1], expected[1], atol=2e-5)
    assert ergodic_rayleigh([-np.inf, np.inf]).tolist() == [0.0, np.inf]
    seam = -10 * math.log10(30.0)
    around = ergodic_rayleigh([seam - 1e-9, seam + 1e-9])
    assert float(around[0]) == pytest.approx(float(around[1]), rel=1e-8)
    assert bool((np.diff(ergodic_rayleigh(np.linspace(-40, 60, 2001))) > 0).all())


@pytest.mark.parametrize("order", ORDERS)
def test_ergodic_constrained_is_below_both_ceilings(order: int) -> None:
    esno_db = np.arange(-40.0, 61.0, 10.0)
    carried = ergodic_rayleigh_constrained(order, esno_db)
    assert bool((carried <= ergodic_rayleigh(esno_db) + 1e-12).all())
    assert bool((carried <= constrained(order, esno_db) + 1e-12).all())  # Jensen
    assert float(carried[0]) == pytest.approx(float(ergodic_rayleigh(-40.0)), rel=1e-4)
    assert float(ergodic_rayleigh_constrained(order, np.inf)) == pytest.approx(math.log2(order), abs=1e-12)


@pytest.mark.parametrize("off_db", [0.0, -OFF_DB, OFF_DB])
@pytest.mark.parametrize(("esno_db", "rate"), [(5.0, 1.0), (15.0, 3.0)])
def test_outage_is_the_share_of_gains_too_weak(esno_db: float, rate: float, off_db: float) -> None:
    failed = (np.log2(1 + linear(esno_db) * gains()) < rate).astype(float)
    expected = float(outage_rayleigh(esno_db + off_db, rate))
    if off_db == 0.0:
        assert_mean(failed, expected)
    else:
        with pytest.raises(AssertionError):
            assert_mean(failed, expected)


def test_outage_and_its_capacity_are_inverse() -> None:
    esno_db, outage = np.arange(-40.0, 61.0, 10.0)[:, None], np.array([1e-9, 1e-3, 0.1, 0.9])
    rate = outage_capacity_rayleigh(esno_db, outage)
    assert rate.shape == (11, 4)
    np.testing.assert_allclose(outage_rayleigh(esno_db, rate), np.broadcast_to(outage, rate.shape), rtol=1e-9)
    assert outage_rayleigh([-np.inf, -np.inf, np.inf, 10.0], [0.0, 1.0, 1.0, 0.0]).tolist() == [0.0, 1.0, 0.0, 0.0]
    assert float(outage_capacity_rayleigh(10.0, 0.0)) == 0.0


def test_it_takes_any_shape() -> None:
    assert ergodic_rayleigh_constrained(16, [[1.0, 2.0, 3.0]]).shape == (1, 3)
    assert ergodic_rayleigh_constrained(16, 1.0).shape == ()
    assert ergodic_rayleigh_constrained(16, []).shape == (0,)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="order=8 must be an even power of two from 4"):
        ergodic_rayleigh_constrained(8, 1.0)
    with pytest.raises(ValueError, match=r"rate=-1\.0 must be at least 0"):
        outage_rayleigh(10.0, [1.0, -1.0])
    with pytest.raises(ValueError, match=r"outage=1\.0 must be at least 0 and below 1"):
        outage_capacity_rayleigh(10.0, 1.0)
