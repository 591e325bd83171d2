"""Figures of a trained model: PSNR against Es/N0 on the CIFAR-10 test set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.compare import compare
from semlink.neural import zoo
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Codec
from semlink.phy.sources import cifar10

ESNO_DB = (0, 2, 4, 5, 6, 8, 10, 12, 14, 15, 16, 18, 20)
CONDITIONS: Mapping[str, Channel] = {
    "CIFAR-10 test, AWGN": AWGN(),
    "CIFAR-10 test, Rayleigh block, perfect CSI": Rayleigh("block"),
    "CIFAR-10 test, Rayleigh fast, perfect CSI": Rayleigh("fast"),
}


def psnr_curve(
    codec: Codec,
    channel: Channel,
    images: Float[Tensor, "b c h w"],
    esno_db: Sequence[float],
    *,
    progress: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """PSNR in dB, from the mean squared error over all images, by Es/N0 in dB; one realisation an image, seed 0."""
    named = {str(i): images[i : i + 1] for i in range(len(images))}
    table = compare(named, {"codec": codec}, channel, esno_db, progress=progress).table
    return {f"{level:g}": round(psnr, 3) for level, psnr in zip(table["esno_db"], table["psnr_db"], strict=True)}


def measure_card(name: str, progress: Callable[[], None] = lambda: None) -> zoo.Card:
    """Measure a model on all of the CIFAR-10 test set and write the figures to its card in the package.

    Raises:
        ValueError: no such model, or CIFAR-10 is not to be had.
    """
    cards = zoo.cards()
    if name not in cards:
        raise ValueError(f"--measure {name!r} must be one of: {', '.join(cards)}")
    codec = zoo.load(name)
    images = cifar10("test")
    figures = {
        label: psnr_curve(codec, channel, images, ESNO_DB, progress=progress) for label, channel in CONDITIONS.items()
    }
    card = replace(cards[name], figures=figures)
    with resources.as_file(resources.files(zoo.PACKAGE)) as folder:
        zoo.write_card(card, Path(folder))
    return card
