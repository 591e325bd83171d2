"""Images in overlapping tiles, and tiles blended into images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

OVERLAP = 4
"""Pixels that neighbouring tiles share at least."""


@dataclass(frozen=True)
class Grid:
    """Tiles of `side` pixels over images of one size; an image smaller than a tile is continued by its edge.

    Attributes:
        height: of the images.
        width: of the images.
        side: of a tile.
    """

    height: int
    width: int
    side: int

    @cached_property
    def places(self) -> list[tuple[int, int]]:
        """Top and left of every tile, row by row."""
        return [(top, left) for top in _starts(self.height, self.side) for left in _starts(self.width, self.side)]

    @property
    def tiles(self) -> int:
        """Tiles of an image."""
        return len(self.places)

    def cut(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "n c s s"]:
        """All tiles of all images, those of an image in a row."""
        padded = self._padded(image)
        parts = [padded[:, :, top : top + self.side, left : left + self.side] for top, left in self.places]
        return torch.stack(parts, dim=1).flatten(0, 1)

    def blend(self, tiles: Float[Tensor, "n c s s"]) -> Float[Tensor, "b c h w"]:
        """The images of which these are the tiles; where they overlap, each counts the less the nearer its edge is."""
        parts = tiles.reshape(-1, self.tiles, *tiles.shape[1:]) * self._window.to(tiles)
        whole = tiles.new_zeros(len(parts), tiles.shape[1], *self._size)
        for i, (top, left) in enumerate(self.places):
            whole[:, :, top : top + self.side, left : left + self.side] += parts[:, i]
        return (whole / self._weight.to(tiles))[:, :, : self.height, : self.width]

    @property
    def _size(self) -> tuple[int, int]:
        return max(self.height, self.side), max(self.width, self.side)

    @cached_property
    def _window(self) -> Float[Tensor, "s s"]:
        ramp = torch.arange(1, self.side + 1)
        ramp = torch.minimum(ramp, ramp.flip(0)).clamp(max=OVERLAP).float()
        return ramp[:, None] * ramp

    @cached_property
    def _weight(self) -> Float[Tensor, "h w"]:
        weight = torch.zeros(self._size)
        for top, left in self.places:
            weight[top : top + self.side, left : left + self.side] += self._window
        return weight

    def _padded(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        height, width = self._size
        return F.pad(image, (0, width - self.width, 0, height - self.height), mode="replicate")


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin, evenly."""
    if length <= side:
        return [0]
    count = -(-(length - OVERLAP) // (side - OVERLAP))
    return [round(i * (length - side) / (count - 1)) for i in range(count)]
