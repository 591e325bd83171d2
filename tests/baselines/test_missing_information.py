"""What is missing of a constellation's information: single numbers, the ends of the scale, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semlink.baselines.capacity import bicm, bicm_missing, missing_esno_db


@pytest.mark.parametrize("order", [4, 64, 1024])
@pytest.mark.parametrize("esno", [0.0, 1e-7, 3.0, 1e9, math.inf])
def test_one_number_is_as_one_of_many(order: int, esno: float) -> None:
    """Below the table, within it and above it."""
    alone = bicm_missing(order, esno)
    assert alone.shape == ()
    assert float(alone) == bicm_missing(order, np.full((2, 3), esno))[1, 2]
    with np.errstate(divide="ignore"):
        assert float(alone) == pytest.approx(math.log2(order) - float(bicm(order, 10 * np.log10(esno))), abs=1e-4)


def test_the_ends_are_those_of_the_scale() -> None:
    np.testing.assert_array_equal(missing_esno_db(64, np.array([0.0, 6.0])), [math.inf, -math.inf])
    assert bicm_missing(64, np.zeros((0, 4))).shape == (0, 4)


def test_less_than_nothing_cannot_be_missing() -> None:
    with pytest.raises(ValueError, match=r"missing=-0\.1 must be at least 0 bits"):
        missing_esno_db(64, np.array([0.3, -0.1]))
    with pytest.raises(ValueError, match=r"esno=-1\.0 must be at least 0"):
        bicm_missing(64, -1.0)
