"""Folders of photographs with few, none or broken files, from the command: trained on, or refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from semlink.neural.training import training_images
from semlink.neural.training.recipe import Settings
from semlink.phy.sources import DataError

Run = Callable[..., tuple[int, str, str]]
RECIPE = """
name = "few"
network = {cell_symbols = 8, widths = [4, 6]}
steps = 2
batch = 16
groups = 2
photographs = 30
large_photographs = 20
large_side = 64
large_validation = 2
"""


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """Ten images, some smaller than a crop, one grey."""
    folder = tmp_path / "ten"
    folder.mkdir()
    rng = torch.Generator().manual_seed(0)
    for i in range(10):
        side = 20 if i == 0 else 70 + i
        pixels = torch.randint(0, 256, (side, 90, 3), generator=rng).to(torch.uint8).numpy()
        Image.fromarray(pixels).convert("L" if i == 1 else "RGB").save(folder / f"{i}.png")
    return folder


def test_ten_images_are_trained_on(ten: Path, tmp_path: Path, run_semlink: Run) -> None:
    (tmp_path / "few.toml").write_text(RECIPE)
    words = ["train", str(tmp_path / "few.toml"), "--images", str(ten), "--out", str(tmp_path / "run"), "--quiet"]
    status, _, err = run_semlink(*words, "--threads", "1")
    assert status == 0, err
    card = json.loads((tmp_path / "run" / "few.json").read_text())
    assert "(10 files, " in card["data"]
    assert "without the last 2, 30 crops of 32x32 and 20 of 64x64" in card["data"]


def damage(folder: Path, kind: str) -> None:
    if kind == "empty":
        for path in folder.iterdir():
            path.unlink()
    elif kind == "cut":
        path = folder / "3.png"
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "text":
        (folder / "3.png").write_text("no picture")
    elif kind == "nothing":
        (folder / "3.png").write_bytes(b"")
    elif kind == "folder":
        shutil.rmtree(folder)
    elif kind == "one":
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("empty", "holds no image"),
        ("cut", "3.png"),
        ("text", "3.png"),
        ("nothing", "3.png"),
        ("folder", "no such folder"),
        ("one", "large_validation=2 must be below 1"),
    ],
)
def test_what_cannot_be_trained_on_is_said(ten: Path, tmp_path: Path, run_semlink: Run, kind: str, said: str) -> None:
    damage(ten, kind)
    (tmp_path / "few.toml").write_text(RECIPE)
    words = ["train", str(tmp_path / "few.toml"), "--images", str(ten), "--out", str(tmp_path / "run"), "--quiet"]
    status, _, err = run_semlink(*words, "--threads", "1")
    assert status == 2
    assert said in " ".join(err.split())
    assert len(err.strip().splitlines()) == 1


def test_nothing_to_train_on_is_said(ten: Path) -> None:
    settings = Settings("x", "swin", cifar10=False, images=str(ten), photographs=0, large_photographs=0)
    with pytest.raises(DataError, match="no training images"):
        training_images(settings)
