"""Benchmarks say what they are at: nothing here is measured, only told."""

from __future__ import annotations

import pytest

from semlink.flowgraphs.bench import channels, everything, studies
from semlink.flowgraphs.bench.timing import Measurement
from semlink.phy import progress


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    monkeypatch.setattr(progress, "BETWEEN_S", 0.0)


def test_of_channels(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("seconds", "_flat_seconds", "_ofdm", "_sionna"):
        monkeypatch.setattr(channels, name, lambda *_: 1.0)
    found = channels.measure_channels()
    said = capsys.readouterr().err
    assert [one.what.partition(",")[0].partition(":")[0] for one in found][-1] == "tdl-c"
    assert all(f", {text};" in said for text in channels.FLAT)
    assert f"measuring: {len(found)} of {len(found)}" in said


def test_of_studies(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(studies, "load_images", lambda _: {})
    monkeypatch.setattr(studies, "time_runner", lambda _: (10.0, 1.0))
    monkeypatch.setattr(studies, "sweep", lambda study, *, workers: (float(workers + len(study.images[0])), None))
    found = {one.what: one.value for one in studies.measure_studies(1000, 10)}
    assert found["two workers against one"] == pytest.approx((1 + 10) / (2 + 10))  # "cifar10:10"
    assert "measuring: 2 of 4, two workers" in capsys.readouterr().err


def test_of_everything(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one = [Measurement("a sweep", 1.0, "s")]
    monkeypatch.setattr(everything, "_comparison", lambda: one)
    monkeypatch.setattr(everything, "_links", lambda: one)
    monkeypatch.setattr(everything, "data_folder", lambda: None)
    for name in ("measure_decoders", "measure_channels", "measure_neural"):
        monkeypatch.setattr(everything, name, list)
    everything.run_bench(as_json=True, out=None)
    said = capsys.readouterr()
    assert "measuring: 0 of 2, the default comparison" in said.err
    assert "measuring: 1 of 2, the links" in said.err
    assert said.out.count("a sweep") == 2
