"""Training images, decoded once and held in memory in 8 bits, and the batches drawn of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.training.beforehand import check_images
from semlink.neural.training.recipe import SMALL, Settings
from semlink.phy.metrics import to_levels
from semlink.phy.sources import DataError, cifar10_bytes, data_folder, find_images, load_image


class Data(NamedTuple):
    """Small images, large ones (perhaps none), and those kept for validation (perhaps none).

    `contents` are SHA-256 of what they were made of, by setting and then by file; empty where that is not known.
    """

    small: UInt8[Tensor, "n 3 32 32"]
    large: UInt8[Tensor, "m 3 s s"]
    validation: UInt8[Tensor, "v 3 t t"]
    contents: Mapping[str, Mapping[str, str]] = {}

    def to(self, device: str) -> Data:
        """The same on a device."""
        return Data(self.small.to(device), self.large.to(device), self.validation.to(device), self.contents)


def training_images(settings: Settings) -> Data:
    """CIFAR-10's training images with 32×32 crops of photographs, and large crops, as the settings ask.

    The photographs are those directly in the folder `settings.images`, or `SEMLINK_DATA/natural1000`. A crop is taken
    at a random place and scale: 1 … 4 times the small size, 1 … `large_scale` times the large one.

    Raises:
        DataError: a folder that is not there or holds no image, or nothing at all to train on.
        ValueError: more crops than fit into memory.
    """
    check_images(settings)
    side, scale = settings.large_side, settings.large_scale
    none = torch.empty(0, 3, side, side, dtype=torch.uint8)
    small, large, kept = [none[:, :, :SMALL, :SMALL]], [none], none[:, :, :SMALL, :SMALL]
    contents: dict[str, dict[str, str]] = {}
    if settings.cifar10 or settings.validation:
        images = cifar10_bytes("train")
        if settings.validation >= len(images):
            raise DataError(f"validation={settings.validation} must be below {len(images)}")
        used = len(images) - settings.validation
        kept = images[used:]
        small += [images[:used]] if settings.cifar10 else []
        contents["cifar10"] = {"training set": hashlib.sha256(images.contiguous().numpy().data).hexdigest()}
    if settings.photographs or settings.large_photographs:
        rng = torch.Generator().manual_seed(settings.seed)
        paths = find_images(_photographs(settings))
        contents["images"] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
        if settings.large_validation:
            if settings.large_validation >= len(paths):
                raise DataError(f"large_validation={settings.large_validation} must be below {len(paths)}")
            paths, last = paths[: -settings.large_validation], paths[-settings.large_validation :]
            kept = torch.stack([crop(load_image(path), side, 1.0, rng) for path in last])
        for i, path in enumerate(paths):
            image = load_image(path)
            small += [crop(image, SMALL, 4.0, rng)[None] for _ in range(i, settings.photographs, len(paths))]
            large += [crop(image, side, scale, rng)[None] for _ in range(i, settings.large_photographs, len(paths))]
    data = Data(torch.cat(small), torch.cat(large), kept, contents)
    if not len(data.small) and not (len(data.large) and settings.large_share == 1):
        raise DataError("no training images: set cifar10 = true or photographs above 0")
    return data


def _photographs(settings: Settings) -> Path:
    if settings.images:
        if not Path(settings.images).is_dir():
            raise DataError(f"images={settings.images!r}: no such folder")
        return Path(settings.images)
    folder = data_folder()
    if folder is None or not (folder / "natural1000").is_dir():
        raise DataError("photographs: set SEMLINK_DATA to a folder that holds natural1000/, or ask for 0 of them")
    return folder / "natural1000"


def crop(image: Float[Tensor, "1 3 h w"], side: int, most: float, rng: torch.Generator) -> UInt8[Tensor, "3 s s"]:
    """A random square of side 1 … `most` times `side` (log-uniform), as far as the image goes, resized to `side`."""
    h, w = image.shape[-2:]
    taken = min(round(side * most ** torch.rand((), generator=rng).item()), h, w)
    top, left = (int(torch.randint(length - taken + 1, (), generator=rng)) for length in (h, w))
    square = image[:, :, top : top + taken, left : left + taken]
    if taken != side:
        square = F.interpolate(square, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return to_levels(square[0]).to(torch.uint8)


def draw_batch(data: Data, settings: Settings, rng: torch.Generator, *, share: int = 1) -> Float[Tensor, "b 3 h w"]:
    """A batch of 32×32 images or, now and then, of larger ones with as many pixels in all; 1/`share` of a whole one.

    A network sees the mean of each feature, and the normalised energy is shared out over the image: both are steadier
    in a large image. A network trained on 32×32 alone washes out the colours of a photograph.
    """
    small, large = data.small, data.large
    batch = max(1, settings.batch // share)
    if len(large) and torch.rand((), generator=rng) < settings.large_share:
        whole = large.shape[2]
        side = whole >> int(torch.randint(2, (), generator=rng))
        count = max(1, batch * SMALL**2 // side**2)
        top, left = torch.randint(whole - side + 1, (2,), generator=rng).tolist()
        chosen = torch.randint(len(large), (count,), generator=rng).to(large.device)
        picked = large[chosen, :, top : top + side, left : left + side]
    else:
        picked = small[torch.randint(len(small), (batch,), generator=rng).to(small.device)]
    image = picked.float() / 255
    return image.flip(3) if torch.rand((), generator=rng) < 0.5 else image
