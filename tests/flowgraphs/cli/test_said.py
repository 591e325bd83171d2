"""What the command says of itself and of how far it is, and what of a module that is not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from semlink.phy import progress

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("words", [[], ["compare"], ["bench"], ["bench", "ldpc"], ["zoo"]])
def test_a_short_question_has_the_long_answer(words: list[str], run_semlink: Run) -> None:
    short, long = run_semlink(*words, "-h"), run_semlink(*words, "--help")
    assert short == long
    assert short[0] == 0
    assert "Usage: semlink" in short[1]


def compared(run_semlink: Run, picture: str, out: Path, *more: str) -> str:
    status, _, said = run_semlink(
        "compare",
        picture,
        "--codec",
        "deepjscc",
        "--esno",
        "10",
        "--realisations",
        "1",
        "--out",
        str(out),
        *more,
    )
    assert status == 0
    return said


def test_quiet_shows_no_progress_and_the_next_run_does(
    run_semlink: Run, picture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    assert "sending" not in compared(run_semlink, picture, tmp_path / "a", "--quiet")
    assert "sending: 1 of 1" in compared(run_semlink, picture, tmp_path / "b")


@pytest.mark.parametrize("words", [["compare", "--codec"], ["check"]])
def test_a_module_that_is_not_there_is_said_to_be_missing(words: list[str], run_semlink: Run) -> None:
    status, _, said = run_semlink(*words, "no_such_module:Thing")
    assert status == 2
    assert "no_such_module:Thing: no module no_such_module: Python finds none of this name" in said
    assert len(said) < 250  # and not a wall of names
    for known in ("swin:fast", "jpeg-ldpc-qam:fast"):
        assert "no module" not in run_semlink("compare", "--codec", known)[2]
