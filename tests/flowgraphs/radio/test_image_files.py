"""Pictures on the radio side are those of the rest: one loader, and what is refused there is refused here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.radio.image_files import find_pictures, load_picture
from semlink.phy.pictures import read_levels


def test_pictures_are_what_the_one_loader_makes_of_them(tmp_path: Path) -> None:
    """16-bit grey, transparency and float TIFF once went out white, without it, and black."""
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "a.png")
    Image.new("RGBA", (3, 1), (0, 0, 0, 0)).save(tmp_path / "b.png")
    assert load_picture(tmp_path / "a.png")[0, :, 0].tolist() == [0, 128, 255]
    assert load_picture(tmp_path / "b.png").min() == 255
    Image.new("F", (3, 1), 0.5).save(tmp_path / "c.tif")
    with pytest.raises(ValueError, match=r"c\.tif: .*mode F: 32-bit pixels have no stated range"):
        load_picture(tmp_path / "c.tif")
    Image.new("1", (5000, 4000)).save(tmp_path / "d.png")
    with pytest.raises(ValueError, match=r"d\.png: 5000x4000 is 20 megapixels"):
        load_picture(tmp_path / "d.png", (16, 16))


def test_a_size_cuts_and_scales_the_middle(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 80, 3), 9, np.uint8)).save(tmp_path / "a.png")
    assert load_picture(tmp_path / "a.png", (16, 16)).shape == (16, 16, 3)
    assert np.array_equal(load_picture(tmp_path / "a.png", (80, 40)), read_levels(tmp_path / "a.png"))


def test_folders_are_those_of_the_one_loader(tmp_path: Path) -> None:
    for name in ("b.gif", "a.jp2"):
        Image.new("L", (16, 16), 3).save(tmp_path / name)
    (tmp_path / "c.heic").touch()
    with pytest.warns(UserWarning, match=r"left out c\.heic"):
        assert [path.name for path in find_pictures(str(tmp_path))] == ["a.jp2", "b.gif"]
