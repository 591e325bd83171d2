"""The small diffusion autoencoder: a code of a tile of an image, a sketch that the code draws, and a diffusion model
of what the sketch lacks.

After Preechakul et al., "Diffusion Autoencoders", CVPR 2022. There the whole code is a vector that a network learns;
here, where training is short, most of it are principal components of natural tiles, in order of their variance, which
draw a sketch at once, and a learned vector beside them says what they cannot. Diffusion runs on the difference between
tile and sketch, in units of its `spread`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.diffusion import Schedule
from semlink.neural.prompts.unet import Block, UNet, waves

SCHEDULE = Schedule(1000, "linear", 1e-4, 0.02)
"""The noise of the published models: T = 1000, β from 10⁻⁴ to 0.02 (Ho et al., 2020)."""
STEPS = 32
"""Sizes of a quantiser's step: from 1/8 (of the components of a tile in [−1, 1]) on, four to an octave."""
SPREADS = 64
"""Spreads that a prompt can tell, eight to an octave."""
DEAD = 0.4
"""What a component must exceed its level by, in steps, to be rounded up: less than 1/2 favours short codes."""
LEVELS = 3
"""The learned code's numbers are whole, from −LEVELS to LEVELS."""
SCALES = 8
"""Logarithms of scales are whole numbers of 1/8 octave."""


def step_size(step: int | Tensor) -> float | Tensor:
    """The size Δ of quantiser step number `step`, 0 … STEPS − 1."""
    return 0.125 * 2.0 ** (step / 4)


def spread_of(index: int | Tensor) -> float | Tensor:
    """The spread of number `index`, 0 … SPREADS − 1: standard deviation over images in [−1, 1]."""
    return 2.0 ** (-index / SCALES)


