"""N2 of arXiv 2408.05112: the transformer U-net that restores a decoded image, guided by a prior.

Restormer (Zamir et al., CVPR 2022) with dynamic modulation (DiffIR, Xia et al., ICCV 2023): attention is between
channels, with inner products over all pixels, and the prior scales and shifts what enters each part. The paper gives
blocks and heads; the other figures are those of DiffIR's configuration with the same blocks and heads
(DiffIR-demotionblur, options/train_DiffIRS2.yml).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

MULTIPLE = 8  # cells a side at level 1: three times halved
EPSILON = 1e-5


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel, then scale and shift by the prior: (LN(x)) · k1 + k2.

    The scale is k1, not 1 + k1 (DiffIR, eqs. 4 and 7), from a linear layer without bias.
    """

    def __init__(self, dim: int, prior: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.modulation = nn.Linear(prior, 2 * dim, bias=False)

    def forward(self, x: Float[Tensor, "b d h w"], prior: Float[Tensor, "b p"]) -> Float[Tensor, "b d h w"]:
        """Features of the same shape."""
        scale, shift = self.modulation(prior)[:, :, None, None].chunk(2, dim=1)
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, EPSILON)
        modulated: Tensor = normed.permute(0, 3, 1, 2) * scale + shift
        return modulated


