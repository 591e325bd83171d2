"""What is trained on: crops, batches and a folder of one's own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from semlink.neural.training import Data, Settings, train, training_images
from semlink.neural.training import data as loading
from semlink.neural.training.data import draw_batch
from semlink.phy.sources import DataError, sample_images


def test_batches_hold_as_many_pixels_whatever_their_size(data: Data, tiny: Settings) -> None:
    settings = replace(tiny, batch=64, large_share=0.5)
    shapes = {tuple(draw_batch(data, settings, torch.Generator().manual_seed(i)).shape) for i in range(60)}
    assert shapes == {(64, 3, 32, 32), (16, 3, 64, 64), (4, 3, 128, 128)}
    nothing_large = data._replace(large=data.large[:0])
    shapes = {tuple(draw_batch(nothing_large, settings, torch.Generator().manual_seed(i)).shape) for i in range(20)}
    assert shapes == {(64, 3, 32, 32)}


def test_crops_cover_small_and_large_images() -> None:
    image = torch.rand(1, 3, 40, 300)
    for most in (1.0, 4.0):
        square = loading.crop(image, 32, most, torch.Generator().manual_seed(0))
        assert (square.shape, square.dtype) == ((3, 32, 32), torch.uint8)


def test_a_users_folder_is_what_it_trains_on(tmp_path: Path, tiny: Settings) -> None:
    sample_images()  # the packaged photographs stand for the user's
    folder = tmp_path / "my photographs"
    folder.mkdir()
    for i, image in enumerate(sample_images()):
        Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    settings = replace(tiny, images=str(folder), cifar10=False, photographs=7, large_photographs=4)
    data = training_images(settings)
    assert (len(data.small), len(data.large), len(data.validation)) == (7, 4, 0)
    train(settings, tmp_path / "run")
    card = json.loads((tmp_path / "run" / "tiny.json").read_text())
    told = rf"from {re.escape(str(folder))} \(3 files, SHA-256 [0-9a-f]{{16}}\), 7 crops of 32x32 and 4 of 128x128"
    assert re.fullmatch(told, card["data"])
    assert f"images={str(folder)!r}" in card["command"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        training_images(replace(settings, images=str(tmp_path / "empty")))
    with pytest.raises(DataError, match="no such folder"):
        training_images(replace(settings, images=str(tmp_path / "none")))
    with pytest.raises(DataError, match="no training images"):
        training_images(replace(settings, photographs=0))
