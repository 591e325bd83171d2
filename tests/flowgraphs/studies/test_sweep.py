"""What `semlink sweep` asks and says before it begins."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from semlink.flowgraphs.cli import studies as commands
from semlink.flowgraphs.studies import Study, run_study
from semlink.flowgraphs.studies.runner import estimate_seconds


def test_resources_are_read() -> None:
    assert commands.parse_resources(["GPU=1", "memory=2e9"]) == {"GPU": 1, "memory": 2e9}
    for text in ("GPU", "GPU=x", "=1", "GPU=0", "GPU=inf"):
        with pytest.raises(ValueError, match="give NAME=AMOUNT"):
            commands.parse_resources([text])


def test_a_very_large_grid_is_asked_about(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_semlink: Callable[..., tuple[int, str, str]],
    small: Callable[..., Study],
    write_study: Callable[[Study, Path], Path],
) -> None:
    monkeypatch.setattr(commands, "MANY", 2)
    path = write_study(small(), tmp_path / "study.toml")
    words = ["sweep", str(path), "--out", str(tmp_path / "out"), "--workers", "0"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    status, _, said = run_semlink(*words)
    assert status == 2
    assert "3 points, about" in said
    assert "--yes goes ahead" in said
    status, told, _ = run_semlink(*words, "--yes", "--json")
    assert status == 0
    assert json.loads(told)["points"] == 3
    with pytest.raises(ValueError, match="are more than 2000000"):
        Study(esno_db="0:99:0.1", ratios=[1 / (n + 1) for n in range(2100)])


def test_the_estimate_is_of_the_right_size(small: Callable[..., Study]) -> None:
    study = small(realisations=20)
    said = estimate_seconds(study)
    begun = time.perf_counter()
    run_study(study, workers=0)
    assert said / 8 < time.perf_counter() - begun < said * 8
    assert [commands.duration(s) for s in (3.2, 600, 7200, 864000)] == [
        "3.2 seconds",
        "10 minutes",
        "2 hours",
        "10 days",
    ]
