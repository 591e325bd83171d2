"""Where further points are put, and when a point is known well enough."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from semlink.flowgraphs.studies import Progress, Refine, Stop, Study, run_study


def interrupted(_: Progress) -> None:
    """Ctrl-C before anything is sent."""
    raise KeyboardInterrupt


def test_an_error_amid_a_curve_ends_its_refinement_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Callable[..., Study], own_code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = own_code.replace("LEVEL", "received.n0.mean().clamp(0, 1).item()")
    broken = broken.replace("    def decode(self, received):", "    def decode(self, received):\n        FAULT")
    fault = "if 0.2 < received.n0.mean() < 0.3: raise RuntimeError('not at 6 dB')"
    Path("faulty_of_mine.py").write_text(broken.replace("FAULT", fault))
    study = small(codecs=["faulty_of_mine:Grey"], refine=Refine(psnr_db=0.01, finest_db=1.0))
    table = run_study(study, tmp_path / "out", workers=0)
    assert list(table[table["error"] != ""]["esno_db"]) == [6.0]
    sent: list[Progress] = []
    run_study(study, tmp_path / "out", workers=0, progress=sent.append)
    assert [state.done for state in sent][-1] == [state.total for state in sent][-1] == len(table)
    lines = (tmp_path / "out" / "points.jsonl").read_text().splitlines()
    assert len(lines) == len(table) + 1  # what failed is sent again, and that alone
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "out", workers=0, progress=interrupted)
    assert len(pd.read_parquet(tmp_path / "out" / "table.parquet")) == len(table)  # with the row of the error


def test_a_short_run_of_luck_does_not_stop_a_point() -> None:
    row = {"psnr_db_low": 29.99, "psnr_db_high": 30.01, "images": 1, "realisations": 2, "block_errors": 0}
    stop = Stop(psnr_ci_db=0.1)
    assert not stop.is_met(row)
    assert stop.is_met({**row, "realisations": 11})
    assert stop.is_met({**row, "images": 10, "realisations": 1})
    assert not stop.is_met({**row, "images": 10, "psnr_db_low": math.nan})


def test_further_points_come_where_a_curve_bends() -> None:
    def row(esno_db: float, psnr_db: float, failed: int = 0, error: str = "") -> dict[str, Any]:
        return {
            "esno_db": esno_db, "psnr_db": psnr_db, "failed": failed, "images": 2, "realisations": 2, "error": error
        }  # fmt: skip

    refine = Refine(psnr_db=3.0, failed=0.25, finest_db=0.5)
    assert refine.further([row(0, 10), row(2, 12), row(4, 20), row(6, 20)]) == [3]
    assert refine.further([row(4, 20), row(0, 10), row(2, 12, failed=2)]) == [1, 3]
    assert refine.further([row(0, 10), row(1, 20), row(1.5, 30)]) == [0.5]
    assert refine.further([row(0, 10), row(1, 20, error="x"), row(2, 11)]) == []
    assert Refine().further([row(0, 10), row(2, 30)]) == []


def test_the_cliff_is_found(small: Callable[..., Study]) -> None:
    study = small(codecs=["jpeg-ldpc-qam:16qam-1/2"], esno_db=[0, 20], refine=Refine(5.0, finest_db=1.0))
    table = run_study(study, workers=0)
    assert len(table) > 4
    steps = table["esno_db"].diff().to_numpy()[1:]
    falls = table["psnr_db"].diff().abs().to_numpy()[1:]
    assert np.all((falls <= 5) | (steps < 2))
    assert steps[np.argmax(falls)] == min(steps)


def test_a_point_stops_when_it_is_known_well_enough(small: Callable[..., Study]) -> None:
    options: dict[str, Any] = {"esno_db": [8], "realisations": 2, "channels": ["rayleigh"]}
    wide = run_study(small(**options, stop=Stop(psnr_ci_db=3.0, most=40)), workers=0).iloc[0]
    narrow = run_study(small(**options, stop=Stop(psnr_ci_db=1.0, most=40)), workers=0).iloc[0]
    assert 2 <= wide["realisations"] < narrow["realisations"] <= 40
    assert (narrow["psnr_db_high"] - narrow["psnr_db_low"]) / 2 <= 1.0
    digital: dict[str, Any] = {"codecs": ["jpeg-ldpc-qam:16qam-1/2"], "esno_db": [0], "stop": Stop(block_errors=10)}
    row = run_study(small(**digital), workers=0).iloc[0]
    assert 10 <= row["block_errors"] < 10 + 4
    assert row["outage"] == row["failed"] / (row["images"] * row["realisations"])