def spread_index(spread: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """The number of the nearest spread that a prompt can tell."""
    return (-SCALES * spread.clamp(min=1e-4).log2()).round().clamp(0, SPREADS - 1).long()


@dataclass(frozen=True)
class Condition:
    """What is known of tiles before anything is drawn.

    Attributes:
        sketch: the tiles as the code or a thumbnail draws them, (n, 3, s, s) in [−1, 1].
        spread: of what they lack, (n,).
        first: the first components, in standard deviations, 0 where they did not arrive, (n, `AHEAD`).
        learned: whole numbers, 0 where they did not arrive, (n, semantic).
    """

    sketch: Float[Tensor, "n 3 s s"]
    spread: Float[Tensor, " n"]
    first: Float[Tensor, "n first"]
    learned: Float[Tensor, "n semantic"]


class PromptAutoencoder(nn.Module):
    """Tiles to codes, and denoising of tiles with codes.

    Args:
        side: pixels of a tile, a multiple of `fold` times 2 to the number of levels less one.
        fold: pixels a side that are folded into channels.
        widths: channels of the denoiser's levels.
        components: principal components of a code.
        first: of them, how many the denoiser is told beside the sketch.
        semantic: numbers of the learned code.
        embed: width of the conditions.
        gain: of the encoder, before its numbers are made whole: with 1 five of six of them are 0 for as long as the
            denoiser has learnt nothing of them, and from zeros it learns nothing.

    Raises:
        ValueError: a side that does not fold, or more components than pixel values.
    """

    def __init__(
        self,
        *,
        side: int = 32,
        fold: int = 2,
        widths: tuple[int, ...] = (24, 48, 64),
        components: int = 1024,
        first: int = 64,
        semantic: int = 32,
        embed: int = 128,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        if side % (fold << (len(widths) - 1)):
            raise ValueError(f"side={side} must be a multiple of {fold << (len(widths) - 1)}")
        if not first <= components <= 3 * side**2:
            raise ValueError(f"components={components} must be from first={first} to {3 * side**2}")
        self.side, self.fold, self.components, self.first, self.semantic = side, fold, components, first, semantic
        pixels = 3 * fold**2
        self.denoiser = UNet(2 * pixels, pixels, widths=widths, embed=embed)
        self.time = nn.Sequential(nn.Linear(embed, embed), nn.SiLU(), nn.Linear(embed, embed), nn.SiLU())
        self.code = nn.Sequential(nn.Linear(first + semantic, embed), nn.SiLU(), nn.Linear(embed, embed), nn.SiLU())
        self.embed, self.gain = embed, gain
        self.encoder = _encoder(pixels, widths, semantic)
        self.register_buffer("mean", torch.zeros(3 * side**2))
        self.register_buffer("basis", torch.eye(components, 3 * side**2))
        self.register_buffer("scale", torch.zeros(components))  # of each component: 8·log2 of its standard deviation
        self.register_buffer("learned_scale", torch.zeros(semantic))  # of each learned number: 8·log2 of its mean size

    mean: Tensor
    basis: Tensor
    scale: Tensor
    learned_scale: Tensor

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the kernels of the convolutions within."""
        ends = {id(self.denoiser.enter.weight), id(self.denoiser.leave[-1].weight), id(self.encoder[0].weight)}
        return [p for p in self.parameters() if p.ndim == 4 and id(p) not in ends]

    def fit(self, images: Float[Tensor, "b 3 s s"]) -> None:
        """Take the principal components of tiles in [0, 1] and of their mirror images.

        Raises:
            ValueError: fewer of these than components.
        """
        flat = torch.cat([images, images.flip(3)]).flatten(1) * 2 - 1
        if len(flat) < self.components:
            raise ValueError(f"{len(images)} images must be at least {-(-self.components // 2)}, half the components")
        mean = flat.mean(dim=0)
        values, vectors = _principal(flat - mean)
        self.mean.copy_(mean)
        self.basis.copy_(vectors[: self.components])
        self.scale.copy_((SCALES / 2 * values[: self.components].clamp(min=1e-9).log2()).round())

    def project(self, tiles: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n k"]:
        """The components of tiles in [−1, 1]."""
        return (tiles.flatten(1) - self.mean) @ self.basis.T

    def sketch(self, components: Float[Tensor, "n k"]) -> Float[Tensor, "n 3 s s"]:
        """The tiles in [−1, 1] that components draw."""
        return (components @ self.basis + self.mean).reshape(-1, 3, self.side, self.side)

    def learn(self, tiles: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n semantic"]:
        """The learned numbers of tiles, not yet whole, from −LEVELS to LEVELS."""
        return LEVELS * torch.tanh(self.gain * self.encoder(F.pixel_unshuffle(tiles, self.fold)))

    def standard(self, components: Float[Tensor, "n k"]) -> Float[Tensor, "n first"]:
        """The first components in standard deviations."""
        return components[:, : self.first] * torch.exp2(-self.scale[: self.first] / SCALES)

    def velocity(self, x: Float[Tensor, "n 3 s s"], t: Int[Tensor, " n"], known: Condition) -> Float[Tensor, "n 3 s s"]:
        """√ᾱ·noise − √(1 − ᾱ)·x₀ within x_t, in units of the spread (Salimans and Ho, ICLR 2022, appendix D)."""
        time = self.time(waves(t, self.embed) + waves(1000 + 100 * known.spread.log2(), self.embed))
        code = self.code(torch.cat([known.first, known.learned / LEVELS], dim=1))
        folded = F.pixel_unshuffle(torch.cat([x, 2 * known.sketch], dim=1), self.fold)
        return F.pixel_shuffle(self.denoiser(folded, time, code), self.fold)

    def clean(self, x: Float[Tensor, "n 3 s s"], t: int, known: Condition) -> Float[Tensor, "n 3 s s"]:
        """The x₀ that the denoiser sees in x_t, in units of the spread; at t = T the mean of all there could be."""
        kept = SCHEDULE.alpha_bars[t]
        seen = self.velocity(x, torch.full((len(x),), t, device=x.device), known)
        return math.sqrt(kept) * x - math.sqrt(1 - kept) * seen


def quantise(components: Float[Tensor, "n k"], size: Float[Tensor, "n 1"] | float) -> Float[Tensor, "n k"]:
    """Components in whole steps, small ones to 0 a little more readily than to the nearest."""
    steps = components / size
    return steps.sign() * (steps.abs() + DEAD).floor()


def _principal(rows: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """Variances and directions, the largest first; by the smaller of the two matrices of products."""
    if len(rows) < rows.shape[1]:
        _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
        return sizes.square() / len(rows), directions
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    return values.flip(0), vectors.T.flip(0)


def _encoder(pixels: int, widths: tuple[int, ...], semantic: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(pixels, widths[0], 3, padding=1)]
    for before, width in pairwise(widths):
        layers += [Block(before, width), nn.AvgPool2d(2)]
    last = widths[-1]
    ends = [nn.GroupNorm(8, last), nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * last, semantic)]
    return nn.Sequential(*layers, Block(last, last), *ends)
