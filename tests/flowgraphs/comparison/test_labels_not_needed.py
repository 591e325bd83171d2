"""Labels are asked for where a codec classifies, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

MODULE = """
import torch
from semlink.phy.link import Decoded, Frame

class Unsaid:
    '''Gives logits without saying of how many classes.'''
    def encode(self, image, n0):
        return Frame(torch.ones(len(image), 2, dtype=torch.complex64), {"payload": 2})
    def decode(self, received):
        return Decoded(received.symbols.real.float())

class Said(Unsaid):
    classes = 2
"""
MIXED = ["shades", "plain.png"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with labels and a picture without."""
    monkeypatch.chdir(tmp_path)
    Path("unsaying.py").write_text(MODULE)
    for i, path in enumerate(("shades/a/0.png", "shades/b/0.png", "plain.png")):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 40 + 40 * i, np.uint8)).save(path)


def test_codecs_of_images_take_what_does_not_go_together(run_semlink: Run) -> None:
    words = ["--codec", "deepjscc", "--esno", "10", "--out", "out"]
    status, _, err = run_semlink("compare", *MIXED, *words)
    assert status == 0, err
    assert list(pd.read_csv("out/compare.csv")["images"]) == [3]
    Path("study.toml").write_text('images = ["shades", "plain.png"]\ncodecs = ["deepjscc"]\nesno_db = [10]\n')
    status, _, err = run_semlink("sweep", "study.toml", "--out", "results", "--workers", "0")
    assert status == 0, err
    assert list(pd.read_parquet("results/table.parquet")["error"]) == [""]


@pytest.mark.parametrize("codec", ["Said", "Unsaid"])
def test_codecs_that_classify_do_not(codec: str, run_semlink: Run) -> None:
    status, _, err = run_semlink("compare", *MIXED, "--codec", f"unsaying:{codec}", "--esno", "10", "--out", "out")
    assert status == 2
    assert "image plain.png: has no label, shades has; give one kind" in err
