"""The one loader of pictures: what it makes of each kind, and of damaged files."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semlink.phy.pictures import MAX_PIXELS, DataError, find_images, read_levels, read_pixels
from semlink.phy.sources import load_image

WIDE = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_both_kinds_of_pixels_and_the_tensor_are_the_same_picture(tmp_path: Path) -> None:
    Image.fromarray(noise((5, 7, 3))).save(tmp_path / "a.png")
    levels, pixels = read_levels(tmp_path / "a.png"), read_pixels(tmp_path / "a.png")
    assert np.array_equal(levels, noise((5, 7, 3)))
    assert pixels.dtype == np.float32
    assert np.array_equal(pixels, levels.astype(np.float32) / 255)
    assert np.array_equal(load_image(tmp_path / "a.png")[0].permute(1, 2, 0).numpy(), pixels)


def test_it_needs_numpy_and_pillow_alone() -> None:
    absent = ("torch", "jaxtyping", "scipy", "zmq", "matplotlib")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import semlink.phy.pictures"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def pgm(values: np.ndarray, maxval: int) -> bytes:
    return b"P5\n%d %d\n%d\n" % (*values.shape[::-1], maxval) + values.astype(">u2").tobytes()


@pytest.mark.parametrize("kind", ["png", "tif", "jp2", "pgm"])
def test_16_bits_are_16_bits_in_every_file_that_has_them(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(pgm(WIDE, 65535)) if kind == "pgm" else Image.fromarray(WIDE).save(path)
    assert np.array_equal(read_pixels(path)[..., 1], WIDE.astype(np.float32) / 65535)
    assert read_levels(path)[0, :, 2].tolist() == [0, 1, 128, 255]


def test_white_is_what_the_file_says(tmp_path: Path) -> None:
    """10-bit PGM; 12-bit TIFF; 16-bit TIFF whose 0 is white; a level of 16-bit PNG that stands for none."""
    (tmp_path / "a.pgm").write_bytes(pgm(np.array([[0, 512, 1023]]), 1023))
    assert read_pixels(tmp_path / "a.pgm")[0, :, 0] == pytest.approx([0, 512 / 1023, 1], abs=2e-5)
    packed = bytes([0x00, 0x08, 0x00, 0xFF, 0xF0, 0x00])  # 0, 2048, 4095, 0 in 12 bits each
    for name, bits, data in (("b.tif", 12, packed), ("c.tif", 16, WIDE.astype("<u2").tobytes())):
        (tmp_path / name).write_bytes(tiff(bits=bits, photometric=bits == 12, data=data))
    assert read_pixels(tmp_path / "b.tif")[0, :, 0] == pytest.approx([0, 2048 / 4095, 1, 0])
    assert read_pixels(tmp_path / "c.tif")[0, :, 0] == pytest.approx(1 - WIDE[0] / 65535, abs=1e-6)
    Image.fromarray(WIDE).save(tmp_path / "d.png", transparency=257)
    assert read_pixels(tmp_path / "d.png")[0, :, 0] == pytest.approx([0, 1, 32768 / 65535, 1])


def tiff(*, bits: int, photometric: bool, data: bytes) -> bytes:
    """A TIFF of one strip, four pixels in a row."""
    tags = {256: 4, 257: 1, 258: bits, 259: 1, 262: int(photometric), 273: 8, 277: 1, 278: 1, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_picture_of_several_frames_is_its_first(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    for kind in ("gif", "webp", "tif"):
        options = {"lossless": True} if kind == "webp" else {}
        first.save(tmp_path / f"a.{kind}", save_all=True, append_images=[second], **options)
        assert read_levels(tmp_path / f"a.{kind}")[0, 0].tolist() == [255, 0, 0]


def test_every_kind_of_a_folder_is_taken(tmp_path: Path) -> None:
    kinds = ("avif", "jp2", "gif", "png", "jpg", "webp", "bmp", "tif", "ppm", "tga", "qoi", "JPEG")
    for kind in kinds:
        Image.fromarray(noise((16, 16, 3))).save(tmp_path / f"a.{kind}")
    (tmp_path / "a.pgm").write_bytes(pgm(WIDE, 65535))
    (tmp_path / "notes.txt").write_text("no picture, and nobody takes it for one")
    found = find_images(tmp_path)
    assert {path.suffix[1:] for path in found} == {*kinds, "pgm"}
    assert all(read_levels(path).shape[2] == 3 for path in found)


def test_what_is_left_out_of_a_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b.HEIC", "c.jxl", "d.avif"):
        (tmp_path / name).touch()
    (tmp_path / "e.png").symlink_to(tmp_path / "gone.png")
    monkeypatch.setattr(Image, "registered_extensions", lambda: {".png": "PNG"})  # a Pillow without AVIF
    with pytest.warns(UserWarning, match=r"left out b\.HEIC, c\.jxl, d\.avif, e\.png, which cannot be read"):
        assert [path.name for path in find_images(tmp_path)] == ["a.png"]
    (tmp_path / "a.png").unlink()
    for i in range(9):
        (tmp_path / f"f{i}.heic").touch()
    with pytest.raises(DataError, match=r"holds no image .*, only b\.HEIC.* and 8 more, which cannot be read"):
        find_images(tmp_path)
    with pytest.raises(DataError, match=r"folder .*none: No such file"):
        find_images(tmp_path / "none")


def test_too_many_pixels_are_refused(tmp_path: Path) -> None:
    Image.new("1", (4001, 4000)).save(tmp_path / "a.png")
    assert MAX_PIXELS == 4000 * 4000
    for read in (read_levels, read_pixels):
        with pytest.raises(DataError, match=r"a\.png: 4001x4000 is 16.004 megapixels; at most 16 are allowed"):
            read(tmp_path / "a.png")


def test_what_pillow_warns_of_names_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "b.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")  # it ends too early
    with pytest.warns(UserWarning, match=r"image .*b\.jpg: .*EXIF"):
        assert read_levels(tmp_path / "b.jpg").shape == (4, 4, 3)


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """With a few bytes changed, most of them near the beginning; or cut short as well."""
    data = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
        data[int(len(data) * rng.random() ** 3)] = rng.integers(256)
    return bytes(data[: rng.integers(len(data))] if rng.random() < 0.3 else data)


KINDS = ("png", "jpeg", "gif", "bmp", "tiff", "ppm", "tga", "qoi", "webp")


@pytest.mark.parametrize("kind", [*KINDS, "pgm"])
def test_a_damaged_file_is_a_picture_or_one_line_that_names_it(kind: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(noise((12, 16, 3))).save(out, "ppm" if kind == "pgm" else kind)
    whole = pgm(WIDE, 65535) if kind == "pgm" else out.getvalue()
    rng, path, refusals = np.random.default_rng(len(whole)), tmp_path / f"a.{kind}", []
    for _ in range(60):
        path.write_bytes(damaged(whole, rng))
        try:
            read_pixels(path)
        except DataError as error:
            refusals.append(str(error))
    assert refusals
    assert all(str(path) in one and "\n" not in one for one in refusals)
