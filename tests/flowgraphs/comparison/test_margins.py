"""Margins over the same receptions: their values, and that their intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semlink.flowgraphs.comparison import psnr_margin
from semlink.flowgraphs.comparison.margins import change_percent


def test_known_margins() -> None:
    errors = np.array([[1.0], [3.0]])
    assert psnr_margin(errors, 2 * errors).value == pytest.approx(10 * math.log10(2))
    assert change_percent(errors, 2 * errors).value == pytest.approx(-50)
    for found in (psnr_margin(errors, 2 * errors), change_percent(errors, 2 * errors)):
        assert found.low == pytest.approx(found.value)  # in proportion on every image: nothing is uncertain
        assert found.high == pytest.approx(found.value)
    assert psnr_margin(errors, errors).value == 0
    assert psnr_margin(errors, 0 * errors).value == -math.inf
    assert psnr_margin(0 * errors, 0 * errors).value == 0
    assert math.isnan(change_percent(errors, 0 * errors).value)


def test_other_receptions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shapes differ: \(3, 1\) against \(2, 1\)"):
        psnr_margin(np.ones((3, 1)), np.ones((2, 1)))
    with pytest.raises(ValueError, match="the same receptions"):
        change_percent(np.ones((3, 1)), np.ones((3, 2)))


@pytest.mark.parametrize("margin", [psnr_margin, change_percent])
def test_the_interval_covers_the_truth_and_no_more_than_it_must(margin: object) -> None:
    """95 % of 600 experiments of 200 images, within 3 standard errors; and 0.2 dB beside the truth far fewer."""
    assert callable(margin)
    rng, trials = np.random.default_rng(0), 600
    truth = -10 * math.log10(0.9) if margin is psnr_margin else -10.0
    beside = truth + (0.2 if margin is psnr_margin else 4.7)
    covered = elsewhere = 0
    for _ in range(trials):
        shared = rng.gamma(2, 0.5, (200, 1))  # of mean 1: how hard an image is, for both
        others, errors = shared * rng.gamma(50, 0.02, (200, 1)), 0.9 * shared * rng.gamma(50, 0.02, (200, 1))
        found = margin(errors, others)
        covered += found.low <= truth <= found.high
        elsewhere += found.low <= beside <= found.high
    assert abs(covered / trials - 0.95) < 3 * math.sqrt(0.95 * 0.05 / trials)
    assert elsewhere / trials < 0.5


def test_pairing_narrows_it() -> None:
    """The same two columns of errors, of which one is shuffled, leave the margin and widen its interval."""
    rng = np.random.default_rng(1)
    others = rng.gamma(1, 1, (300, 1))
    errors = 0.9 * others * rng.gamma(100, 0.01, (300, 1))
    paired, apart = psnr_margin(errors, others), psnr_margin(rng.permutation(errors), others)
    assert paired.value == pytest.approx(apart.value)
    assert paired.high - paired.low < 0.2 * (apart.high - apart.low)
