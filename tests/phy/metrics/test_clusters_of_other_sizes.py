"""Intervals of blocks that share a fade hold where images differ in size, and so in how many blocks they have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semlink.phy import metrics

RUNS = 1000
LEAST = 0.95 - 0.015 - 3 * math.sqrt(0.95 * 0.05 / RUNS)  # of a share that is 0.935 and measured in so many runs
SIZES = {"halves": [8] * 12 + [1] * 12, "many": [8] * 50 + [1] * 50, "few large": [30] * 10 + [1] * 100}


def covered(trials: np.ndarray, share: float) -> float:
    rng, found = np.random.default_rng(1), []
    for _ in range(RUNS):
        one = metrics.shared_error_rate(trials * (rng.random(len(trials)) < share), trials)
        found.append(one.low <= share <= one.high)
    return float(np.mean(found))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("sizes", SIZES)
def test_images_that_are_lost_whole(sizes: str, share: float) -> None:
    """Each image a fade: 40 to 92 % of these intervals held where the images were counted without their sizes."""
    assert covered(np.array(SIZES[sizes]), share) >= LEAST


def test_none_seen_is_the_rule_of_three_of_as_many_of_one_size() -> None:
    trials = np.array([8] * 12 + [1] * 12)
    found = metrics.shared_error_rate(np.zeros(24, int), trials)
    assert found.high == pytest.approx(1 - 0.025 ** (780 / 108**2))
    equal = metrics.shared_error_rate(np.zeros(24, int), np.full(24, 8))
    assert equal.high == pytest.approx(1 - 0.025 ** (1 / 24))
    assert metrics.shared_error_rate(trials, trials).low == pytest.approx(0.025 ** (780 / 108**2))


def test_blocks_that_fail_by_themselves_stay_on_the_safe_side_of_the_exact_interval() -> None:
    rng, trials = np.random.default_rng(2), np.array([8] * 50 + [1] * 50)
    for _ in range(50):
        errors = rng.binomial(trials, 0.1)
        found, exact = metrics.shared_error_rate(errors, trials), metrics.error_rate(int(errors.sum()), 450)
        assert found.low <= exact.low
        assert found.high >= exact.high
