"""Block error rates on both sides of a change of base graph: sizes that were not stored, and none across it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from semlink.baselines.bler import SCORES, Curve, curve, curves, filler_costs, gap_db
from semlink.baselines.mcs import MCS, NR_SCHEMES
from semlink.baselines.waterfall import FILLED, block_sizes, code_of, measure_point

Z = 4.5
NEAR_DB = 0.03
"""By how much a curve may be off between its sizes."""
(ISSUE,) = [mcs for mcs in NR_SCHEMES if str(mcs) == "16qam-490/1024"]
MIDDLE = [mcs for mcs in NR_SCHEMES if 0.25 < mcs.rate <= 0.67]
HIGH = [mcs for mcs in NR_SCHEMES if mcs.rate > 0.67]


def off(mcs: MCS, k: int, predicted: Curve, bler: float = 0.2, blocks: int = 500) -> bool:
    """Whether blocks of k bits are lost at another rate than a curve says, by more than chance and 0.03 dB."""
    level = curve(mcs, k).esno_db(bler)
    got = measure_point(mcs, k, level, seed=1, most_blocks=blocks)
    low, high = (float(predicted.bler(level + shift)) for shift in (NEAR_DB, -NEAR_DB))
    error = Z * math.sqrt(bler * (1 - bler) / got.blocks)
    return not low - error < got.bler < high + error


def across(mcs: MCS, k: int, below: int, above: int) -> Curve:
    """The line between two stored sizes of different base graphs, as it would be without a look at them."""
    share = math.log(k / below) / math.log(above / below)
    stored = curves()[mcs]
    return Curve((1 - share) * stored[below].levels_db + share * stored[above].levels_db)


@pytest.mark.parametrize("k", [3800, 3900])
def test_a_size_that_is_not_stored_is_foretold_on_either_side(k: int) -> None:
    assert k not in block_sizes(ISSUE)
    assert not off(ISSUE, k, curve(ISSUE, k))
    assert off(ISSUE, k, across(ISSUE, k, 2048, 4224))


@pytest.mark.parametrize("k", [300, 330])
def test_so_it_is_above_rate_067(k: int) -> None:
    mcs = HIGH[3]
    assert code_of(mcs, k).base_graph == (2 if k <= 308 else 1)
    assert not off(mcs, k, curve(mcs, k), blocks=4000)


def test_sizes_near_each_change_are_stored_on_both_sides() -> None:
    for mcs in (*MIDDLE, *HIGH):
        last = 3840 if mcs in MIDDLE else 308
        graphs = {size: code_of(mcs, size).base_graph for size in block_sizes(mcs)}
        assert code_of(mcs, last).base_graph == 2
        assert code_of(mcs, last + 1).base_graph == 1
        below, above = max(k for k in graphs if graphs[k] == 2), min(k for k in graphs if graphs[k] == 1)
        assert last / below < 1.21
        assert above / (last + 1) < (1.11 if mcs in MIDDLE else 3.4)


@pytest.mark.parametrize("mcs", MIDDLE, ids=str)
def test_the_distance_from_capacity_is_smooth_on_either_side_but_for_fillers(mcs: MCS) -> None:
    assert abs(gap_db(mcs, 3840) - gap_db(mcs, 3700)) < 0.03
    assert abs(gap_db(mcs, 4224) - gap_db(mcs, 3841)) < 0.03
    assert code_of(mcs, 4224).fillers == 0
    assert code_of(mcs, 3900).fillers == 22 * 192 - 3900
    assert abs(gap_db(mcs, 3900) - gap_db(mcs, 3841)) < 0.2


def test_filler_bits_cost_what_the_sizes_with_many_of_them_show() -> None:
    costs = filler_costs()
    assert {str(mcs) for mcs in costs} == {*FILLED}
    assert all(-2 < db < 3 for db in costs.values())
    assert gap_db(ISSUE, 3900) > gap_db(ISSUE, 3841) + 0.05  # one bit in 13 is a filler, and one in 125
    for mcs in NR_SCHEMES:
        if str(mcs) in FILLED:  # what is stored is what is foretold there
            assert gap_db(mcs, 4226) == pytest.approx(gap_db(mcs, 4225), abs=0.03)


def test_between_sizes_the_distance_from_capacity_is_in_proportion_to_the_logarithm() -> None:
    """The rate of 700 bits in whole symbols is not that of 512 or 1024: what is between is the distance alone."""
    mcs, share = NR_SCHEMES[20], math.log(700 / 512) / math.log(2)
    assert code_of(mcs, 700).base_graph == 2  # where fillers cost nothing
    expected = (1 - share) * gap_db(mcs, 512) + share * gap_db(mcs, 1024)
    assert gap_db(mcs, 700) == pytest.approx(expected, abs=1e-6)
    assert np.all(np.diff(curve(mcs, 700).bler(np.linspace(0, 20, 50))) <= 0)
    assert float(ndtr(SCORES[0])) < 1e-6


def test_fillers_whose_cost_was_not_measured_cost_what_they_do_at_the_nearest_rate() -> None:
    """52 of 33,840 blocks of a photograph's 8,064 bits were lost at 4 dB where a sum without them foretold 12."""
    (mcs,) = [one for one in NR_SCHEMES if str(one) == "16qam-378/1024"]
    assert mcs not in filler_costs()
    assert 0.0008 < float(curve(mcs, 8064).bler(4.0)) < 0.003
