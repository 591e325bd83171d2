"""Finding a preamble at any offset: probabilities of detection and of false alarm, each against theory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ncf

from semlink.phy.waveform import SINGLE_CARRIER_REACH, Loopback, OfdmWaveform, SingleCarrier
from semlink.phy.waveform.layout import PREAMBLE, preamble
from semlink.phy.waveform.sync import cfar_threshold, fit_polynomial, polynomial, tone_threshold, without_constant

OFFSETS = (0.0, 2e-3, 1e-2, SINGLE_CARRIER_REACH)


def noise(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """CN(0, 1)."""
    return (rng.standard_normal((*shape, 2)) @ [1, 1j]) * np.sqrt(0.5)


def tones(values: np.ndarray, width: float, points: int) -> np.ndarray:
    """Share of the energy of each row that the best of many tones explains."""
    n = values.shape[1]
    grid = np.linspace(-width / 2, width / 2, points)
    power = np.abs(values @ np.exp(-2j * np.pi * np.outer(np.arange(n), grid))) ** 2 / n
    share: np.ndarray = power.max(axis=1) / (np.abs(values) ** 2).sum(axis=1)
    return share


# How often noise passes


@pytest.mark.parametrize(("n", "width"), [(96, 0.168), (96, 0.02), (24, 0.5)])
@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_noise_is_taken_for_a_tone_as_often_as_told(n: int, width: float, rate: float) -> None:
    rng, trials = np.random.default_rng(1), 40_000
    shares = np.concatenate([tones(noise(rng, 4000, n), width, 1 + round(8 * n * width)) for _ in range(10)])
    passed = np.mean(shares > tone_threshold(n, width, rate))
    # The formula is a bound from above; an eighth of a resolution lets a hundredth of the energy go.
    assert 0.8 * rate - 4 * np.sqrt(rate / trials) < passed < rate + 4 * np.sqrt(rate / trials)


def test_one_frequency_is_the_beta_distribution_and_more_need_more() -> None:
    assert tone_threshold(96, 0.0, 1e-8) == pytest.approx(cfar_threshold(1, 96, 1e-8))
    rising = [tone_threshold(96, width, 1e-8) for width in (0.0, 0.01, 0.1, 1.0)]
    assert rising == sorted(rising)
    assert tone_threshold(96, 0.1, 1e-8, pieces=4) > tone_threshold(96, 0.1, 1e-8)


@pytest.mark.parametrize(("sps", "rate", "blocks"), [(4, 1e-3, 60), (16, 1e-3, 20)])
def test_the_detector_lets_no_more_noise_pass_than_it_is_told(sps: int, rate: float, blocks: int) -> None:
    """Four places a symbol are looked at, of which the first look drops some that would have passed."""
    rng, waveform = np.random.default_rng(17), SingleCarrier(sps, false_alarm=rate)
    looks = [waveform.score(noise(rng, waveform.block) * 10 ** rng.uniform(-3, 3))[0] for _ in range(blocks)]
    seen = np.concatenate(looks)
    places = len(seen) / sps * 4
    passed = np.count_nonzero(seen > waveform.threshold) / places
    # Neighbouring places pass together; the standard error is that of a quarter of them.
    assert 0.1 * rate < passed < rate + 4 * np.sqrt(4 * rate / places)


# How often a preamble passes


def detected(waveform: SingleCarrier, cfo: float, esno_db: float, count: int, seed: int) -> float:
    """Share of preambles found within half a symbol, each with a delay and a phase of its own, nine to a block."""
    rng, n0, sps = np.random.default_rng(seed), 10 ** (-esno_db / 10), waveform.samples_per_symbol
    shaped, found, starts = waveform.pulse.shape(np.tile(preamble(), 2)), [], range(50 * sps, 1750 * sps, 200 * sps)
    while len(found) < count:
        block, places = np.sqrt(n0) * noise(rng, waveform.block), []
        for start in starts:
            loopback = Loopback(cfo=cfo, delay=rng.uniform(0, 1), phase=rng.uniform(-3, 3))
            block[start : start + len(shaped) + 1] += loopback(shaped, rng=rng)
            places.append(start + waveform.pulse.half + loopback.delay)
        statistic, _ = waveform.score(block.astype(np.complex64))
        seen = np.flatnonzero(statistic > waveform.threshold) + waveform.lead
        found += [bool(np.any(np.abs(seen - place) <= sps / 2)) for place in places]
    return float(np.mean(found))


def theory(threshold: float, esno_db: float) -> float:
    """Of a preamble at a known place and frequency: the share is a ratio of chi-squares, of which one is noncentral."""
    freedom = 2 * (PREAMBLE - 1)
    ratio = threshold / (1 - threshold) * freedom / 2
    return float(ncf.sf(ratio, 2, freedom, 2 * PREAMBLE * 10 ** (esno_db / 10)))


@pytest.mark.parametrize("cfo", OFFSETS)
@pytest.mark.parametrize("esno_db", [-5.0, -3.5, -2.0])
def test_a_preamble_is_found_as_often_as_theory_has_it(cfo: float, esno_db: float) -> None:
    """To within what half a decibel less would change at the ends, where a matched filter is 0.24 dB off; the largest
    of several places and frequencies may be better than one that is known. Three standard errors."""
    waveform, count = SingleCarrier(), 200
    got = detected(waveform, -cfo, esno_db, count, seed=round(1e4 * cfo))
    low, high = (theory(waveform.threshold, esno_db + shift) for shift in (-0.6, 0.4))
    assert (
        low - 3 * np.sqrt(low * (1 - low) / count) - 0.01 < got < high + 3 * np.sqrt(high * (1 - high) / count) + 0.01
    )


def test_two_decibels_less_would_be_seen_above() -> None:
    """The twin of the test above."""
    threshold = SingleCarrier().threshold
    got = detected(SingleCarrier(), 0.0, -7.0, 200, seed=5)
    low = theory(threshold, -5.6)
    assert got < low - 3 * np.sqrt(low * (1 - low) / 200) - 0.01


@pytest.mark.parametrize("sps", [2, 3, 5, 8, 16])
def test_other_rates_find_as_much(sps: int) -> None:
    waveform = SingleCarrier(sps)
    for cfo in (SINGLE_CARRIER_REACH, -0.7 * SINGLE_CARRIER_REACH):
        assert detected(waveform, cfo, -2.0, 54, seed=sps) > 0.94


def test_all_that_is_searched_is_what_is_stated() -> None:
    """Half as much again is not found, even without noise to speak of."""
    assert SingleCarrier().reach == SINGLE_CARRIER_REACH == 2e-2
    assert detected(SingleCarrier(), 3e-2, 20.0, 9, seed=1) == 0.0
    assert OfdmWaveform().reach == 5 / 64


@pytest.mark.parametrize("cfo", [0.0, 0.012, -SINGLE_CARRIER_REACH])
def test_away_from_a_preamble_its_burst_has_nothing_like_it(cfo: float) -> None:
    """But for one half of it to either side, which is what `spread` is for."""
    rng, waveform = np.random.default_rng(6), SingleCarrier()
    sent = np.concatenate([np.tile(preamble(), 2), noise(rng, 1400)]).astype(np.complex64)
    block = np.zeros(waveform.block, np.complex64)
    block[1200 : 1200 + 1512 * 4] = waveform.pulse.shape(sent) * np.exp(2j * np.pi * cfo * np.arange(1512 * 4))
    block += (1e-2 * noise(rng, waveform.block)).astype(np.complex64)
    statistic, strength = waveform.score(block)
    places = np.flatnonzero(statistic > waveform.threshold) + waveform.lead - 1200 - waveform.pulse.half
    assert abs(places[np.argmax(strength[np.flatnonzero(statistic > waveform.threshold)])]) <= 1
    assert np.all(np.min(np.abs(places[:, None] - [-192, 0, 192]), axis=1) <= 4)


def test_silence_beside_a_burst_is_not_looked_at_closely() -> None:
    """Of digital silence products are rounding, and as like the preamble's as any."""
    waveform = SingleCarrier()
    block = np.zeros(waveform.block, np.complex64)
    block[5000:5448] = waveform.pulse.shape(np.tile(preamble(), 2))
    search = waveform._search
    straight = without_constant(block, 1024)
    y = search._matched(np.fft.fft(straight), 0, 2)
    assert np.all(search._first_look(y, 2) > 1500)
    assert np.count_nonzero(waveform.score(np.zeros(waveform.block, np.complex64))[0]) == 0


