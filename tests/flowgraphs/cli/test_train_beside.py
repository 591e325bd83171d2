"""`semlink train` beside other work: it gives way, tells how far it is where no terminal is, and needs no Sionna."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semlink.neural.training import Data, loop
from semlink.phy import progress

Run = Callable[..., tuple[int, str, str]]
RECIPE = 'name = "tiny"\nnetwork = {cell_symbols = 8, widths = [4, 6]}\nsteps = 4\nbatch = 4\ngroups = 2\n'


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    small = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    monkeypatch.setattr(loop, "training_images", lambda _: Data(small, torch.empty(0, 3, 64, 64).byte(), small[:0]))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return ["train", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "out"), "--threads", "1"]


def test_it_gives_way_if_told(words: list[str], run_semlink: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "nice", lambda more: asked.append(more) or 0)
    assert run_semlink(*words, "--nice", "19", "--quiet")[0] == 0
    assert asked == [19]
    assert run_semlink(*words, "--quiet")[0] == 0
    assert asked == [19]
    assert run_semlink(*words, "--nice", "20")[0] == 2


def test_the_time_between_checkpoints_is_an_option(words: list[str], run_semlink: Run, tmp_path: Path) -> None:
    assert run_semlink(*words, "--checkpoint-minutes", "0", "--quiet")[0] == 0
    assert [line.split(",")[0] for line in (tmp_path / "out" / "log.csv").read_text().split()[1:]] == list("1234")
    assert run_semlink(*words, "--checkpoint-minutes", "-1")[0] == 2


def test_lines_tell_how_far_it_is_where_no_terminal_is(
    words: list[str], run_semlink: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    monkeypatch.setattr(progress, "BETWEEN_S", 0.0)
    status, out, err = run_semlink(*words)
    assert status == 0
    told = [line for line in err.splitlines() if line.startswith("training: ")]
    assert [line.partition(",")[0] for line in told[:4]] == [f"training: {i} of 4" for i in range(1, 5)]
    assert "loss 0." in told[0] or "loss " in told[0]
    assert out.startswith("weights: ")


def test_neither_the_command_nor_a_training_needs_sionna(tmp_path: Path) -> None:
    """A machine with a GPU may have PyTorch and little else."""
    code = """
import sys
sys.modules["sionna"] = None
import torch
from semlink.flowgraphs.cli import main
from semlink.neural.training import Data, loop
small = torch.zeros(8, 3, 32, 32, dtype=torch.uint8)
loop.training_images = lambda _: Data(small, torch.empty(0, 3, 64, 64).byte(), small[:0])
sys.argv = ["semlink", "train", "tiny.toml", "--out", "out", "--threads", "1", "--quiet"]
main()
"""
    (tmp_path / "tiny.toml").write_text(RECIPE)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "tiny.safetensors").is_file()
