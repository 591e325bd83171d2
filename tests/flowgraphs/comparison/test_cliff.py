"""The cliff is told between two Es/N0 that were sent, and never nearer than that."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from semlink.flowgraphs.comparison import Cliff, find_cliff


def sent(failed: list[int], images: int = 10, step: float = 2.0) -> pd.DataFrame:
    """One codec's rows at 0, `step`, 2·`step` … dB."""
    levels = [step * i for i in range(len(failed))]
    return pd.DataFrame({"esno_db": levels, "failed": failed, "images": images, "realisations": 1})


@pytest.mark.parametrize(
    ("failed", "cliff"),
    [
        ([10, 10, 0, 0], (2, 4)),
        ([10, 8, 2, 0], (0, 6)),  # of 8 in 10 it is not sure that more than half fail
        ([10, 4, 6, 0], (0, 6)),  # the last crossing
        ([10, 0, 10, 0], (4, 6)),
        ([10, 4, 0, 6], None),
        ([0, 0, 0, 0], None),
        ([10, 10, 10, 10], None),
        ([5, 4, 4, 0], None),
        ([10], None),
    ],
)
def test_it_lies_between_surely_more_and_surely_fewer(failed: list[int], cliff: tuple[float, float] | None) -> None:
    assert find_cliff(sent(failed)) == cliff
    assert find_cliff(sent(failed).iloc[::-1]) == cliff


def test_of_five_transmissions_none_is_told() -> None:
    assert find_cliff(sent([5, 5, 0, 0], images=5)) is None
    assert find_cliff(sent([6, 6, 0, 0], images=6)) == Cliff(2, 4)


def test_it_holds_the_true_one_however_steep_it_is() -> None:
    """Cliffs anywhere within a step of 2 dB, of 0.1 to 3 dB, 12 transmissions: the bracket holds them nearly always.

    Each end is off where an interval is, in at most 2.5 % of all.
    """
    rng, missed = np.random.default_rng(0), 0
    for _ in range(400):
        true, width = rng.uniform(8, 10), rng.choice([0.1, 1.0, 3.0])
        levels = np.arange(0.0, 21, 2)
        found = find_cliff(sent(rng.binomial(12, stats.norm.sf((levels - true) / width)).tolist(), images=12))
        missed += found is not None and not found.low <= true <= found.high
    assert missed <= 0.05 * 400 + 3 * (400 * 0.05 * 0.95) ** 0.5


def test_it_is_said_in_words() -> None:
    assert str(Cliff(4.0, 6.5)) == "cliff between 4 and 6.5 dB"
    assert Cliff(4.0, 6.5).middle == 5.25
