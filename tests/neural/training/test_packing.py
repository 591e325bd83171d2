"""Training data packed in AVIF: little of it, near to what it was, and read where the whole would be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semlink.neural.training import Settings, packing, training_images
from semlink.neural.training.described import describe_data
from semlink.phy.metrics import psnr
from semlink.phy.pictures import find_images, read_levels
from semlink.phy.sources import DataError, cifar10_is_lossy, cifar10_labels


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """A small CIFAR-10 and two photographs in SEMLINK_DATA; the images."""
    smooth = torch.linspace(0, 255, 32).expand(200, 3, 32, 32) * torch.rand(200, 3, 1, 1)
    images = smooth.round().to(torch.uint8)
    monkeypatch.setattr(packing, "cifar10_bytes", lambda _: images)
    monkeypatch.setattr(packing, "cifar10_labels", lambda _: torch.arange(200) % 10)
    folder = tmp_path / "data" / "natural1000"
    folder.mkdir(parents=True)
    for name, size in (("a", (300, 500)), ("b", (200, 280))):
        Image.fromarray(np.full((*size, 3), 99, dtype=np.uint8)).save(folder / f"{name}.webp", lossless=True)
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path / "data"))
    return images


def test_what_is_packed_is_near_to_what_it_was(whole: torch.Tensor, tmp_path: Path) -> None:
    size = packing.pack(tmp_path / "packed", ["cifar10", "natural1000"])
    assert size == sum(path.stat().st_size for path in (tmp_path / "packed").rglob("*") if path.is_file())
    mosaic = torch.from_numpy(read_levels(tmp_path / "packed" / "cifar10" / "train1.avif").copy())
    levels = mosaic.reshape(2, 32, 100, 32, 3).permute(0, 2, 4, 1, 3)
    assert psnr(levels.reshape(200, 3, 32, 32).float() / 255, whole.float() / 255) > 40
    shapes = [read_levels(path).shape for path in find_images(tmp_path / "packed" / "natural1000")]
    assert shapes == [(256, 256, 3), (200, 256, 3)]


def test_it_is_read_in_place_of_the_whole_and_the_card_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar10"
    folder.mkdir()
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    Image.new("RGB", (3200, 3200), (200, 9, 9)).save(folder / "train1.avif", quality=95, speed=10)
    for i in range(2, 6):
        shutil.copyfile(folder / "train1.avif", folder / f"train{i}.avif")
    np.savez_compressed(folder / "labels.npz", train_y=np.arange(50_000) % 10)
    assert cifar10_is_lossy()
    images = training_images(Settings("x", "swin", photographs=0, large_photographs=0)).small
    assert images.shape == (50_000, 3, 32, 32)
    assert abs(int(images[49_999, 0, 0, 0]) - 200) <= 2
    assert cifar10_labels("train")[13] == 3
    assert describe_data(Settings("x", "swin", photographs=0, large_photographs=0), {}) == (
        "CIFAR-10 training set (AVIF at 42 dB)"
    )
    (folder / "train1.webp").touch()
    assert not cifar10_is_lossy()


def test_what_cannot_be_packed_is_said(whole: torch.Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert packing.main([str(tmp_path / "new"), "--sets", "natural1000", "--most-mib", "0.0001"]) == 2
    assert "MiB are more than 0.0001: leave some out" in capsys.readouterr().err
    assert packing.main([str(tmp_path / "new"), "--sets", "natural1000"]) == 2
    assert "holds something already" in capsys.readouterr().err
    assert packing.main([str(tmp_path / "other"), "--sets", "cifar11"]) == 2
    assert "set 'cifar11' must be among: cifar10, natural1000, cifar100, teachers" in capsys.readouterr().err
    with pytest.raises(DataError, match="SEMLINK_DATA must name a folder that holds teachers/"):
        packing.pack(tmp_path / "third", ["teachers"])
