"""Margins on channels that fade cover what they claim, what was not met included.

An interval of so few that may be lost cannot cover just 95 %: it is on the safe side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from semlink.flowgraphs.comparison import psnr_margin
from semlink.flowgraphs.comparison.margins import change_percent, mean_psnr_margin
from semlink.phy.metrics import bounded_mean

LOST = 0.08
RUNS = 500
LEAST = 0.95 - 0.015 - 3 * math.sqrt(0.95 * 0.05 / RUNS)
Pair = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Squared errors of two codecs by the fades' Es/N0."""


def spreads(esno: np.ndarray, floor: float, steep: float) -> np.ndarray:
    """A code that spreads: from nothing received down to its floor."""
    return floor + (LOST - floor) / (1 + esno) ** steep


def networks(esno: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return spreads(esno, 0.001, 1.2), spreads(0.8 * esno, 0.0015, 1.15)


def one_digital(esno: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return spreads(esno, 0.001, 1.2), np.where(esno < 3.0, LOST, 0.0005 + 0.03 / (1 + esno))


def both_digital(esno: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.where(esno < 0.5, LOST, 0.002), np.where(esno < 1.0, LOST, 0.0012)


def draw(pair: Pair, mean_db: float, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Receptions of images that differ, over fades that both codecs share."""
    rng = np.random.default_rng(seed)
    errors = pair(10 ** (mean_db / 10) * rng.exponential(size=count))
    first, second = (np.minimum(one * np.exp(0.1 * rng.standard_normal(count)), LOST) for one in errors)
    return first, second


def sets(pair: Pair, mean_db: float, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    first, second = draw(pair, mean_db, RUNS * count, seed=1)
    return list(zip(first.reshape(RUNS, count, 1), second.reshape(RUNS, count, 1), strict=True))


CASES = [
    (networks, 10.0, 48, False),
    (networks, 20.0, 48, False),
    (networks, 20.0, 200, False),
    (one_digital, 20.0, 48, True),
    (both_digital, 10.0, 200, True),
]


@pytest.mark.parametrize(("pair", "mean_db", "count", "alone"), CASES)
def test_margins_cover(pair: Pair, mean_db: float, count: int, alone: bool) -> None:
    """Of PSNR from the mean squared error, of the images' own, and of a distance of which 1 is the worst."""
    first, second = draw(pair, mean_db, 2_000_000)
    pooled, each = 10 * math.log10(second.mean() / first.mean()), float((10 * np.log10(second / first)).mean())
    percent = 100 * (first.mean() / second.mean() - 1)
    held = np.zeros(3)
    for first, second in sets(pair, mean_db, count):
        found = psnr_margin(first, second, fades=True, worst=LOST, alone=alone)
        mean = mean_psnr_margin(first, second, fades=True, worst=LOST, alone=alone)
        distance = change_percent(first / LOST, second / LOST, fades=True, alone=alone)
        shown = ((found, pooled), (mean, each), (distance, percent))
        held += np.array([one.low <= truth <= one.high for one, truth in shown])
    assert (held / RUNS >= LEAST).all(), held / RUNS


def test_what_was_seen_alone_does_not_hold() -> None:
    """The twin: at 20 dB, where one fade in a hundred decides, what was printed before covers three times in four."""
    first, second = draw(networks, 20.0, 2_000_000)
    truth, held = 10 * math.log10(second.mean() / first.mean()), 0
    for one, other in sets(networks, 20.0, 48):
        influence = 10 / math.log(10) * (other / other.mean() - one / one.mean())
        spread, value = bounded_mean(influence), 10 * math.log10(other.mean() / one.mean())
        held += value + spread.low <= truth <= value + spread.high
    assert held / RUNS < 0.85


def test_of_much_they_are_hardly_wider() -> None:
    """1,000 receptions at 0 dB, where no fade decides: within a tenth of what was seen alone."""
    one, other = (values[:, None] for values in draw(networks, 0.0, 1000))
    found = psnr_margin(one, other, fades=True, worst=LOST)
    influence = 10 / math.log(10) * (other / other.mean() - one / one.mean())
    seen = bounded_mean(influence)
    assert found.high - found.low == pytest.approx(seen.high - seen.low, rel=0.1)


def test_few_receptions_have_none() -> None:
    one, other = (values[:, None] for values in draw(networks, 10.0, 9))
    for found in (psnr_margin(one, other, fades=True), mean_psnr_margin(one, other, fades=True)):
        assert math.isnan(found.low)
        assert math.isfinite(found.value)
    exact = np.concatenate([one, [[0.0]]]), np.concatenate([other, [[0.0]]])
    assert math.isnan(mean_psnr_margin(*exact, fades=True, worst=LOST, alone=True).low)
