"""N1 of arXiv 2408.05112, which turns images into a prior of a few hundred numbers, and the network that denoises it.

The paper gives the widths and no layers; these are of the network it builds on, DiffIR (Xia et al., ICCV 2023;
github.com/Zj-BinXia/DiffIR at 293f86c, DiffIR-demotionblur). One symbol, N1, stands there for two networks: the one of
the first stage sees decoded and sent image (2 · 48 channels after pixel-unshuffling by 4), the one of the second stage
and of the receiver the decoded image alone (48). Their widths differ, so they share no weights.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SHRINK = 4  # pixels a side that one cell of N1 holds
SLOPE = 0.1


class PriorExtractor(nn.Module):
    """N1: one or several images of one size, of sides that are multiples of 4, to a prior of 4 · `width` numbers.

    Args:
        images: how many images it sees at once.
        channels: of each image.
        width: C′ of the paper, which says 96; DiffIR has 64.
        blocks: residual blocks.
    """

    def __init__(self, images: int, *, channels: int = 3, width: int = 64, blocks: int = 5) -> None:
        super().__init__()
        self.enter = nn.Conv2d(images * channels * SHRINK**2, width, 3, padding=1)
        self.blocks = nn.ModuleList([ResidualBlock(width) for _ in range(blocks)])
        widths = [width, 2 * width, 2 * width, 4 * width]
        self.widen = nn.ModuleList([nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths)])
        self.mlp = nn.ModuleList([nn.Linear(4 * width, 4 * width) for _ in range(2)])

    def forward(self, *images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b p"]:
        """The prior of each image, or of each tuple of images."""
        x = F.leaky_relu(self.enter(torch.cat([F.pixel_unshuffle(image, SHRINK) for image in images], dim=1)), SLOPE)
        for block in self.blocks:
            x = block(x)
        for conv in self.widen:
            x = F.leaky_relu(conv(x), SLOPE)
        x = x.mean(dim=(2, 3))
        for linear in self.mlp:
            x = F.leaky_relu(linear(x), SLOPE)
        return x


class ResidualBlock(nn.Module):
    """x + conv(LReLU(conv(x))), 3×3 each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b d h w"]:
        """Features of the same shape."""
        added: Tensor = self.second(F.leaky_relu(self.first(x), SLOPE))
        return x + added


class PriorDenoiser(nn.Module):
    """ε_θ: what a step's noisy prior, the step and the condition say of the noise, or of the prior without it.

    Args:
        prior: numbers of the prior.
        steps: T of the schedule.
        layers: linear layers after the first one. DiffIR calls them residual, and has no skip; nor has this.
    """

    def __init__(self, prior: int, *, steps: int, layers: int = 1) -> None:
        super().__init__()
        self.scale = 10 * steps
        self.enter = nn.Linear(2 * prior + 1, prior)
        self.layers = nn.ModuleList([nn.Linear(prior, prior) for _ in range(layers)])

    def forward(self, x: Float[Tensor, "b p"], t: int, condition: Float[Tensor, "b p"]) -> Float[Tensor, "b p"]:
        """The prediction at step t = 1 … T, which the network is told as (t − 1) / (10 T), as in DiffIR."""
        time = torch.full_like(x[:, :1], (t - 1) / self.scale)
        x = F.leaky_relu(self.enter(torch.cat([condition, time, x], dim=1)), SLOPE)
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return x


class LevelEmbedding(nn.Module):
    """The noise level of a reception as an addition to a prior, 0 at first. Ours: the paper's networks know nothing."""

    def __init__(self, prior: int, *, hidden: int = 32) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(1, hidden), nn.Linear(hidden, prior)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, level: Float[Tensor, "b 1"]) -> Float[Tensor, "b p"]:
        """`level` is the Es/N0 as `semlink.neural.networks.noise_level` expresses it."""
        added: Tensor = self.leave(F.gelu(self.enter(level - 1)))  # about 10 dB
        return added
