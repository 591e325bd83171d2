"""Images to send: files, folders, the packaged samples, CIFAR-10, CIFAR-100 and Kodak.

Every image is float32 in [0, 1], (b, 3, h, w). `SEMLINK_DATA` may name a folder that holds `cifar10/` (lossless WebP
mosaics of 100×100 tiles, in the official order, with `labels.npz`; or AVIF, as
`semlink.neural.training.packing` writes them), `cifar100/` and `kodak/` (kodim01.png …). Without
it CIFAR-10 is fetched once from its official source, checked against its published md5 and cached.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import urllib.request
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from semlink.phy.documents import in_short
from semlink.phy.pictures import MAX_PIXELS as MAX_PIXELS
from semlink.phy.pictures import DataError as DataError
from semlink.phy.pictures import find_images as find_images
from semlink.phy.pictures import read_levels, read_pixels

SAMPLES = ("astronaut", "chelsea", "coffee")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""The names of CIFAR-10's classes, in the order of its labels."""
CIFAR100_GROUPS = (
    "aquatic_mammals",
    "fish",
    "flowers",
    "food_containers",
    "fruit_and_vegetables",
    "household_electrical_devices",
    "household_furniture",
    "insects",
    "large_carnivores",
    "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores",
    "medium_mammals",
    "non-insect_invertebrates",
    "people",
    "reptiles",
    "small_mammals",
    "trees",
    "vehicles_1",
    "vehicles_2",
)
"""The names of CIFAR-100's coarse classes, in the order of their labels."""
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_BATCHES = {  # file in the official archive: (mosaic in SEMLINK_DATA/cifar10, md5 of the file)
    "data_batch_1.bin": ("train1.webp", "5dd7e06a14cb22eb9f671a540d1b7c25"),
    "data_batch_2.bin": ("train2.webp", "5ea93a67294ea407fff1d09f752e9692"),
    "data_batch_3.bin": ("train3.webp", "942cd6a4bcdd0dd3c604fbe906cb4421"),
    "data_batch_4.bin": ("train4.webp", "ae636b3ba5c66a11e91e8cb52e771fcb"),
    "data_batch_5.bin": ("train5.webp", "53f37980c15c3d472c316c40844f3f0d"),
    "test_batch.bin": ("test.webp", "803d5f7f4d78ea53de84dbe85f74fb6d"),
}


def load_image(path: str | Path) -> Float[Tensor, "1 3 h w"]:
    """Read an image file as RGB in [0, 1].

    Grey becomes three equal channels, 16 bits are scaled to [0, 1] (and so to 8 bits by every codec that works on
    bytes), transparency is laid over white, a photograph is turned upright as its EXIF data say, and of several frames
    the first is taken.

    Raises:
        DataError: the file is missing, empty, no image, damaged, larger than `MAX_PIXELS`, or of 32-bit pixels.
    """
    return torch.from_numpy(read_pixels(path)).permute(2, 0, 1)[None].contiguous()


def sample_images() -> Float[Tensor, "3 3 256 256"]:
    """The packaged photographs, in the order of `SAMPLES` (origins and licences: `phy/samples/README.md`)."""
    folder = resources.files("semlink.phy.samples")
    with resources.as_file(folder) as path:
        return torch.cat([load_image(path / f"{name}.png") for name in SAMPLES])


def kodak() -> dict[str, Float[Tensor, "1 3 h w"]]:
    """The Kodak images in `SEMLINK_DATA/kodak`, by name.

    Raises:
        DataError: the folder is not there.
    """
    folder = data_folder()
    if folder is None or not (folder / "kodak").is_dir():
        raise DataError("image set kodak: set SEMLINK_DATA to a folder that holds kodak/kodim01.png … kodim24.png")
    return {path.stem: load_image(path) for path in find_images(folder / "kodak")}


def cifar10(split: Literal["train", "test"]) -> Float[Tensor, "n 3 32 32"]:
    """CIFAR-10 (Krizhevsky 2009) in the official order: 50,000 images of "train" or 10,000 of "test".

    Raises:
        DataError: another split, or the data are neither in `SEMLINK_DATA/cifar10` nor to be fetched.
    """
    return cifar10_bytes(split).float() / 255


def cifar10_bytes(split: Literal["train", "test"]) -> UInt8[Tensor, "n 3 32 32"]:
    """As `cifar10`, in 8 bits a channel."""
    _check_split(split)
    names = [name for name in CIFAR10_BATCHES if (name == "test_batch.bin") == (split == "test")]
    folder = data_folder()
    if folder is not None and (folder / "cifar10").is_dir():
        batches = [_mosaic(_packed_or_whole(folder / "cifar10" / CIFAR10_BATCHES[name][0])) for name in names]
    else:
        batches = [_official_batch(name) for name in names]
    return torch.from_numpy(np.concatenate(batches))


def cifar10_is_lossy() -> bool:
    """Whether the training images of `cifar10` are those that `semlink.neural.training.packing` writes: AVIF."""
    folder = data_folder()
    return folder is not None and _packed_or_whole(folder / "cifar10" / "train1.webp").suffix == ".avif"


def _packed_or_whole(path: Path) -> Path:
    packed = path.with_suffix(".avif")
    return packed if packed.is_file() and not path.is_file() else path


