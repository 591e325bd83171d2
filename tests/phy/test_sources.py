from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from semlink.phy import sources
from semlink.phy.sources import DataError, load_image

needs_data = pytest.mark.skipif("SEMLINK_DATA" not in os.environ, reason="SEMLINK_DATA is not set")


def save(folder: Path, image: Image.Image, name: str = "image.png") -> Path:
    image.save(folder / name)
    return folder / name


def test_rgb_pixels_come_through(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = load_image(save(tmp_path, Image.fromarray(pixels)))
    assert image.shape == (1, 3, 5, 7)
    assert np.array_equal((image[0] * 255).round().byte().permute(1, 2, 0).numpy(), pixels)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    image = load_image(save(tmp_path, Image.new("L", (4, 3), 51)))
    assert torch.equal(image, torch.full((1, 3, 3, 4), 0.2))


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    image = load_image(save(tmp_path, Image.new("RGBA", (2, 2), (0, 0, 0, 0))))
    assert torch.equal(image, torch.ones(1, 3, 2, 2))


def test_16_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    pixels = np.array([[0, 32768, 65535]], dtype=np.uint16)
    image = load_image(save(tmp_path, Image.fromarray(pixels)))
    torch.testing.assert_close(image[0, 1, 0], torch.tensor([0, 32768 / 65535, 1]))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_32_bits_without_a_stated_range_are_refused(tmp_path: Path, mode: str) -> None:
    with pytest.raises(DataError, match=f"mode {mode}"):
        load_image(save(tmp_path, Image.new(mode, (4, 4), 1), "image.tif"))


def test_a_palette_with_transparency_and_one_bit_are_read(tmp_path: Path) -> None:
    assert load_image(save(tmp_path, Image.new("P", (3, 3)))).shape == (1, 3, 3, 3)
    assert load_image(save(tmp_path, Image.new("1", (3, 3), 1))).min() == 1


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").shape == (1, 3, 8, 4)


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing\.png: no such file"):
        load_image(tmp_path / "missing.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(DataError, match=r"empty\.png: the file is empty"):
        load_image(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(DataError, match=r"text\.png: not a readable image"):
        load_image(tmp_path / "text.png")
    whole = save(tmp_path, Image.effect_noise((64, 64), 50)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.png: damaged"):
        load_image(tmp_path / "cut.png")


def test_a_hundred_megapixels_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path, Image.new("1", (10_000, 10_000)))
    with pytest.raises(DataError, match="100 megapixels; at most 16"):
        load_image(path)
    path = save(tmp_path, Image.new("1", (20_000, 20_000)))
    with pytest.raises(DataError, match=r"image\.png"):
        load_image(path)


def test_folders_are_listed_by_name_and_must_hold_an_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image"):
        sources.find_images(tmp_path)
    for name in ("b.png", "a.PNG", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in sources.find_images(tmp_path)] == ["a.PNG", "b.png"]


def test_samples_are_three_photographs() -> None:
    images = sources.sample_images()
    assert images.shape == (3, 3, 256, 256)
    assert all(image.std() > 0.1 for image in images)


def archive(folder: Path, monkeypatch: pytest.MonkeyPatch, *, damage: bool = False) -> np.ndarray:
    """An official-looking archive of random images behind CIFAR10_URL, with matching md5s."""
    rng = np.random.default_rng(0)
    batches, contents = {}, []
    with tarfile.open(folder / "cifar.tar.gz", "w:gz", compresslevel=1) as tar:
        for name, (mosaic, _) in sources.CIFAR10_BATCHES.items():
            rows = np.repeat(rng.integers(0, 256, (10, 3073), dtype=np.uint8), 1000, axis=0)
            data = rows.tobytes()
            contents.append(rows)
            batches[name] = (mosaic, "0" * 32 if damage else hashlib.md5(data).hexdigest())
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    monkeypatch.setattr(sources, "CIFAR10_URL", (folder / "cifar.tar.gz").as_uri())
    monkeypatch.setattr(sources, "CIFAR10_BATCHES", batches)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.delenv("SEMLINK_DATA", raising=False)
    return contents[-1]


def test_cifar10_is_fetched_checked_and_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = archive(tmp_path, monkeypatch)
    expected = rows[:, 1:].reshape(-1, 3, 32, 32)
    assert np.array_equal(sources.cifar10_bytes("test").numpy(), expected)
    (tmp_path / "cifar.tar.gz").unlink()
    assert len(sources.cifar10_bytes("train")) == 50_000  # from the cache


def test_cifar10_with_a_wrong_md5_is_refused_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path, monkeypatch, damage=True)
    with pytest.raises(DataError, match="md5 differs"):
        sources.cifar10_bytes("test")
    assert not list(tmp_path.rglob("test_batch.bin"))


def test_cifar10_out_of_reach_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive(tmp_path, monkeypatch)
    (tmp_path / "cifar.tar.gz").unlink()
    with pytest.raises(DataError, match="could not be read"):
        sources.cifar10("test")


def test_unknown_splits_and_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="train, test"):
        sources.cifar10("valid")  # type: ignore[arg-type]
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path / "none"))
    with pytest.raises(DataError, match="no such folder"):
        sources.data_folder()
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    with pytest.raises(DataError, match="kodak"):
        sources.kodak()


@needs_data
def test_the_mosaic_rebuilds_the_official_test_batch() -> None:
    """The published md5 of test_batch.bin, its labels taken from the data folder."""
    labels = np.load(Path(os.environ["SEMLINK_DATA"]) / "cifar10" / "labels.npz")
    key = next(name for name in labels.files if "test" in name)
    pixels = sources.cifar10_bytes("test").numpy().reshape(10_000, 3072)
    rows = np.concatenate([labels[key].astype(np.uint8)[:, None], pixels], axis=1)
    assert hashlib.md5(rows.tobytes()).hexdigest() == sources.CIFAR10_BATCHES["test_batch.bin"][1]


@needs_data
def test_kodak_has_24_images() -> None:
    images = sources.kodak()
    assert len(images) == 24
    assert {tuple(image.shape[-2:]) for image in images.values()} == {(512, 768), (768, 512)}