# What carrier and clock are told by


def test_a_polynomial_is_found_and_its_covariance_is_right() -> None:
    rng, places, truth = np.random.default_rng(7), np.sort(np.random.default_rng(8).integers(0, 60_000, 300)), None
    truth = np.array([0.3, 2e-5, -4e-10])
    fits = [
        fit_polynomial(
            places,
            np.ones(300),
            polynomial(truth, places) + 0.1 * rng.standard_normal(300),
            0.01,
            np.zeros(3),
            np.full(3, np.inf),
        )
        for _ in range(400)
    ]
    changes = np.stack([fit.change for fit in fits]) - truth
    spread = np.sqrt(np.diag(fits[0].covariance))
    assert np.all(np.abs(changes.mean(axis=0)) < 4 * spread / 20)
    np.testing.assert_allclose(changes.std(axis=0), spread, rtol=0.15)  # 400 draws: 3.5 % a standard error


def test_what_nothing_is_known_of_stays_as_it_was_thought_to_be() -> None:
    places = np.arange(10.0)
    fit = fit_polynomial(places, np.ones(10), np.zeros(10), 1e6, np.array([0.0, 1e-4]), np.array([np.inf, 1e-6]))
    assert fit.change[1] == pytest.approx(1e-4, rel=1e-3)  # all of it is taken back
    assert fit.covariance[1, 1] == pytest.approx(1e-12, rel=1e-3)
