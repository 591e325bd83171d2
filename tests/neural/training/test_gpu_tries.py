"""`neural/recipes/gpu.sh`: what was tried is not done, unknown names are refused, and it can be stopped."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STUB = """#!/bin/bash
# In place of semlink: writes weights, or is interrupted as by Ctrl-C, which semlink answers by an exit status.
echo "$@" >>"$LOG"
[[ ${INTERRUPTED:-} ]] && { kill -INT $PPID; exit 130; }
mkdir -p "$4" && touch "$4/$(basename "$4").safetensors"
"""


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "stub").write_text(STUB)
    (tmp_path / "stub").chmod(0o755)
    return {"SEMLINK": str(tmp_path / "stub"), "LOG": str(tmp_path / "log"), "OUT": str(tmp_path / "runs")}


def script(*words: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {**{name: value for name, value in os.environ.items() if name != "OUT"}, **given}
    command = ["neural/recipes/gpu.sh", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def lines(given: dict[str, str]) -> list[str]:
    return Path(given["LOG"]).read_text().splitlines()


def test_what_was_tried_is_not_done(given: dict[str, str]) -> None:
    stages = ["task-distil-gpu", "task-gpu"]
    for words in (["--steps", "3"], ["--steps", "3"], [], []):
        assert script(*words, *stages, **given).returncode == 0
    assert ["steps=3" in line for line in lines(given)] == [True, True, False, False]


def test_tries_have_a_folder_of_their_own() -> None:
    assert " --out runs/try/adjscc " in script("--dry-run", "--steps", "3", "adjscc").stdout
    assert " --out runs/adjscc " in script("--dry-run", "adjscc").stdout


def test_a_name_that_it_does_not_know_is_refused(given: dict[str, str]) -> None:
    for name in ("swin", "swin-gp", "run"):
        refused = script("adjscc", name, **given)
        assert refused.returncode == 2
        assert refused.stderr.startswith(f"gpu.sh: {name} must be one of: swin-gpu swin-photo-gpu adjscc ")
    assert not Path(given["LOG"]).exists()


def test_an_interruption_is_not_for_one_recipe_alone(given: dict[str, str]) -> None:
    stopped = script("adjscc", "prompt-32-gpu", INTERRUPTED="yes", **given)
    assert stopped.returncode == 130
    assert "stopped; the same call goes on" in stopped.stderr
    assert len(lines(given)) == 1
