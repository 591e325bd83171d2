"""What counts as a whole number among parameters, and how another value is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from semlink.phy.parameters import check_whole, is_whole


def test_numpys_are_whole_and_truth_values_are_not() -> None:
    assert all(map(is_whole, (0, -3, 1 << 80, np.int8(5), np.uint64(7))))
    assert not any(map(is_whole, (True, np.True_, 1.0, np.float64(2), "3", None, np.ones(1, int))))


@pytest.mark.parametrize("value", [1, 4, np.int64(4)])
def test_both_ends_are_allowed(value: int) -> None:
    check_whole("taps", value, 1, 4)
    check_whole("taps", 10 * value, 1)


@pytest.mark.parametrize(
    ("value", "limits", "of", "said"),
    [
        (0, (1, 4), "", "taps=0 must be a whole number from 1 to 4"),
        (5, (1, 4), "echoes", "taps=5 must be a whole number of echoes from 1 to 4"),
        (0, (1, None), "", "taps=0 must be a whole number from 1"),
        (True, (1, 4), "", "taps=True must be a whole number from 1 to 4"),
        (2.0, (1, 4), "", "taps=2.0 must be a whole number from 1 to 4"),
        ("2", (1, None), "rows", "taps='2' must be a whole number of rows from 1"),
    ],
)
def test_others_are_refused_in_a_line(value: Any, limits: tuple[int, int | None], of: str, said: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        check_whole("taps", value, *limits, of=of)
