"""The target of a receiver's content, as the header tells it."""

from __future__ import annotations

import math

import pytest

from semlink.neural.repeated import _NEVER, _step


@pytest.mark.parametrize("target", [1.0, 0.5, 1e-6, 1e-28])
def test_a_step_asks_for_no_more(target: float) -> None:
    told = math.exp(-_step(target) / 1000)
    assert target <= told * (1 + 1e-12) <= 1.002 * target


def test_only_no_target_at_all_asks_for_every_round() -> None:
    """However little noise there is: else nothing would be enough where the steps end."""
    assert _step(1e-40) == _NEVER - 1
    assert _step(0.0) == _NEVER