class ChannelAttention(nn.Module):
    """DMTA: multi-head attention between channels, whose queries and keys are of unit norm over the pixels."""

    def __init__(self, dim: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.depthwise = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=False)
        self.out = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        """Features of the same shape."""
        size = x.shape[-2:]
        query, key, value = self.depthwise(self.qkv(x)).unflatten(1, (3, self.heads, -1)).flatten(4).unbind(dim=1)
        query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)  # (b, heads, d / heads, pixels)
        weights = (query @ key.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        attended: Tensor = self.out((weights @ value).flatten(1, 2).unflatten(2, size))
        return attended


class GatedFeedForward(nn.Module):
    """DGFN: two branches of 1×1 and depthwise 3×3 convolutions, the GELU of one times the other, and 1×1 back."""

    def __init__(self, dim: int, *, expansion: float) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.enter = nn.Conv2d(dim, 2 * hidden, 1, bias=False)
        self.depthwise = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.out = nn.Conv2d(hidden, dim, 1, bias=False)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        """Features of the same shape."""
        gate, passed = self.depthwise(self.enter(x)).chunk(2, dim=1)
        y: Tensor = self.out(F.gelu(gate) * passed)
        return y


class DynamicBlock(nn.Module):
    """x + DMTA(modulated LN(x)), then x + DGFN(modulated LN(x))."""

    def __init__(self, dim: int, *, heads: int, prior: int, expansion: float) -> None:
        super().__init__()
        self.attention_norm, self.attention = ChannelNorm(dim, prior), ChannelAttention(dim, heads=heads)
        self.feed_norm, self.feed = ChannelNorm(dim, prior), GatedFeedForward(dim, expansion=expansion)

    def forward(self, x: Float[Tensor, "b d h w"], prior: Float[Tensor, "b p"]) -> Float[Tensor, "b d h w"]:
        """Features of the same shape."""
        x = x + self.attention(self.attention_norm(x, prior))
        added: Tensor = self.feed(self.feed_norm(x, prior))
        return x + added


class Level(nn.ModuleList):
    """Some dynamic blocks, one after another."""

    def forward(self, x: Float[Tensor, "b d h w"], prior: Float[Tensor, "b p"]) -> Float[Tensor, "b d h w"]:
        """Features of the same shape."""
        for block in self:
            x = block(x, prior)
        return x


class Restorer(nn.Module):
    """N2: an image and a prior to the restored image, as a correction of the given one.

    Args:
        prior: numbers of the prior.
        channels: of the images.
        dim: features of level 1; every further level has half the side and twice the features. As in Restormer the
            decoder's level 1 has 2 · `dim`, those of the upsampled and of the skipped ones beside each other.
        blocks: dynamic blocks of the levels 1 … 4; decoder levels 1 … 3 have as many as their encoders.
        heads: of the attention at the levels; each must divide the features there.
        refinement: further blocks at full resolution.
        expansion: features within DGFN for each one outside.
        shrink: pixels a side that one cell of level 1 holds (pixel-unshuffling). The paper has 1; with 2 the same time
            pays for wider levels.

    Raises:
        ValueError: not four levels, heads that do not divide the features, or `shrink` below 1.
    """

    def __init__(
        self,
        prior: int,
        *,
        channels: int = 3,
        dim: int = 48,
        blocks: Sequence[int] = (3, 5, 6, 6),
        heads: Sequence[int] = (1, 2, 4, 8),
        refinement: int = 4,
        expansion: float = 2.0,
        shrink: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(shrink, int) or isinstance(shrink, bool) or shrink < 1:
            raise ValueError(f"shrink={shrink!r} must be a whole number from 1")
        if len(blocks) != 4 or len(heads) != 4:
            raise ValueError(f"blocks={tuple(blocks)} and heads={tuple(heads)} must have 4 entries, one a level")
        if dim % 2 or any(dim * 2**i % count for i, count in enumerate(heads)):
            raise ValueError(f"dim={dim} must be even, and heads={tuple(heads)} must divide it, 2, 4 and 8 times it")

        def level(i: int, count: int, *, features: int | None = None) -> Level:
            width = dim * 2**i if features is None else features
            kind = (DynamicBlock(width, heads=heads[i], prior=prior, expansion=expansion) for _ in range(count))
            return Level(kind)

        self.shrink = shrink
        self.embed = _conv(channels * shrink**2, dim)
        self.encoder = nn.ModuleList([level(i, blocks[i]) for i in range(4)])
        self.down = nn.ModuleList([_conv(dim * 2**i, dim * 2**i // 2) for i in range(3)])
        self.up = nn.ModuleList([_conv(dim * 2**i, dim * 2 ** (i + 1)) for i in (1, 2, 3)])
        self.reduce = nn.ModuleList([nn.Conv2d(dim * 2 ** (i + 1), dim * 2**i, 1, bias=False) for i in (1, 2)])
        self.decoder = nn.ModuleList(
            [level(0, blocks[0] + refinement, features=2 * dim), level(1, blocks[1]), level(2, blocks[2])]
        )
        self.leave = _conv(2 * dim, channels * shrink**2)
        with torch.no_grad():
            self.leave.weight *= 0.1  # at first nearly the given image, from where a short training gets further

    @property
    def multiple(self) -> int:
        """What the sides of an image must be multiples of, in pixels."""
        return MULTIPLE * self.shrink

    def forward(self, image: Float[Tensor, "b c h w"], prior: Float[Tensor, "b p"]) -> Float[Tensor, "b c h w"]:
        """The restored image; sides must be multiples of `multiple` (see `padded`)."""
        x, skipped = self.embed(F.pixel_unshuffle(image, self.shrink)), []
        for i in range(3):
            x = self.encoder[i](x, prior)
            skipped.append(x)
            x = F.pixel_unshuffle(self.down[i](x), 2)
        x = self.encoder[3](x, prior)
        for i in (2, 1, 0):
            x = torch.cat([F.pixel_shuffle(self.up[i](x), 2), skipped[i]], dim=1)
            x = self.reduce[i - 1](x) if i else x
            x = self.decoder[i](x, prior)
        restored: Tensor = image + F.pixel_shuffle(self.leave(x), self.shrink)
        return restored


def padded(image: Float[Tensor, "b c h w"], multiple: int = MULTIPLE) -> Float[Tensor, "b c v u"]:
    """The image with reflected rows and columns after the last ones, up to sides that are multiples of `multiple`.

    Raises:
        ValueError: a side below `multiple` pixels.
    """
    h, w = image.shape[-2:]
    if min(h, w) < multiple:
        raise ValueError(f"image of {w}x{h}: a refiner takes images of at least {multiple}x{multiple} pixels")
    return F.pad(image, (0, -w % multiple, 0, -h % multiple), mode="reflect")


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
