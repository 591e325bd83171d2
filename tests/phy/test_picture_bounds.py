"""Pictures of strangers: which files are opened at all, and what is bounded. No file here harms anything."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from semlink.phy import pictures
from semlink.phy.pictures import FORMATS, SUFFIXES, DataError, find_images, read_levels

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)).save(path)
    return path


def test_no_other_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    for name in ("Popen", "run", "call", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, name, lambda *given, **_: started.append(given))
    for name in ("a.png", "a.eps"):
        (tmp_path / name).write_bytes(POSTSCRIPT)
        with pytest.raises(DataError, match=rf"{name}: not a readable image \(none of PNG, JPEG, .*\)$"):
            read_levels(tmp_path / name)
    assert not started


@pytest.mark.parametrize("kind", ["ICO", "PCX", "SGI", "XBM", "MSP", "ICNS", "PDF"])
def test_what_is_not_documented_is_not_opened(kind: str, tmp_path: Path) -> None:
    """By what is in the file, whatever its name says."""
    mode = "1" if kind in ("XBM", "MSP") else "RGB"
    Image.new(mode, (16, 16)).save(tmp_path / "a.png", format=kind)
    with pytest.raises(DataError, match=r"a\.png: not a readable image"):
        read_levels(tmp_path / "a.png")


def test_every_suffix_is_of_a_format_that_is_opened() -> None:
    known = Image.registered_extensions()
    assert {known[suffix] for suffix in SUFFIXES if suffix in known} <= set(FORMATS)


@pytest.mark.parametrize("kind", [one for one in FORMATS if one in Image.SAVE or one == "QOI"])
def test_every_documented_format_is_opened(kind: str, tmp_path: Path) -> None:
    """Under a name that says nothing."""
    try:
        Image.new("RGB", (16, 9), (200, 100, 50)).save(tmp_path / "picture", format=kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {kind}")
    assert np.abs(read_levels(tmp_path / "picture").astype(int) - (200, 100, 50)).max() < 12
    assert read_levels(tmp_path / "picture").shape == (9, 16, 3)


def test_bytes_are_bounded(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_BYTES", 20)
    with pytest.raises(DataError, match=r"a\.png: .* megabytes; at most .* are allowed of a picture$"):
        read_levels(picture)


def test_time_is_bounded(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_SECONDS", -1.0)
    with pytest.raises(DataError, match=r"a\.png: .*not decoded within -1 s"):
        read_levels(picture)


def test_passes_over_a_picture_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, small = tmp_path / "a.jpg", Image.effect_noise((32, 32), 50).convert("RGB")
    small.save(path, progressive=True, exif=b"Exif\0\0" + b"\xff\xda" * 9)  # which is no scan
    monkeypatch.setattr(pictures, "MAX_SCANS", 10)
    assert read_levels(path).shape == (32, 32, 3)
    path.write_bytes(path.read_bytes() + b"\xff\xda" * 99)  # what follows a picture is none of it
    assert read_levels(path).shape == (32, 32, 3)
    monkeypatch.setattr(pictures, "MAX_SCANS", 9)
    with pytest.raises(DataError, match=r"a\.jpg: 10 scans of a JPEG; at most 9 are allowed"):
        read_levels(path)


@pytest.mark.parametrize(
    "error",
    [KeyError("w"), RuntimeError(""), MemoryError(), RecursionError("deep\nin"), SystemError("x" * 999), EOFError()],
)
def test_whatever_a_decoder_raises_is_one_line(
    error: Exception, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", fail)
    with pytest.raises(DataError, match=r"a\.png: damaged or unreadable \(.+\)$") as told:
        read_levels(picture)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600


def test_a_name_that_no_system_takes_is_one_line(tmp_path: Path) -> None:
    for name in ("x" * 999 + ".png", "a\0b.png"):
        with pytest.raises(DataError, match=r"^image .*\.png: "):
            read_levels(tmp_path / name)


def test_a_folder_with_postscript_names_it(picture: Path) -> None:
    (picture.parent / "b.eps").write_bytes(POSTSCRIPT)
    with pytest.warns(UserWarning, match=r"left out b\.eps, which cannot be read"):
        assert find_images(picture.parent) == [picture]


def test_of_many_frames_the_first_alone_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (40 * i, 0, 0)) for i in range(1, 5)]
    packed = io.BytesIO()
    frames[0].save(packed, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    (tmp_path / "a.webp").write_bytes(packed.getvalue())
    assert read_levels(tmp_path / "a.webp")[0, 0].tolist() == [40, 0, 0]