def cifar10_labels(split: Literal["train", "test"]) -> Int[Tensor, " n"]:
    """The classes of the images of `cifar10`, as indices of `CIFAR10_CLASSES`.

    Raises:
        DataError: as `cifar10`.
    """
    _check_split(split)
    folder = data_folder()
    if folder is not None and (folder / "cifar10").is_dir():
        return _labels(folder / "cifar10" / "labels.npz", f"{split}_y", len(CIFAR10_CLASSES))
    names = [name for name in CIFAR10_BATCHES if (name == "test_batch.bin") == (split == "test")]
    return torch.from_numpy(np.concatenate([_official_rows(name)[:, 0] for name in names])).long()


def has_cifar10() -> bool:
    """Whether the test images of `cifar10` are on this machine already, so that nothing is fetched for them.

    Raises:
        DataError: `SEMLINK_DATA` names no folder.
    """
    folder = data_folder()
    return (folder is not None and (folder / "cifar10").is_dir()) or (_cache() / "test_batch.bin").is_file()


def cifar100(split: Literal["train", "test"] = "test") -> Float[Tensor, "n 3 32 32"]:
    """CIFAR-100 (Krizhevsky 2009): 10,000 images of "test", lossless, or 50,000 of "train", AVIF at 42 dB.

    Image i has class i % 100, so the first 100k are even.

    Raises:
        DataError: another split, or `SEMLINK_DATA/cifar100` is not there.
    """
    return cifar100_bytes(split).float() / 255


def cifar100_bytes(split: Literal["train", "test"]) -> UInt8[Tensor, "n 3 32 32"]:
    """As `cifar100`, in 8 bits a channel."""
    _check_split(split)
    names = ["test.webp"] if split == "test" else [f"train{i}.avif" for i in range(1, 6)]
    return torch.from_numpy(np.concatenate([_mosaic(_cifar100_folder() / name) for name in names]))


def cifar100_labels(
    split: Literal["train", "test"] = "test", *, coarse: bool = False
) -> tuple[Int[Tensor, " n"], tuple[str, ...]]:
    """The classes of the images of `cifar100`, 100 fine or 20 coarse ones, and their names in alphabetical order.

    Raises:
        DataError: as `cifar100`.
    """
    _check_split(split)
    path = _cifar100_folder() / "labels.npz"
    if coarse:
        return _labels(path, f"{split}_coarse", len(CIFAR100_GROUPS)), CIFAR100_GROUPS
    return _labels(path, f"{split}_y", 100), tuple(map(_text, _read_array(path, "classes")))


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise DataError(f"split={split!r} must be one of: train, test")


def _cifar100_folder() -> Path:
    folder = data_folder()
    if folder is None or not (folder / "cifar100").is_dir():
        raise DataError("image set cifar100: set SEMLINK_DATA to a folder that holds cifar100/test.webp and labels.npz")
    return folder / "cifar100"


def _labels(path: Path, name: str, classes: int) -> Int[Tensor, " n"]:
    found = _read_array(path, name)
    labels = torch.from_numpy(found.astype(np.int64)) if found.dtype.kind in "iu" else torch.empty(0)
    if labels.ndim != 1 or not len(labels) or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(f"data {path}: {name} must be classes from 0 to {classes - 1}")
    return labels


def _text(name: object) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _read_array(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return np.asarray(arrays[name])
    except Exception as error:  # a damaged archive raises any of half a dozen types
        raise DataError(f"data {path}: no labels {name} that can be read ({in_short(error)})") from error


def data_folder() -> Path | None:
    """The folder that `SEMLINK_DATA` names, or None where it is unset.

    Raises:
        DataError: it names something else.
    """
    value = os.environ.get("SEMLINK_DATA", "")
    if not value:
        return None
    if not Path(value).is_dir():
        raise DataError(f"SEMLINK_DATA={value}: no such folder")
    return Path(value)


def _mosaic(path: Path) -> UInt8[np.ndarray, "n 3 32 32"]:
    levels = read_levels(path)
    try:
        tiles = levels.reshape(100, 32, 100, 32, 3)
    except ValueError as error:
        raise DataError(f"data {path}: not a mosaic of 100x100 tiles ({error})") from error
    return tiles.transpose(0, 2, 4, 1, 3).reshape(10_000, 3, 32, 32)


def _official_batch(name: str) -> UInt8[np.ndarray, "n 3 32 32"]:
    return _official_rows(name)[:, 1:].reshape(10_000, 3, 32, 32).copy()


def _official_rows(name: str) -> UInt8[np.ndarray, "10000 3073"]:
    """Of each image its label, then its pixels channel by channel."""
    path = _cache() / name
    if not path.is_file():
        _fetch()
    data = path.read_bytes()
    if hashlib.md5(data).hexdigest() != CIFAR10_BATCHES[name][1]:
        path.unlink()
        raise DataError(f"data {path}: md5 differs from the published one; the file was removed, try again")
    return np.frombuffer(data, dtype=np.uint8).reshape(10_000, 1 + 3072)


def _fetch() -> None:
    """Download the official archive and unpack its batches into the cache."""
    folder = _cache()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(CIFAR10_URL, timeout=60) as reply, tarfile.open(fileobj=reply, mode="r|gz") as tar:
            for member, data in _members(tar):
                partial = folder / f"{member}.part"
                partial.write_bytes(data)
                partial.replace(folder / member)
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"CIFAR-10: not in SEMLINK_DATA, and {CIFAR10_URL} could not be read ({error})") from error


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for entry in tar:
        name = Path(entry.name).name
        content = tar.extractfile(entry) if name in CIFAR10_BATCHES else None
        if content is not None:
            yield name, content.read()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "semlink" / "cifar10"
