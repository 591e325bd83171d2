"""The ceilings against another way of integrating, Monte Carlo with the package's own demapper, and the literature."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from semlink.baselines import capacity
from semlink.baselines.capacity import (
    bicm,
    bicm_missing,
    constrained,
    effective_esno_db,
    esno_db_for,
    missing_esno_db,
    shannon,
)
from semlink.phy.channels import AWGN
from semlink.phy.constellation import ORDERS, QAM
from semlink.phy.link import esno_to_n0

Z = 4.5  # standard errors: one false alarm in 150,000
OFF_DB = 0.2  # the error that must be caught
GRID_DB = np.arange(-20.0, 50.1, 2.5)
Array = np.ndarray


def linear(esno_db: float | Array) -> Array:
    return np.asarray(10 ** (np.asarray(esno_db) / 10))


def bicm_mean(order: int, esno: Array) -> Array:
    """From the table, over the last axis."""
    return np.asarray(math.log2(order) - bicm_missing(order, esno).mean(axis=-1))


def bicm_esno_db(order: int, bits: float | Array) -> Array:
    """The Es/N0 of so many bits, by the table."""
    return missing_esno_db(order, np.asarray(math.log2(order) - bits))


def entropy(density: Array, step: float) -> float:
    """In bits, by the trapezoidal rule; the density has vanished at both ends."""
    density = density[density > 0]
    return float(-(density * np.log2(density)).sum() * step)


def axis_labels(order: int) -> tuple[Array, Array]:
    """Amplitudes and bits of the real axis, from the mapper: the even bits of a symbol."""
    m = QAM(order).bits_per_symbol
    labels = torch.tensor([[(label >> (m - 1 - i)) & 1 for i in range(m)] for label in range(order)])
    points = QAM(order).map(labels)[:, 0]
    row = (points.imag - points.imag.max()).abs() < 1e-6
    return points.real[row].double().numpy(), labels[row][:, ::2].numpy()


def by_entropies(order: int, esno_db: float) -> tuple[float, float]:
    """I = h(Y) - h(Y|X) and the sum of h(Y) - h(Y|B), on a fine grid over the received value of one axis, twice."""
    amplitudes, bits = axis_labels(order)
    deviation = math.sqrt(0.5 / linear(esno_db))
    step = deviation / 50
    reach = amplitudes.max() + 10 * deviation
    y = np.arange(-reach, reach, step)
    each = np.exp(-(((y - amplitudes[:, None]) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    whole = entropy(each.mean(axis=0), step)
    noise = 0.5 * math.log2(2 * math.pi * math.e * deviation**2)
    halves = [entropy(each[bit == value].mean(axis=0), step) for bit in bits.T for value in (0, 1)]
    return 2 * (whole - noise), 2 * (bits.shape[1] * whole - sum(halves) / 2)


@pytest.mark.parametrize("order", ORDERS)
def test_information_is_the_difference_of_entropies(order: int) -> None:
    expected = np.array([by_entropies(order, esno_db) for esno_db in GRID_DB])
    np.testing.assert_allclose(constrained(order, GRID_DB), expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(bicm(order, GRID_DB), expected[:, 1], atol=1e-6)


def test_rate_one_half_of_4_qam_is_at_0_187_db() -> None:
    """The binary-input limit of rate 1/2, Eb/N0 = 0.187 dB (Lin and Costello, "Error Control Coding", chapter 1).

    One bit a symbol: Es/N0 is Eb/N0.
    """
    assert float(esno_db_for(1.0, order=4)) == pytest.approx(0.187, abs=5e-4)
    assert float(bicm_esno_db(4, 1.0)) == pytest.approx(0.187, abs=5e-4)


def test_shaping_gap_of_dense_qam_is_that_of_a_cube() -> None:
    """π e / 6, 1.53 dB: G. D. Forney and G. Ungerboeck, IEEE Trans. Inf. Theory 44 (1998) 2384-2415.

    What the edges of the square give back halves with each doubling of the amplitude.
    """
    esno_db = np.array([30.0, 30.0 + 20 * math.log10(2)])
    gap_db = esno_db - esno_db_for(constrained(2**16, esno_db))
    assert 2 * gap_db[1] - gap_db[0] == pytest.approx(10 * math.log10(math.pi * math.e / 6), abs=1e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_first_order_is_that_of_gray_pam(order: int) -> None:
    """Per ln 2 of Es/N0: 1 for coded modulation, 3 L² / (4 (L² - 1)) for BICM on L-PAM with the reflected Gray code.

    E. Agrell and A. Alvarado, "Optimal alphabets and binary labelings for BICM at low SNR", IEEE Trans. Inf. Theory 57
    (2011) 6650-6672.
    """
    slope = math.log(2) / linear(-55.0)
    assert float(constrained(order, -55.0) * slope) == pytest.approx(1.0, abs=1e-5)
    assert float(bicm(order, -55.0) * slope) == pytest.approx(3 * order / (4 * (order - 1)), abs=1e-5)


def sampled_bicm(order: int, symbols: int, esno_db: Array) -> Array:
    """Bits that each symbol's exact LLRs carry, m - Σ log2(1 + exp(-llr · sign)), for the mean over symbols."""
    qam, rng = QAM(order), torch.Generator().manual_seed(order)
    bits = torch.randint(0, 2, (1, symbols * qam.bits_per_symbol), generator=rng).float()
    n0 = torch.from_numpy(np.broadcast_to(1 / linear(esno_db), (1, symbols)).astype(np.float32))
    noise = torch.randn(1, symbols, dtype=torch.complex64, generator=rng)
    llr = qam.llr(qam.map(bits) + noise * n0.sqrt(), n0).double()
    lost = torch.nn.functional.softplus(-llr * (1 - 2 * bits)) / math.log(2)
    return (1 - lost).reshape(symbols, -1).sum(dim=1).numpy()


