"""Intervals cover what they claim: simulated as often as it takes to tell 93.5 from 95 %.

Where all of a cluster shares one outcome an interval of counts cannot cover just 95 %: it is on the safe side. What is
checked above is that it is no wider than the exact one that knows how the clusters fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from semlink.phy import metrics

Draw = Callable[[np.random.Generator, int], np.ndarray]
RUNS = 1500
LEAST = 0.95 - 0.015 - 3 * math.sqrt(0.95 * 0.05 / RUNS)  # of a share that is 0.935 and measured in so many runs
LOST, ARRIVED = 0.08, 0.001


def covered(found: list[metrics.Estimate], truth: float) -> float:
    """The share of intervals that hold the truth; one that is unknown claims nothing."""
    return float(np.mean([math.isnan(one.low) or one.low <= truth <= one.high for one in found]))


def outages(share: float) -> Draw:
    """Blocks of one fade: all of them fail, or none."""
    return lambda rng, count: np.where(rng.random(count) < share, 10, 0)


def alone(share: float) -> Draw:
    """Blocks that fail by themselves."""
    return lambda rng, count: rng.binomial(10, share, count)


def waterfall(share: float) -> Draw:
    """Block Rayleigh fading and a code whose blocks fail by Φ of the Es/N0 over 0.5 dB: nearly all or none."""
    floor = -10 * math.log10(-math.log1p(-share))

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        fades_db = 10 * np.log10(rng.exponential(size=count))
        return rng.binomial(10, stats.norm.sf((fades_db + floor) / 0.5))

    return draw


@pytest.mark.parametrize("clusters", [30, 200])
@pytest.mark.parametrize("draw", [outages(0.1), outages(0.02), alone(0.1), alone(0.02), waterfall(0.1)])
def test_blocks_that_share_a_fade(draw: Draw, clusters: int) -> None:
    rng = np.random.default_rng(1)
    truth = float(draw(rng, 4_000_000 if draw.__qualname__.startswith("waterfall") else 400_000).mean()) / 10
    trials = np.full(clusters, 10)
    drawn = draw(rng, RUNS * clusters).reshape(RUNS, clusters)
    found = [metrics.shared_error_rate(errors, trials) for errors in drawn]
    assert covered(found, truth) >= LEAST


def test_the_binomial_interval_of_blocks_that_share_a_fade_does_not_hold() -> None:
    """The twin: what was printed before covers two times in three, and is half as wide as it should be."""
    rng = np.random.default_rng(2)
    drawn = outages(0.1)(rng, RUNS * 100).reshape(RUNS, 100)
    before = [metrics.error_rate(int(errors.sum()), 1000) for errors in drawn]
    after = [metrics.shared_error_rate(errors, np.full(100, 10)) for errors in drawn]
    assert covered(before, 0.1) < 0.75
    width = [np.mean([one.high - one.low for one in found]) for found in (before, after)]
    assert width[1] / width[0] == pytest.approx(math.sqrt(10), rel=0.15)


def test_where_clusters_fail_whole_it_is_the_exact_interval_of_clusters() -> None:
    for failed in (0, 1, 7, 30):
        found = metrics.shared_error_rate(np.array([10] * failed + [0] * (30 - failed)), np.full(30, 10))
        exact = metrics.error_rate(failed, 30)
        assert (found.low, found.high) == pytest.approx((exact.low, exact.high), rel=1e-9)
        assert (found.errors, found.trials) == (10 * failed, 300)


def test_where_blocks_fail_by_themselves_it_is_hardly_wider() -> None:
    rng = np.random.default_rng(3)
    errors = rng.binomial(10, 0.1, (200, 200))
    pairs = [
        (metrics.shared_error_rate(one, np.full(200, 10)), metrics.error_rate(int(one.sum()), 2000)) for one in errors
    ]
    assert np.mean([(a.high - a.low) / (b.high - b.low) for a, b in pairs]) < 1.1


def test_none_seen_is_the_rule_of_three_of_clusters() -> None:
    found = metrics.shared_error_rate(np.zeros(50, int), np.full(50, 12))
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 50))


def test_clusters_of_other_sizes_are_weighed_by_them() -> None:
    errors, trials = np.array([9, 0, 0, 1]), np.array([30, 10, 10, 1])
    found = metrics.shared_error_rate(errors, trials)
    assert found.value == 10 / 51
    assert found.low < 10 / 51 < found.high
    assert metrics.shared_error_rate(np.array([1]), np.array([4])).high > metrics.error_rate(1, 4).high


@pytest.mark.parametrize(("errors", "trials"), [([], []), ([1], [0]), ([3], [2]), ([1, 1], [2]), ([-1], [2])])
def test_impossible_clusters_are_refused(errors: list[int], trials: list[int]) -> None:
    with pytest.raises(ValueError, match="cluster"):
        metrics.shared_error_rate(np.array(errors, int), np.array(trials, int))


def lost(share: float) -> Draw:
    """Squared errors of a digital link: an image arrives or is lost."""
    return lambda rng, count: np.where(rng.random(count) < share, LOST, ARRIVED)


def neural(mean_db: float) -> Draw:
    """Those of a code that spreads, on block Rayleigh fading: from nothing received down to its floor."""
    return lambda rng, count: (
        ARRIVED + (LOST - ARRIVED) / (1 + 10 ** (mean_db / 10) * rng.exponential(size=count)) ** 1.2
    )


def adaptive(share: float) -> Draw:
    """Of an adaptive link: lost, or an error that goes with the fade."""

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        return np.where(rng.random(count) < share, LOST, ARRIVED + 0.03 / (1 + 10 * rng.exponential(size=count)))

    return draw


@pytest.mark.parametrize("count", [10, 30, 48])
@pytest.mark.parametrize("draw", [lost(0.02), lost(0.3), neural(0.0), neural(10.0), neural(20.0), adaptive(0.05)])
def test_the_mean_of_what_is_rarely_very_bad(draw: Draw, count: int) -> None:
    rng = np.random.default_rng(4)
    truth = float(draw(rng, 4_000_000).mean())
    drawn = draw(rng, RUNS * count).reshape(RUNS, count, 1)
    found = [metrics.bounded_mean(one, worst=LOST) for one in drawn]
    assert covered(found, truth) >= LEAST


@pytest.mark.parametrize(("draw", "most"), [(neural(10.0), 0.93), (adaptive(0.05), 0.86), (lost(0.02), 0.5)])
def test_student_s_interval_of_it_does_not_hold(draw: Draw, most: float) -> None:
    """The twin."""
    rng = np.random.default_rng(5)
    truth = float(draw(rng, 4_000_000).mean())
    found = [metrics.mean_estimate(one) for one in draw(rng, RUNS * 30).reshape(RUNS, 30, 1)]
    assert covered(found, truth) < most


def test_of_much_it_covers_just_what_it_says() -> None:
    rng, draw = np.random.default_rng(6), neural(5.0)
    truth = float(draw(rng, 4_000_000).mean())
    share = covered(
        [metrics.bounded_mean(one, worst=LOST) for one in draw(rng, RUNS * 400).reshape(RUNS, 400, 1)], truth
    )
    assert abs(share - 0.95) <= 0.015 + 3 * math.sqrt(0.95 * 0.05 / RUNS)


def test_it_covers_without_a_worst_where_few_are_odd() -> None:
    """Images of a set, whose errors differ by a factor of e to either side, and differences to both sides."""
    rng = np.random.default_rng(7)
    sets = np.exp(0.5 * rng.standard_normal((RUNS, 48, 1)))
    assert covered([metrics.bounded_mean(one) for one in sets], math.exp(0.125)) >= LEAST
    both = rng.standard_normal((RUNS, 30, 1)) ** 3
    assert covered([metrics.bounded_mean(one) for one in both], 0.0) >= LEAST


def test_images_that_differ_are_on_the_safe_side() -> None:
    """For these very images: three whose outages come in 1, 10 and 30 %."""
    rng, shares = np.random.default_rng(8), np.array([0.01, 0.1, 0.3])
    drawn = np.where(rng.random((RUNS, 3, 10)) < shares[:, None], LOST, ARRIVED)
    truth = float(np.mean(shares * LOST + (1 - shares) * ARRIVED))
    assert covered([metrics.bounded_mean(one, worst=LOST) for one in drawn], truth) >= LEAST


def test_images_that_arrive_or_not_have_the_exact_binomial_interval() -> None:
    values = np.array([LOST] * 4 + [ARRIVED] * 26)[:, None]
    found, exact = metrics.bounded_mean(values, worst=LOST), metrics.error_rate(4, 30)
    reach = LOST - ARRIVED
    assert (found.low, found.high) == pytest.approx((ARRIVED + reach * exact.low, ARRIVED + reach * exact.high))


def test_none_is_told_where_none_holds() -> None:
    rng = np.random.default_rng(9)
    assert math.isnan(metrics.bounded_mean(rng.random((3, 3))).low)
    assert math.isnan(metrics.bounded_mean(np.ones((3, 10))).low)
    assert math.isnan(metrics.bounded_mean(np.array([[1.0] * 11, [math.inf] * 11])).low)
    same = metrics.bounded_psnr(np.full((3, 10), ARRIVED), worst=LOST)
    assert same.high == same.value == pytest.approx(30)
    share = 1 - 0.025 ** (1 / 30)
    assert same.low == pytest.approx(-10 * math.log10(ARRIVED + share * (LOST - ARRIVED)))


def test_two_realisations_of_a_set_tell_something() -> None:
    """24 images twice, one in thirty lost: Student's interval within images is told by the one or two that were."""
    rng, draw = np.random.default_rng(10), lost(1 / 30)
    drawn = [one for one in draw(rng, 200 * 48).reshape(200, 24, 2) if (one == LOST).any()]
    before = [metrics.psnr_estimate(one) for one in drawn]
    after = [metrics.bounded_psnr(one, worst=LOST) for one in drawn]
    assert max(one.high - one.low for one in before) > 40
    assert max(one.high - one.low for one in after) < 10
