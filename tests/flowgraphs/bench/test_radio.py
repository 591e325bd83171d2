"""The bench of the radio side, on little work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semlink.flowgraphs.bench import radio as bench_radio
from semlink.flowgraphs.bench import run_radio
from semlink.flowgraphs.bench.radio import worker_process

pytest.importorskip("zmq", reason="pyzmq is not installed")


@pytest.mark.slow
def test_figures_belong_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_radio, "CODECS", ("deepjscc",))
    for name, value in (("SIDE", 32), ("IMAGES", 6), ("CALLS", 3)):
        monkeypatch.setattr(bench_radio, name, value)
    out = tmp_path / "new" / "radio.json"
    run_radio(threads=1, as_json=True, out=out)
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(out.read_text())
    (codec,) = told["codecs"]
    assert (told["threads"], codec["codec"], codec["size"], codec["images"]) == (1, "deepjscc", "32x32", 6)
    assert 0 < codec["encode_symbols_per_s"] <= 1.2 * codec["encode_symbols_per_core_s"]  # of a worker of one thread
    assert 0 < codec["decode_symbols_per_s"] <= 1.2 * codec["decode_symbols_per_core_s"]
    assert 0 < codec["end_to_end_ms"] <= codec["end_to_end_worst_ms"]
    assert {row["what"] for row in told["receivers"]} == {"sc", "ofdm"}
    assert all(row["found"] == row["bursts"] for row in told["receivers"])


def test_a_worker_that_does_not_start_says_why() -> None:
    with pytest.raises(ValueError, match="--batch 0 must be at least 1"), worker_process(["--batch=0"]):
        pass
