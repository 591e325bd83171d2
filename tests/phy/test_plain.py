"""What other libraries' numbers, lists and paths become."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from semlink.phy.channels import Rayleigh
from semlink.phy.parameters import check_number
from semlink.phy.plain import plain


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (np.arange(0, 3, 1.5), [0.0, 1.5]),
        (np.float32(0.1), 0.1),
        (np.float64(0.1), 0.1),
        (np.array(3), 3),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("swin"), "swin"),
        (Fraction(1, 4), 0.25),
        (Path("a") / "b.png", "a/b.png"),
        (torch.tensor([0.1, 2.0], requires_grad=True), [0.1, 2.0]),
        (torch.tensor(5), 5),
        (pd.Series([1, 2], index=[7, 8]), [1, 2]),
        (range(3), [0, 1, 2]),
        ((np.int8(1), "a"), (1, "a")),
        ({"widths": np.array([4, 6])}, {"widths": [4, 6]}),
        (True, True),
        (None, None),
        (1 + 2j, 1 + 2j),
    ],
)
def test_values_become_pythons_own(given: object, wanted: object) -> None:
    got = plain(given)
    assert got == wanted
    assert type(got) is type(wanted)
    assert repr(got) == repr(wanted)  # its elements too


def test_what_is_written_down_is_json() -> None:
    assert json.dumps(plain({"a": np.array([0.1, 0.2], np.float32), "b": np.int64(1)})) == '{"a": [0.1, 0.2], "b": 1}'


def test_parameters_of_channels_may_be_numpys() -> None:
    check_number("x", np.float32(1.5), 0, 2)
    check_number("x", Fraction(1, 2), 0, 2)
    for wrong in (True, np.float64("nan"), "1"):
        with pytest.raises(ValueError, match="x="):
            check_number("x", wrong, 0, 2)
    assert Rayleigh(np.int64(16)).labels == Rayleigh(16).labels  # type: ignore[arg-type]
