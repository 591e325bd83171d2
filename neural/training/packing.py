"""Training data in little room, for a machine that is far away: `python -m semlink.neural.training.packing FOLDER`.

What it writes is a folder for `SEMLINK_DATA`: CIFAR-10's and CIFAR-100's training images as mosaics in AVIF (4:4:4,
quality 95), with their labels, the middle of each photograph of `natural1000`, and the teachers. A card of what is
trained on it says so.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from semlink.phy.documents import write_whole
from semlink.phy.pictures import read_levels
from semlink.phy.progress import progress_of
from semlink.phy.sources import DataError, cifar10_bytes, cifar10_labels, data_folder, find_images

MOST_MIB = 64
"""What a folder may hold unless told."""
ROWS = 100  # tiles a side of a mosaic, as `semlink.phy.sources` reads it
QUALITY = {"mosaic": 95, "photograph": 90}
SIDE = 256  # pixels of a photograph's middle


def pack(folder: Path, sets: Sequence[str], *, most_mib: float = MOST_MIB) -> int:
    """Write the sets into a folder, and return how many bytes they take.

    Raises:
        DataError: a set that is not to be had, or the folder holds something already.
        ValueError: an unknown set, or more than `most_mib` in all; what was written stays.
    """
    if unknown := [name for name in sets if name not in SETS]:
        raise ValueError(f"set {unknown[0]!r} must be among: {', '.join(SETS)}")
    if folder.is_dir() and any(folder.iterdir()):
        raise DataError(f"folder {folder}: holds something already")
    for name in (sets := list(dict.fromkeys(sets))):
        (folder / name).mkdir(parents=True)
        SETS[name](folder / name)
    sizes = {name: sum(path.stat().st_size for path in (folder / name).iterdir()) for name in sets}
    if not sum(sizes.values()) <= most_mib * 2**20:
        told = ", ".join(f"{name} {size / 2**20:.1f}" for name, size in sizes.items())
        raise ValueError(f"folder {folder}: {told} MiB are more than {most_mib:g}: leave some out")
    return sum(sizes.values())


def _pack_cifar10(folder: Path) -> None:
    images, labels = cifar10_bytes("train"), cifar10_labels("train")
    parts = torch.split(images, ROWS**2)
    with progress_of("packing cifar10", len(parts)) as show:
        for i, part in enumerate(parts, 1):
            write_whole(folder / f"train{i}.avif", _avif(_mosaic(part), QUALITY["mosaic"]))
            show(i)
    np.savez_compressed(folder / "labels.npz", train_y=labels.numpy().astype(np.uint8))


def _mosaic(images: UInt8[Tensor, "n 3 32 32"]) -> UInt8[np.ndarray, "h w 3"]:
    """As many rows of `ROWS` images."""
    tiles = images.reshape(-1, ROWS, 3, 32, 32).permute(0, 3, 1, 4, 2)
    return tiles.reshape(-1, ROWS * 32, 3).numpy()


def _pack_photographs(folder: Path) -> None:
    paths = find_images(_given("natural1000"))
    with progress_of("packing natural1000", len(paths)) as show:
        for i, path in enumerate(paths, 1):
            pixels = read_levels(path)
            top, left = (max(0, side - SIDE) // 2 for side in pixels.shape[:2])
            middle = pixels[top : top + SIDE, left : left + SIDE]
            write_whole(folder / f"{path.name}.avif", _avif(middle, QUALITY["photograph"]))
            show(i)


def _avif(pixels: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(packed, format="AVIF", quality=quality, subsampling="4:4:4")
    return packed.getvalue()


def _copied(name: str, *patterns: str) -> Callable[[Path], None]:
    """What is small enough as it is."""

    def copy(folder: Path) -> None:
        for path in (path for pattern in patterns for path in _given(name).glob(pattern)):
            shutil.copyfile(path, folder / path.name)

    return copy


def _given(name: str) -> Path:
    folder = data_folder()
    if folder is None or not (folder / name).is_dir():
        raise DataError(f"set {name}: SEMLINK_DATA must name a folder that holds {name}/")
    return folder / name


SETS: Mapping[str, Callable[[Path], None]] = {
    "cifar10": _pack_cifar10,
    "natural1000": _pack_photographs,
    "cifar100": _copied("cifar100", "train*.avif", "labels.npz"),
    "teachers": _copied("teachers", "*"),
}
"""What can be packed."""


def main(words: Sequence[str] | None = None) -> int:
    """Pack as the words say; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m semlink.neural.training.packing", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", default="cifar10,natural1000", help=f"some of {','.join(SETS)} (%(default)s)")
    parser.add_argument("--most-mib", type=float, default=MOST_MIB, help="at most so many MiB (%(default)s)")
    given = parser.parse_args(words)
    try:
        size = pack(given.folder, given.sets.split(","), most_mib=given.most_mib)
    except (OSError, ValueError) as error:
        print(f"packing: {error}", file=sys.stderr)
        return 2
    print(f"{given.folder}: {size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
