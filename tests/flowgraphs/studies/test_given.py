"""A study takes NumPy's numbers and lists, fractions and paths; its table comes back through a CSV."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from semlink.flowgraphs.studies import Refine, Stop, Study, plot_psnr, plot_quantity

ONE = Study(codecs=["jpeg-ldpc-qam"], esno_db=[0, 1.5], ratios=[0.25], seed=3, images=["a.png"])


def test_numpys_are_taken_as_pythons_own() -> None:
    values: dict[str, Any] = {
        "codecs": np.array(["jpeg-ldpc-qam"]),
        "esno_db": np.arange(0, 3, 1.5, dtype=np.float32),
        "ratios": Fraction(1, 4),
        "seed": np.int64(3),
        "images": Path("a.png"),
    }
    rule: dict[str, Any] = {"psnr_ci_db": np.float32(0.1), "block_errors": np.int64(5)}
    finer: dict[str, Any] = {"failed": Fraction(1, 2)}
    given = Study(**values, stop=Stop(**rule), refine=Refine(**finer))
    wanted = ONE.to_dict() | {
        "stop": {"psnr_ci_db": 0.1, "block_errors": 5, "most": 100, "accuracy_ci": 0.0},
        "refine": {"psnr_db": 0.0, "failed": 0.5, "finest_db": 0.25},
    }
    assert json.dumps(given.to_dict()) == json.dumps(wanted)


@pytest.mark.parametrize("levels", [torch.tensor([0.0, 1.5]), pd.Series([0, 1.5]), (level for level in (0, 1.5))])
def test_levels_of_anything_that_holds_numbers(levels: object) -> None:
    assert Study(codecs=["swin"], esno_db=levels).esno_db == (0.0, 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("stop", True, "stop=True must be a table of: psnr_ci_db"),
        ("refine", 3.0, "refine=3.0 must be a table of: psnr_db"),
        ("stop", [1, 2], r"stop=\[1, 2\] must be a table"),
        ("seed", 10**26, f"seed={10**26} must be a whole number from 0 to {2**63 - 1}"),
        ("realisations", 10**400, "realisations=1000.* must be a whole number from 1 to"),
        ("esno_db", 10**400, "esno_db=1000.* must be numbers of dB"),
        ("esno_db", np.array([1, np.nan]), "esno_db=.* must be numbers of dB"),
        ("seed", np.bool_(True), "seed=True must be a whole number"),
        ("seed", np.float64(1), "seed=1.0 must be a whole number"),
    ],
)
def test_what_is_no_setting_is_told_at_once(field: str, value: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Study(**{"codecs": ["swin"], field: value})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"stop\.psnr_ci_db=1000"):
        Stop(psnr_ci_db=10**400)


def test_a_table_through_a_csv_can_be_plotted(tmp_path: Path) -> None:
    rows = [
        {"codec": "a", "spec": "awgn", "asked_ratio": 1 / 6, "esno_db": level, "psnr_db": 20.0 + level, "error": ""}
        for level in (0.0, 5.0)
    ]
    rows.append({**rows[0], "codec": "b", "error": "ValueError: x"})
    table = pd.DataFrame(rows)
    table.to_csv(tmp_path / "table.csv", index=False)
    for one in (
        table,
        pd.read_csv(tmp_path / "table.csv"),
        table[["codec", "spec", "esno_db", "psnr_db"]].assign(ratio=1),
    ):
        figure = plot_psnr(one)
        assert len(figure.axes[0].lines) == (2 if "error" not in one else 1)
    table[:2].to_csv(tmp_path / "good.csv", index=False)
    assert len(plot_psnr(pd.read_csv(tmp_path / "good.csv")).axes[0].lines) == 1  # without an error at all
    with pytest.raises(ValueError, match="no bler"):
        plot_quantity(table, "bler")
