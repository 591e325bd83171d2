"""The student: a classifier small enough for a transmitter, and attention among the tokens of one image."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.inference import channels_last

USUAL = "dw3e2"
"""The kind of a block where nothing is said."""
CELLS = "dwKeE (K 3, 5 or 7, E 1 to 4), full3, full5 or skip"
"""The kinds of blocks, in words."""


class ConvBlock(nn.Module):
    """A depthwise convolution, then two 1×1 ones with ReLU between them, beside a shortcut."""

    def __init__(self, width: int, *, kernel: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.widen = nn.Conv2d(width, expansion * width, 1)
        self.narrow = nn.Conv2d(expansion * width, width, 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Features of the same shape."""
        y: Tensor = self.narrow(F.relu(self.widen(self.norm(self.depthwise(x)))))
        return x + y


class FullBlock(nn.Module):
    """A convolution over all features, after ReLU, beside a shortcut."""

    def __init__(self, width: int, *, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Features of the same shape."""
        y: Tensor = self.norm(self.conv(F.relu(x)))
        return x + y


def make_cell(kind: str, width: int) -> nn.Module:
    """A block of a student by its kind.

    Args:
        kind: dwKeE, a depthwise convolution of K×K and two 1×1 ones of E times the width between them; fullK, one over
            all features; or skip, nothing.
        width: features at both ends.

    Raises:
        ValueError: another kind.
    """
    depthwise, full = re.fullmatch("dw([357])e([1-4])", kind), re.fullmatch("full([35])", kind)
    if depthwise:
        return ConvBlock(width, kernel=int(depthwise[1]), expansion=int(depthwise[2]))
    if full:
        return FullBlock(width, kernel=int(full[1]))
    if kind != "skip":
        raise ValueError(f"cell {kind[:40]!r} must be {CELLS}")
    return nn.Identity()


class Student(nn.Module):
    """Pixels in [0, 1] to a map of features, at half the resolution first and half of that at each further stage.

    Args:
        widths: features of the stages.
        depths: blocks of the stages.
        cells: the kind of each block, of all stages one after the other; `USUAL` for all where it is empty.

    Raises:
        ValueError: stages, or cells, that make no network.
    """

    def __init__(self, widths: Sequence[int], depths: Sequence[int], *, cells: Sequence[str] = ()) -> None:
        super().__init__()
        _check_stages(widths, depths, cells)
        kinds = iter(cells or [USUAL] * sum(depths))
        layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1, bias=False)]
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            if i:
                layers.append(nn.Conv2d(widths[i - 1], width, 2, stride=2, bias=False))
            layers.append(nn.BatchNorm2d(width))
            layers += [make_cell(next(kinds), width) for _ in range(depth)]
        self.layers = nn.Sequential(*layers)
        self.width = widths[-1]
        """Features of a place of the map."""
        self.cell = 2 ** len(widths)
        """Pixels a side of a place of the map."""

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d rows columns"]:
        """The map of features."""
        x: Tensor = self.layers(channels_last(4 * image - 2))
        return x


def _check_stages(widths: Sequence[int], blocks: Sequence[int], cells: Sequence[str]) -> None:
    if len(widths) != len(blocks) or not 1 <= len(widths) <= 4 or min(*widths, *blocks) < 1:
        raise ValueError(f"widths={tuple(widths)}, blocks={tuple(blocks)} must be 1 to 4 stages, each from 1")
    if cells and (isinstance(cells, str) or len(cells) != sum(blocks)):
        raise ValueError(f"{len(cells)} cells must be one for each of the {sum(blocks)} blocks={tuple(blocks)}")


class Attention(nn.Module):
    """Multi-head attention of some tokens of an image to some tokens of the same image; never to another image's."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, width)

    def forward(self, asking: Float[Tensor, "b t d"], asked: Float[Tensor, "b s d"]) -> Float[Tensor, "b t d"]:
        """What the tokens `asking` find among those `asked`."""
        query = self._by_head(self.query(asking))
        key, value = (self._by_head(part) for part in self.key_value(asked).chunk(2, dim=2))
        weight = (query @ key.mT / math.sqrt(query.shape[3])).softmax(dim=3)  # (b, heads, t, s)
        found: Tensor = self.leave((weight @ value).transpose(1, 2).flatten(2))
        return found

    def _by_head(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b heads t e"]:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class TokenBlock(nn.Module):
    """Attention and an MLP of twice the width, each after layer normalisation and beside a shortcut."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.asking_norm, self.asked_norm, self.mlp_norm = (nn.LayerNorm(width) for _ in range(3))
        self.attention = Attention(width, heads=heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Float[Tensor, "b t d"], asked: Float[Tensor, "b s d"]) -> Float[Tensor, "b t d"]:
        """The tokens `x` after looking at the tokens `asked` of the same image."""
        x = x + self.attention(self.asking_norm(x), self.asked_norm(asked))
        added: Tensor = self.mlp(self.mlp_norm(x))
        return x + added


def hidden_kernels(model: nn.Module) -> Iterator[nn.Parameter]:
    """What Muon is to train: kernels of dense convolutions, and the matrices within blocks of tokens."""
    for part in model.modules():
        if isinstance(part, TokenBlock) or (isinstance(part, nn.Conv2d) and part.groups == 1):
            yield from (weight for weight in part.parameters() if weight.ndim > 1)


def drawn(*shape: int) -> nn.Parameter:
    """A parameter of small random values."""
    return nn.Parameter(0.02 * torch.randn(*shape))
