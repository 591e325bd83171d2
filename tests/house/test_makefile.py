"""`make test` and `make test-fast` with programs that do nothing: what is compiled first, and what Ctrl-C ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELLS = [path for name in ("sh", "bash") if (path := shutil.which(name))]
WARMS = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
with Path("done").open("a") as done:
    done.write("warm\\n")
try:
    time.sleep({sleep})
except KeyboardInterrupt:
    pass
sys.exit(2)
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def folder_of(tmp_path: Path, sleep: float) -> Path:
    """A clone, with a space in its path, whose Python only says that it was asked, and fails."""
    folder = tmp_path / "a clone"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "warms.py").write_text(WARMS.format(sleep=sleep))
    programs = {"python": f"exec '{sys.executable}' warms.py", "pytest": "echo tests >>done", "mypy": "exit 0"}
    for name in ("python", "pytest", "mypy", "ruff", "lint-imports"):
        path = folder / ".venv" / "bin" / name
        path.write_text(f"#!/bin/sh\n{programs.get(name, 'exit 0')}\n")
        path.chmod(0o755)
    (folder / ".venv" / ".installed").touch()
    return folder


def make(folder: Path, target: str, shell: str) -> subprocess.Popen[bytes]:
    words = ["make", target, f"SHELL={shell}", f"PYTHON={sys.executable}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    null = subprocess.DEVNULL
    return subprocess.Popen(words, cwd=folder, env=environment, start_new_session=True, stdout=null, stderr=null)


def done(folder: Path) -> list[str]:
    return (folder / "done").read_text().split() if (folder / "done").exists() else []


@pytest.mark.parametrize("target", ["test", "test-fast"])
def test_what_cannot_be_compiled_first_is_left_to_the_tests_and_is_tried_once(target: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 0)
    for expected in (["warm", "tests"], ["warm", "tests", "tests"]):
        assert make(folder, target, SHELLS[0]).wait(60) == 0
        assert done(folder) == expected


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("target", ["test", "test-fast"])
def test_an_interruption_is_one_of_all(target: str, shell: str, tmp_path: Path) -> None:
    """Of pytest too, which ends with a status then and is followed by the next command where nobody says otherwise."""
    folder = folder_of(tmp_path, 60)
    run = make(folder, target, shell)
    until = time.monotonic() + 60
    while not done(folder) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.1)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(30) != 0
    assert done(folder) == ["warm"]
    assert not (folder / ".venv" / ".warm").exists()
