"""The benches, on little work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from semlink.baselines.bler import read_points
from semlink.flowgraphs.bench import codes as bench_codes
from semlink.flowgraphs.bench import run_bler
from semlink.flowgraphs.bench.codes import Decoder, frames
from semlink.flowgraphs.bench.timing import seconds
from semlink.phy.fec import LDPC5G


def test_stored_rates_are_told_with_their_confidence(capsys: pytest.CaptureFixture[str]) -> None:
    run_bler(schemes=["nr1-13"], sizes=[1024, 8448], seed=0, out=None, as_json=True)
    short, long = json.loads(capsys.readouterr().out)
    assert (short["scheme"], short["k"], long["k"]) == ("16qam-490/1024", 1024, 8448)
    assert 0 < long["gap_db"] < short["gap_db"]
    assert long["esno_db"] - long["capacity_db"] == pytest.approx(long["gap_db"], abs=2e-3)
    assert all(point["bler_low"] <= point["bler"] <= point["bler_high"] for point in long["points"])
    run_bler(schemes=["nr1-13"], sizes=[1024], seed=0, out=None, as_json=False)
    assert "16qam-490/1024" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--k 1000: stored are 64, 128"):
        run_bler(schemes=[], sizes=[1000], seed=0, out=None, as_json=False)


def test_a_run_measures_what_a_file_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bler.csv"
    run_bler(schemes=["nr1-9"], sizes=[64], seed=0, out=out, as_json=True)
    first = out.read_text()
    stored = json.loads(capsys.readouterr().out)[0]["points"]
    run_bler(schemes=["nr1-9"], sizes=[64], seed=0, out=out, as_json=True)
    assert out.read_text() == first
    assert json.loads(capsys.readouterr().out)[0]["points"] == stored
    run_bler(schemes=["nr1-9", "nr1-8"], sizes=[64], seed=0, out=out, as_json=True)
    assert len(read_points(out.read_text())) == 2
    assert set(first.splitlines()) < set(out.read_text().splitlines())


def test_the_package_stores_what_the_command_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same counts, on the same kind of processor bit for bit."""
    run_bler(schemes=["nr1-9"], sizes=[64], seed=0, out=None, as_json=True)
    run_bler(schemes=["nr1-9"], sizes=[64], seed=0, out=tmp_path / "bler.csv", as_json=True)
    text = capsys.readouterr().out
    stored, measured = (
        json.loads(part)[0] for part in (text[: text.index("]\n[") + 1], text[text.index("]\n[") + 2 :])
    )
    assert measured["esno_db"] == pytest.approx(stored["esno_db"], abs=0.1)


def test_frames_are_the_same_draws_at_every_level() -> None:
    code = LDPC5G(200, 400)
    (bits, low), (again, high) = frames(code, 0.0, 5), frames(code, 60.0, 5)
    assert torch.equal(bits, again)
    assert torch.equal(code.decode(high), bits)
    assert low.shape == (5, 400)


@pytest.mark.slow
def test_ldpc_against_sionna(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_codes, "FIVE_G", ((200, 400, 1.3, 200),))
    bench_codes.run_codes(as_json=True)
    rows = [Decoder(**row) for row in json.loads(capsys.readouterr().out)]
    assert rows[0].ratio > 20
    assert rows[0].offset_db is not None
    assert rows[0].offset_db < 0.15
    assert 0.05 < rows[0].other_bler < 0.6
    assert all(row.mbps == pytest.approx(row.ratio * row.other_mbps) for row in rows)


def test_seconds_takes_the_shortest() -> None:
    runs: list[int] = []
    assert 0 <= seconds(lambda: runs.append(1), repeats=2) < 0.1
    assert len(runs) == 3
