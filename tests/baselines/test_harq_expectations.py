"""What is shared between rounds, schemes and lengths gives what each alone does."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from semlink.baselines.blocks import Plan, plan_blocks
from semlink.baselines.harq import Harq, _Drawn, _mean_failures, _spread, round_failures
from semlink.baselines.information import effective_esno_db
from semlink.baselines.mcs import parse_mcs


@pytest.fixture(params=["nr1-9", "nr2-19"])
def plan(request: pytest.FixtureRequest) -> Plan:
    return plan_blocks(300, parse_mcs(request.param), "nr")


@pytest.mark.parametrize("combining", ["ir", "chase"])
def test_fewer_rounds_are_the_first_of_more(plan: Plan, combining: Literal["ir", "chase"]) -> None:
    esno = np.random.default_rng(0).exponential(3.0, (5, 4, plan.symbols))
    versions = Harq(4, combining).versions
    whole = round_failures(plan, versions, esno)
    assert whole.shape == (5, 4)
    for t in (1, 2, 3):
        np.testing.assert_allclose(round_failures(plan, versions[:t], esno[:, :t]), whole[:, :t], atol=1e-12)


def test_drawn_fades_are_those_of_each_round(plan: Plan) -> None:
    """With others' channel uses between the rounds, which count for nothing; of an order that is looked up twice."""
    harq, rng = Harq(3, delay=40), np.random.default_rng(1)
    esno = rng.exponential(4.0 if plan.mcs.order == 4 else 15.0, (6, 3 * plan.symbols + 2 * 40))
    drawn, step = _Drawn(esno), plan.symbols + 40
    rounds = np.stack([esno[:, t * step : t * step + plan.symbols] for t in range(3)], axis=1)
    expected = round_failures(plan, harq.versions, rounds).mean(axis=0)
    for _ in range(2):
        np.testing.assert_allclose(_mean_failures(plan, harq, drawn), expected, atol=1e-12)
    assert np.ptp(expected) > 0.01  # says something
    # One level stands for a round by mutual information, over the symbols that are looked at.
    levels = effective_esno_db(plan.mcs, rounds[..., _spread(plan.symbols)])
    np.testing.assert_allclose(
        round_failures(plan, harq.versions, 10 ** (levels[..., None] / 10)).mean(axis=0), expected, atol=1e-9
    )


def test_fades_that_hold_a_round_are_one_level(plan: Plan) -> None:
    levels = np.array([[2.0, 9.0], [30.0, 1.0]])
    drawn = _Drawn(np.repeat(levels, plan.symbols, axis=1))
    expected = round_failures(plan, Harq(2).versions, levels[..., None]).mean(axis=0)
    np.testing.assert_array_equal(_mean_failures(plan, Harq(2), drawn), expected)