def assert_mean(samples: Array, expected: float) -> None:
    assert abs(samples.mean() - expected) < Z * samples.std() / math.sqrt(samples.size)


# (order, Es/N0 in dB, symbols): as many that an error of 0.2 dB is at least 2 Z standard errors.
POINTS = [(4, 0.0, 60_000), (16, 5.0, 60_000), (16, 10.0, 50_000), (64, 12.0, 50_000), (256, 18.0, 50_000)]


@cache
def bicm_samples(order: int, esno_db: float, symbols: int) -> Array:
    return sampled_bicm(order, symbols, np.array(esno_db))


@pytest.mark.parametrize(("order", "esno_db", "symbols"), POINTS)
def test_bicm_is_what_the_demapper_delivers(order: int, esno_db: float, symbols: int) -> None:
    assert_mean(bicm_samples(order, esno_db, symbols), float(bicm(order, esno_db)))


@pytest.mark.parametrize("off_db", [-OFF_DB, OFF_DB])
@pytest.mark.parametrize(("order", "esno_db", "symbols"), POINTS)
def test_bicm_catches_a_fifth_of_a_decibel(order: int, esno_db: float, symbols: int, off_db: float) -> None:
    with pytest.raises(AssertionError):
        assert_mean(bicm_samples(order, esno_db, symbols), float(bicm(order, esno_db + off_db)))


@cache
def constrained_samples(order: int, esno_db: float, symbols: int) -> Array:
    """log2 p(y | sent) / p(y) with all points of the plane, through the package's channel."""
    qam, rng = QAM(order), torch.Generator().manual_seed(order)
    m, n0 = qam.bits_per_symbol, esno_to_n0(esno_db)
    labels = torch.tensor([[(label >> (m - 1 - i)) & 1 for i in range(m)] for label in range(order)])
    sent = qam.map(torch.randint(0, 2, (1, symbols * m), generator=rng))
    got = AWGN()(sent, n0, rng=rng).symbols[0]
    distance = (got[:, None] - qam.map(labels)[:, 0]).abs().square() - (got - sent[0]).abs().square()[:, None]
    return (m - torch.logsumexp(-distance.double() / n0, dim=1) / math.log(2)).numpy()


