"""Pictures of bytes: as those of files, within the same bounds, and no file is touched."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.phy import pictures
from semlink.phy.pictures import DataError, levels_of, read_levels

LEVELS = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)


def packed(kind: str, **options: object) -> bytes:
    data = io.BytesIO()
    Image.fromarray(LEVELS).save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "tiff", "gif", "ppm"])
def test_they_are_as_of_a_file(kind: str, tmp_path: Path) -> None:
    data = packed(kind)
    (tmp_path / "picture").write_bytes(data)
    np.testing.assert_array_equal(levels_of(data, "nowhere/picture.png"), read_levels(tmp_path / "picture"))


def test_they_have_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "MAX_BYTES", 100)
        with pytest.raises(DataError, match=r"image a\.png: .* megabytes; at most"):
            levels_of(packed("png"), "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "MAX_PIXELS", 100)
        with pytest.raises(DataError, match=r"image a\.png: 40x24 is .* megapixels"):
            levels_of(packed("png"), "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "MAX_SCANS", 3)
        with pytest.raises(DataError, match=r"image a\.jpg: 10 scans of a JPEG; at most 3"):
            levels_of(packed("jpeg", progressive=True), "a.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "MAX_SECONDS", -1.0)
        with pytest.raises(DataError, match=r"image a\.png: damaged or unreadable \(not decoded within"):
            levels_of(packed("png"), "a.png")
    with pytest.raises(DataError, match=r"image a\.png: the file is empty"):
        levels_of(b"", "a.png")
