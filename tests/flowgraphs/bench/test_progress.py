"""A bench of a quarter of an hour tells a log what it is at."""

from __future__ import annotations

import pytest

from semlink.flowgraphs.bench import codes
from semlink.flowgraphs.bench.codes import Decoder, measure_decoders
from semlink.phy import progress


def test_the_decoders_are_told_one_by_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    row = Decoder("a", 0.0, 1.0, None, 1.0, 1.0, 1, 0.0, 0.0, None)

    def missing() -> Decoder:
        raise ImportError("pyldpc is not installed")

    monkeypatch.setattr(codes, "FIVE_G", ((8448, 12672, 3.03, 60),))
    monkeypatch.setattr(codes, "_five_g", lambda *_: row)
    monkeypatch.setattr(codes, "_gallager", missing)
    monkeypatch.setattr(codes, "_convolutional", lambda: row)
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    monkeypatch.setattr(progress, "BETWEEN_S", 0.0)
    assert measure_decoders() == [row, row]
    told = capsys.readouterr().err
    assert "measuring: 0 of 3, 5G LDPC (8448, 12672); " in told
    assert "measuring: 2 of 3, convolutional; " in told
    assert "left out: pyldpc is not installed" in told
