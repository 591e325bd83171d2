"""`--out` names a file where a folder is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]


def test_a_file_in_the_place_of_the_folder(run_semlink: Run, picture: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    where = str(tmp_path / "out")
    status, _, error = run_semlink("compare", picture, "--codec", "deepjscc", "--esno", "10", "--out", where)
    assert status == 2
    assert f"--out {where}: cannot be written (a file is there); give a folder that can" in error
    assert (tmp_path / "out").read_text() == "mine"
