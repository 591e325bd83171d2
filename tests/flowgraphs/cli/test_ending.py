"""SIGTERM and full disks: no debris, the earlier file stays, and what is kept is said."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from semlink.flowgraphs.cli import studies as study_commands
from semlink.flowgraphs.studies import plot_psnr, save_figure, write_report
from semlink.flowgraphs.studies.checked import write_row
from semlink.flowgraphs.studies.plan import Plan
from semlink.phy.documents import written_whole

Command = Callable[..., tuple[int, str, str]]
STUDY = "codecs = ['deepjscc']\nesno_db = [5]\nimages = ['samples']\n"


def terminate(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def keep(folder: Path) -> None:
    """Results of one point."""
    plan = Plan(codecs=["deepjscc"], esno_db=[5.0], ratios=[0.5], name="study").to_dict()
    about = {"format": 1, "study": plan, "images": {}}
    row: dict[str, Any] = {"codec": "deepjscc", "spec": "awgn", "asked_ratio": 0.5, "esno_db": 5.0, "psnr_db": 30.0}
    row |= {"error": "", "pictures": {}, "images": 1, "realisations": 1, "failed": 0}
    folder.mkdir()
    (folder / "study.json").write_text(json.dumps(about))
    (folder / "points.jsonl").write_text(write_row("deepjscc|awgn|0.5|5", row))


def test_a_sweep_says_what_is_kept(run_semlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path / "out")
    (tmp_path / "study.toml").write_text(STUDY)
    monkeypatch.setattr(study_commands, "run_study", terminate)
    before = signal.getsignal(signal.SIGTERM)
    status, _, error = run_semlink("sweep", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out"))
    assert status == 143
    assert f"1 points are kept in {tmp_path / 'out'}; the same command goes on from there" in error.replace("\n", " ")
    assert "semlink: terminated" in error
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_half_written_goes(run_semlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.html"
    out.write_text("the earlier one")

    def half(*_: object) -> None:
        with written_whole(out) as partial:
            partial.write_text("half of")
            terminate()

    monkeypatch.setattr(study_commands, "write_report", half)
    status, _, error = run_semlink("report", str(tmp_path), "--out", str(out))
    assert (status, error) == (143, "semlink: terminated\n")
    assert out.read_text() == "the earlier one"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_ctrl_c_is_still_an_interruption(run_semlink: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(study_commands, "write_report", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    assert run_semlink("report", str(tmp_path), "--out", "x.html")[::2] == (130, "semlink: interrupted\n")
    signal.signal(signal.SIGINT, before)


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(Path, "replace", full)


def test_a_full_disk_leaves_the_earlier_report_and_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path / "results")
    row = {"codec": "a", "spec": "awgn", "esno_db": 5.0, "asked_ratio": 0.5, "psnr_db": 30.0}
    figure = plot_psnr(pd.DataFrame([row]))
    for name in ("a.html", "a.svg"):
        (tmp_path / name).write_text("the earlier one")
    fill_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path / "results", tmp_path / "a.html")
    with pytest.raises(OSError, match="No space left"):
        save_figure(figure, tmp_path / "a.svg")
    assert {path.name for path in tmp_path.iterdir()} == {"results", "a.html", "a.svg"}
    assert {(tmp_path / name).read_text() for name in ("a.html", "a.svg")} == {"the earlier one"}