@pytest.mark.parametrize("off_db", [0.0, -OFF_DB, OFF_DB])
@pytest.mark.parametrize(("order", "esno_db"), [(4, 0.0), (16, 8.0), (64, 12.0)])
def test_constrained_is_what_the_channel_carries(order: int, esno_db: float, off_db: float) -> None:
    samples, expected = constrained_samples(order, esno_db, 60_000), float(constrained(order, esno_db + off_db))
    if off_db == 0.0:
        assert_mean(samples, expected)
    else:
        with pytest.raises(AssertionError):
            assert_mean(samples, expected)


@pytest.mark.parametrize("order", ORDERS)
def test_limits_order_and_monotonicity(order: int) -> None:
    esno_db, m = np.linspace(-60, 60, 241), math.log2(order)
    carried = [bicm(order, esno_db), constrained(order, esno_db), shannon(esno_db)]
    for lower, upper in pairwise(carried):
        assert bool((lower <= upper + 1e-12).all())
    for curve in carried:
        assert bool((np.diff(curve) >= -1e-12).all())
    for function in (bicm, constrained):
        ends = function(order, [-np.inf, np.inf])
        assert ends.tolist() == pytest.approx([0.0, m], abs=1e-12)
        assert function(order, [[1.0, 2.0, 3.0]]).shape == (1, 3)
        assert function(order, 1.0).shape == ()
        assert function(order, []).shape == (0,)


def test_bicm_of_4_qam_loses_nothing() -> None:
    np.testing.assert_allclose(bicm(4, GRID_DB), constrained(4, GRID_DB), atol=1e-12)


def test_shannon_in_numbers() -> None:
    np.testing.assert_allclose(shannon([-np.inf, 0.0, 10 * math.log10(3), 10 * math.log10(255)]), [0, 1, 2, 8])
    assert esno_db_for([0.0, 1.0, 8.0]) == pytest.approx([-np.inf, 0.0, 10 * math.log10(255)])


@pytest.mark.parametrize("order", ORDERS)
def test_inverses_return_to_where_they_started(order: int) -> None:
    m = math.log2(order)
    bits = np.array([[1e-9, 1e-6, 1.1e-6, 0.01], [0.5, m / 2, 0.9 * m, m - 1e-5]])
    np.testing.assert_allclose(constrained(order, esno_db_for(bits, order=order)), bits, rtol=2e-6, atol=1e-9)
    np.testing.assert_allclose(bicm(order, bicm_esno_db(order, bits)), bits, rtol=2e-5, atol=2e-5)
    assert bicm_esno_db(order, np.array([0.0, m])).tolist() == [-np.inf, np.inf]
    assert float(esno_db_for(0.0, order=order)) == -np.inf


