"""Images by words: files, folders, and names of sets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.specs.labels import class_folders, numbered
from semlink.phy.named import meant
from semlink.phy.pictures import DataError
from semlink.phy.sources import SAMPLES, cifar10, cifar100, find_images, kodak, load_image, sample_images

SETS = "samples, samples:NAME, kodak, cifar10, cifar10:COUNT, cifar100, cifar100:COUNT"


def load_images(words: Sequence[str], *, broken: list[str] | None = None) -> dict[str, Float[Tensor, "1 3 h w"]]:
    """Images by name from files, folders and names of sets.

    Args:
        words: "samples" where there are none.
        broken: takes what is wrong with each picture of a folder that cannot be read, which is then left out.

    Raises:
        ValueError: a word that is none of these, an image that cannot be read, of a folder where there is no `broken`
            to take it or no other picture, or one given twice.
    """
    images: dict[str, Tensor] = {}
    seen: set[str] = set()
    for word in words or ["samples"]:
        for name, image in _images(word, broken).items():
            path = os.path.realpath(name)
            if path in seen:
                raise ValueError(f"image {name!r} is given more than once")
            seen.add(path)
            images[name] = image
    return images


def _images(word: str, broken: list[str] | None = None) -> Mapping[str, Tensor]:
    if word == "samples":
        return _samples()
    if word.startswith("samples:"):
        return _one_sample(word.removeprefix("samples:"))
    if word == "kodak":
        return kodak()
    if match := re.fullmatch(r"(cifar100?)(?::(\d+))?", word):
        return _tested(match[1], match[2])
    path = Path(word)
    if path.is_dir():
        if folders := class_folders(path):
            return _readable([p for one in folders for p in find_images(one)], broken)
        return _readable(find_images(path), broken)
    if not path.exists():
        near = meant(word, ["samples", "kodak", "cifar10", "cifar100"])
        raise ValueError(f"image {word}: no such file or folder{near}, nor one of the sets: {SETS}")
    return {word: load_image(path)}


def _samples() -> dict[str, Tensor]:
    return dict(zip(SAMPLES, torch.split(sample_images(), 1), strict=True))


def _one_sample(name: str) -> dict[str, Tensor]:
    if name not in SAMPLES:
        raise ValueError(f"image samples:{name}: must be one of: {', '.join(SAMPLES)}")
    return {name: _samples()[name]}


def _readable(paths: Sequence[Path], broken: list[str] | None) -> Mapping[str, Tensor]:
    images: dict[str, Tensor] = {}
    wrong: list[DataError] = []
    for path in paths:
        try:
            images[str(path)] = load_image(path)
        except DataError as error:
            if broken is None:
                raise
            wrong.append(error)
    if wrong and not images:
        raise wrong[0]
    if broken is not None:
        broken += map(str, wrong)
    return images


def _tested(name: str, count: str | None) -> Mapping[str, Tensor]:
    """The first test images of CIFAR-10 or CIFAR-100."""
    chosen = 10_000 if count is None else int(count)
    if not 1 <= chosen <= 10_000:
        raise ValueError(f"image set {name}:{count}: the count must be 1 … 10000")
    images = cifar10("test") if name == "cifar10" else cifar100()
    return {numbered(name, i): image for i, image in enumerate(torch.split(images[:chosen], 1))}
