"""What is stored against Sionna's published block error rates: points, sizes, and what a better decoder brings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from semlink.flowgraphs.bench import published, run_published
from semlink.flowgraphs.bench.published import published_points


def test_the_stored_curves_are_ahead_of_most_published_points(capsys: pytest.CaptureFixture[str]) -> None:
    run_published(as_json=True)
    told = json.loads(capsys.readouterr().out)
    *sizes, every = told["ahead"]
    assert [row["k"] for row in sizes] == ["100", "500", "1000", "2000"]
    assert sum(row["points"] for row in sizes) == every["points"] > 300
    assert 0.15 < every["median_db"] < 0.5
    assert every["quartiles_db"][0] > 0
    assert all(gain["percent"] >= 0 for gain in told["throughput"])
    run_published(as_json=False)
    assert "information on average" in capsys.readouterr().out


def test_a_point_is_compared_at_its_own_block_error_rate() -> None:
    from semlink.baselines.bler import curve

    one = next(iter(published_points()))
    level = curve(one.mcs, one.k).esno_db(one.bler) + one.db
    assert np.isclose(level, -5 + 25 / 14 * round((level + 5) * 14 / 25))  # on their grid of Es/N0


def test_without_sionnas_tables_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"PDSCH_table1.json is not among the files of Sionna"):
        list(published_points())