@pytest.mark.parametrize("order", ORDERS)
def test_the_table_is_the_integral(order: int) -> None:
    rng = np.random.default_rng(order)
    esno_db = rng.uniform(-60, 60, 1500)
    np.testing.assert_allclose(bicm_mean(order, linear(esno_db)[:, None]), bicm(order, esno_db), atol=2e-5)
    found = bicm_esno_db(order, bicm(order, esno_db))
    clear = bicm(order, esno_db) < math.log2(order) - 1e-5
    np.testing.assert_allclose(found[clear], esno_db[clear], atol=2e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_a_constant_channel_is_its_own_effective_one(order: int) -> None:
    for esno_db in (-70.0, -40.0, -39.99, -3.3, 12.0, 19.0, 25.0, 40.0, 90.0):
        assert float(effective_esno_db(order, np.full(7, linear(esno_db)))) == pytest.approx(esno_db, abs=1e-7)
    assert effective_esno_db(order, [[0.0, 0.0], [np.inf, np.inf]]).tolist() == [-np.inf, np.inf]


@pytest.mark.parametrize("order", ORDERS)
def test_effective_esno_lies_between_the_least_and_the_mean(order: int) -> None:
    """Below the mean by Jensen's inequality: the information is concave in the linear Es/N0 (up to the table)."""
    rng = np.random.default_rng(order)
    esno = linear(rng.normal(rng.uniform(-30, 40, (3000, 1)), rng.uniform(0, 10, (3000, 1)), (3000, 12)))
    effective_db = effective_esno_db(order, esno)
    assert bool((effective_db >= 10 * np.log10(esno.min(axis=1)) - 1e-6).all())
    assert bool((effective_db <= 10 * np.log10(esno.mean(axis=1)) + 1e-4).all())
    np.testing.assert_allclose(effective_esno_db(order, esno[:, ::-1].T, axis=0), effective_db, atol=1e-6)
    louder = esno.copy()
    louder[:, 3] *= 1.5
    assert bool((effective_esno_db(order, louder) >= effective_db).all())


@pytest.mark.parametrize("order", ORDERS)
def test_effective_esno_of_two_levels_by_a_root_of_the_integral(order: int) -> None:
    levels_db = np.array([0.0, 9.0]) + 10 * math.log10(order) - 8
    mean = float(bicm(order, levels_db).mean())
    expected = brentq(lambda esno_db: float(bicm(order, esno_db)) - mean, *levels_db)
    assert float(effective_esno_db(order, linear(levels_db))) == pytest.approx(expected, abs=1e-3)


def test_half_the_symbols_erased_is_half_the_information() -> None:
    esno = np.array([0.0, np.inf] * 50)
    assert float(bicm_mean(16, esno)) == 2.0
    assert float(effective_esno_db(16, esno)) == pytest.approx(float(bicm_esno_db(16, 2.0)), abs=1e-9)


@pytest.mark.parametrize(("order", "mean_db"), [(4, 2.0), (64, 12.0)])
def test_bicm_mean_is_what_the_demapper_delivers_on_fading(order: int, mean_db: float) -> None:
    esno = linear(mean_db) * np.random.default_rng(order).exponential(size=60_000)
    samples = sampled_bicm(order, esno.size, 10 * np.log10(esno))
    # The gains are the same on both sides, so what is left to chance is each symbol's own deviation.
    deviation = samples - bicm_mean(order, esno[:, None])
    assert_mean(deviation, 0.0)
    for off_db in (-OFF_DB, OFF_DB):
        with pytest.raises(AssertionError):
            assert_mean(samples - bicm_mean(order, esno[:, None] * linear(off_db)), 0.0)


def test_bad_input_is_named() -> None:
    for function in (constrained, bicm, bicm_missing, effective_esno_db, missing_esno_db):
        with pytest.raises(ValueError, match="order=8 must be an even power of two from 4"):
            function(8, np.array(1.0))
    for order in (-16, 0, 1, 2, 12, 36):
        with pytest.raises(ValueError, match=f"order={order} must be an even power of two"):
            constrained(order, 1.0)
    with pytest.raises(ValueError, match=r"bits=4\.0 must be at least 0 and below 4"):
        esno_db_for([1.0, 4.0], order=16)
    for bits in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"bits={bits} must be at least 0 and below inf"):
            esno_db_for(bits)
    for esno in (-0.5, math.nan):
        with pytest.raises(ValueError, match=rf"esno={esno} must be at least 0 \(it is linear, not in dB\)"):
            effective_esno_db(16, [1.0, esno])
    with pytest.raises(ValueError, match=r"esno has shape \(3, 0\); axis -1 must hold at least one symbol"):
        effective_esno_db(16, np.zeros((3, 0)))


def test_tables_are_made_once() -> None:
    capacity._table.cache_clear()
    for _ in range(3):
        bicm_missing(4, [1.0])
        effective_esno_db(4, [1.0])
    assert capacity._table.cache_info().misses == 1
