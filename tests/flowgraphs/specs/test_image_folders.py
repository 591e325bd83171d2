"""A folder's pictures of every kind, for `compare` and for training; those that are left out are named in both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.specs import load_images
from semlink.neural.training import Settings, training_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in ("avif", "jp2", "gif"):
        Image.fromarray(np.full((40, 40, 3), 200, np.uint8)).save(tmp_path / f"{kind}.{kind}")
    (tmp_path / "phone.heic").touch()
    return tmp_path


def test_compare_takes_or_names_them(folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"left out phone\.heic"):
        images = load_images([str(folder)])
    assert [Path(name).stem for name in images] == ["avif", "gif", "jp2"]
    assert all(image.shape == (1, 3, 40, 40) for image in images.values())


def test_training_takes_or_names_them(folder: Path) -> None:
    settings = Settings(
        "x",
        network={"cell_symbols": 8},
        cifar10=False,
        validation=0,
        photographs=6,
        large_photographs=0,
        large_share=0,
        images=str(folder),
    )
    with pytest.warns(UserWarning, match=r"left out phone\.heic"):
        data = training_images(settings)
    assert data.small.shape == (6, 3, 32, 32)
    assert (data.small.float() - 200).abs().max() < 6  # AVIF and JPEG 2000 are lossy
