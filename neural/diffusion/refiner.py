"""What every refiner of decoded images shares: which images it takes, and how much of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.neural.networks import by_tiles
from semlink.phy.link import Rng

PIXELS = 512**2  # at once, of all images together
TILE, MARGIN = 448, 32  # pixels a side: a tile with its margins is as large as the largest whole image

Rows = Callable[[slice, Float[Tensor, "b c h w"]], Float[Tensor, "b c h w"]]
"""Restores some rows of a batch: which they are, and (a part of) their images."""


@runtime_checkable
class Refiner(Protocol):
    """Restores decoded images, knowing the average noise level of their reception.

    Attributes:
        channels: of the images.
        least_side: pixels that an image must have on both sides.
        draws: whether it samples, so that several samples of one reception differ.
    """

    channels: int
    least_side: int
    draws: bool

    def refine(
        self, decoded: Float[Tensor, "b c h w"], level: Float[Tensor, "b 1"], *, rng: Rng
    ) -> Float[Tensor, "b c h w"]:
        """Refined images, not clipped. `level` is the Es/N0 as `semlink.neural.networks.noise_level` expresses it.

        A deterministic refiner draws nothing from `rng`.
        """
        ...


def check_shape(shape: Sequence[int], refiner: Refiner) -> None:
    """Raise ValueError unless images (b, c, h, w) have the channels that a refiner was built for, and sides enough."""
    _, channels, h, w = shape
    if channels != refiner.channels:
        raise ValueError(f"image with {channels} channels: the refiner takes {refiner.channels}")
    if min(h, w) < refiner.least_side:
        least = f"{refiner.least_side}x{refiner.least_side}"
        raise ValueError(f"image of {w}x{h}: the refiner takes images of at least {least} pixels")


def check_decoded(decoded: Float[Tensor, "b c h w"], refiner: Refiner) -> None:
    """Raise ValueError unless the images are finite and of a shape that a refiner takes."""
    check_shape(decoded.shape, refiner)
    if not bool(decoded.isfinite().all()):
        raise ValueError("image has values that are not finite: the codec's output must be numbers in [0, 1]")


def in_parts(restore: Rows, decoded: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """All images restored, at most 512² pixels at once, which bounds the memory whatever the batch and the size.

    Images up to 512×512 go through whole, several at a time where they are small. Larger ones go in tiles of 448×448
    with margins of 32, each an image in its own right. That changes the result a little where a refiner takes means
    over the image, as channel attention and the prior do: every tile has its own, which is nearer to the crops of the
    training than the mean of a whole photograph.
    """
    count = max(1, PIXELS // (decoded.shape[-2] * decoded.shape[-1]))
    parts = []
    for start in range(0, len(decoded), count):
        rows = slice(start, start + count)
        parts.append(by_tiles(partial(restore, rows), decoded[rows], reach=MARGIN, tile=TILE))
    return torch.cat(parts)
