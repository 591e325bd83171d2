"""Folders and sets that cannot be packed as they were named, and photographs whose names differ in their ends alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.neural.training import packing
from semlink.phy.pictures import find_images, read_levels


@pytest.fixture(autouse=True)
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "natural1000"
    folder.mkdir(parents=True)
    for level, name in ((10, "a.png"), (200, "a.webp"), (90, "b.png")):
        Image.fromarray(np.full((16, 16, 3), level, dtype=np.uint8)).save(folder / name)
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path / "data"))


def test_each_photograph_is_packed_and_in_the_same_order(tmp_path: Path) -> None:
    packing.pack(tmp_path / "packed", ["natural1000", "natural1000"])
    levels = [int(read_levels(path)[0, 0, 0]) for path in find_images(tmp_path / "packed" / "natural1000")]
    np.testing.assert_allclose(levels, [10, 200, 90], atol=3)


def test_a_file_in_place_of_a_folder_and_no_number_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert packing.main([str(tmp_path / "file"), "--sets", "natural1000"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert packing.main([str(tmp_path / "new"), "--sets", "natural1000", "--most-mib", "nan"]) == 2
    assert "MiB are more than nan" in capsys.readouterr().err
