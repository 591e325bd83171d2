"""Figures of a trained model: PSNR against Es/N0 on the CIFAR-10 test set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.neural import zoo
from semlink.phy import metrics
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Codec, Link
from semlink.phy.rng import image_rngs
from semlink.phy.sources import cifar10

ESNO_DB = tuple(range(0, 21, 2))
CONDITIONS: Mapping[str, Channel] = {
    "CIFAR-10 test, AWGN": AWGN(),
    "CIFAR-10 test, Rayleigh block, perfect CSI": Rayleigh("block"),
    "CIFAR-10 test, Rayleigh fast, perfect CSI": Rayleigh("fast"),
}


def psnr_curve(
    codec: Codec, channel: Channel, images: Float[Tensor, "b c h w"], esno_db: Sequence[float], *, seed: int = 0
) -> dict[str, float]:
    """PSNR in dB, from the mean squared error over all images, by Es/N0 in dB; one realisation an image."""
    link = Link(codec, channel)
    curve = {}
    for level in esno_db:
        errors = [
            metrics.squared_error(link(part, level, rng=image_rngs(seed, part)).image, part)
            for part in torch.split(images, 250)
        ]
        curve[f"{level:g}"] = round(metrics.to_db(torch.cat(errors).mean().item()), 3)
    return curve


def measure_card(name: str) -> zoo.Card:
    """Measure a model on all of the CIFAR-10 test set and write the figures to its card in the package.

    Raises:
        ValueError: no such model, or CIFAR-10 is not to be had.
    """
    cards = zoo.cards()
    if name not in cards:
        raise ValueError(f"--measure {name!r} must be one of: {', '.join(cards)}")
    codec = zoo.load(cards[name].codec, ratio=cards[name].ratio)
    images = cifar10("test")
    figures = {label: psnr_curve(codec, channel, images, ESNO_DB) for label, channel in CONDITIONS.items()}
    card = replace(cards[name], figures=figures)
    with resources.as_file(resources.files(zoo.PACKAGE)) as folder:
        zoo.write_card(card, Path(folder))
    return card
