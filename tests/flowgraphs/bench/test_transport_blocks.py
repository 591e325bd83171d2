"""Whole transport blocks of NR: measured, and lost as often as an adaptive link expects."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from semlink.baselines.adaptation import failure_at
from semlink.baselines.bler import check_table, needed_db
from semlink.baselines.blocks import plan_of
from semlink.baselines.mcs import parse_mcs
from semlink.baselines.waterfall import Point, measure_point, transport_of, transport_sizes
from semlink.flowgraphs.bench import bler as bench_bler


@pytest.mark.parametrize(
    ("name", "k", "level_db", "blocks"),
    [("nr1-20", 64, 11.8, 1200), ("nr2-24", 64, 22.5, 1200), ("nr1-13", 1024, 5.69, 600), ("nr1-3", 8001, -3.05, 150)],
)
def test_they_are_lost_as_often_as_is_expected(name: str, k: int, level_db: float, blocks: int) -> None:
    """Of one code block and of three; 64 bits at the rate that the scheme has, not that of its symbols, would be off.

    The stored curves have errors of their own, of 0.03 dB or so: 0.02 in a rate of 0.2.
    """
    mcs = parse_mcs(name)
    block = transport_of(mcs, k)
    assert block.payload + block.crc_length == k
    expected = float(failure_at(plan_of(block, mcs), np.array([level_db])))
    assert 0.1 < expected < 0.35
    got = measure_point(mcs, k, level_db, seed=4, most_blocks=blocks, code="nr")
    deviation = math.hypot(math.sqrt(expected * (1 - expected) / got.blocks), 0.02)
    assert abs(got.bler - expected) < 3.5 * deviation
    if k == 64:
        beside = float(failure_at(plan_of(block, mcs), np.array([level_db + 0.45])))  # the twin
        assert abs(got.bler - beside) > 3.5 * deviation


def test_sizes_go_from_one_code_block_to_several() -> None:
    for name in ("nr1-0", "nr1-13", "nr4-26"):
        mcs = parse_mcs(name)
        counts = [transport_of(mcs, k).blocks for k in transport_sizes(mcs)]
        assert counts[0] == 1
        assert counts == sorted(counts)
        assert counts[-1] > 2


def test_the_command_tells_what_is_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mcs = parse_mcs("nr1-13")

    def curve_of(mcs: object, k: int, **options: object) -> list[Point]:
        return [Point(needed_db(parse_mcs("nr1-13"), k) + at, errors, 1000) for at, errors in ((1.0, 500), (2.0, 2))]

    monkeypatch.setattr(bench_bler, "measure_curve", curve_of)
    out = tmp_path / "nr.csv"
    bench_bler.run_bler(schemes=["nr1-13"], sizes=[1048], seed=0, out=out, as_json=True, code="nr")
    (row,) = json.loads(capsys.readouterr().out)
    level = row["expected_db"]
    assert float(failure_at(plan_of(transport_of(mcs, 1048), mcs), np.array([level]))) == pytest.approx(0.01, rel=0.05)
    assert out.read_text().splitlines()[1].startswith("nr,qam,16,490,1048,")
    bench_bler.run_bler(schemes=["nr1-13"], sizes=[1048], seed=0, out=out, as_json=False, code="nr")
    assert "expected (dB)" in capsys.readouterr().out


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="code nr with qam: nothing is stored of it; give --out FILE"):
        bench_bler.run_bler(schemes=["nr1-13"], sizes=[], seed=0, out=None, as_json=True, code="nr")
    with pytest.raises(ValueError, match=r"none of its blocks can be measured: .*does not divide into 3 code blocks"):
        bench_bler.run_bler(schemes=["nr1-13"], sizes=[20_000], seed=0, out=tmp_path / "a", as_json=True, code="nr")
    with pytest.raises(ValueError, match=r"table=x.csv: nr has none of its own"):
        check_table("nr,table=x.csv")
