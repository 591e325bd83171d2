"""The published diffusion autoencoder, with the names its weights have: UNet and semantic encoder.

Preechakul et al., "Diffusion Autoencoders", CVPR 2022 (github.com/phizaz/diffae, `ffhq256_autoenc`): 168.5 million
parameters for 256×256 faces. Modules are called as there, so that keys of a checkpoint are keys of this network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.prompts.unet import waves

GROUPS = 32


@dataclass(frozen=True)
class Plan:
    """Sizes of the network.

    Attributes:
        side: pixels of the images.
        width: channels of the first level.
        widths: of the UNet's levels, in multiples of it.
        encoder_widths: of the encoder's.
        blocks: of a level; the way up has one more.
        embed: numbers of the semantic code, and of the time's embedding.
        attention: pixels a side at which there is attention, beside the middle.
    """

    side: int = 256
    width: int = 128
    widths: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    encoder_widths: tuple[int, ...] = (1, 1, 2, 2, 4, 4, 4)
    blocks: int = 2
    embed: int = 512
    attention: tuple[int, ...] = (16,)


FFHQ256 = Plan()
"""`ffhq256_autoenc`."""


class ResBlock(nn.Module):
    """A residual block; `change` is "up", "down" or "". Without `embed` it is what the encoder has: one convolution."""

    def __init__(self, width: int, out: int, *, embed: int = 0, change: str = "") -> None:
        super().__init__()
        self.change = change
        self.in_layers = nn.Sequential(_norm(width), nn.SiLU(), nn.Conv2d(width, out, 3, padding=1))
        if embed:
            self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embed, 2 * out))
            self.cond_emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embed, out))
            last = nn.Conv2d(out, out, 3, padding=1)
            self.out_layers = nn.Sequential(_norm(out), nn.SiLU(), nn.Dropout(0.1), last)
        self.skip_connection = nn.Identity() if width == out else nn.Conv2d(width, out, 1)

    def forward(self, x: Tensor, time: Tensor | None = None, code: Tensor | None = None) -> Tensor:
        """Features for features; the time scales and shifts them, then the code scales them."""
        h = self.in_layers[2](self._changed(self.in_layers[:2](x)))
        if time is not None and code is not None:
            scale, shift = self.emb_layers(time)[:, :, None, None].chunk(2, dim=1)
            h = self.out_layers[0](h) * (1 + scale) + shift
            h = self.out_layers[1:](h * (1 + self.cond_emb_layers(code)[:, :, None, None]))
        result: Tensor = self.skip_connection(self._changed(x)) + h
        return result

    def _changed(self, x: Tensor) -> Tensor:
        if self.change == "up":
            return F.interpolate(x, scale_factor=2.0)
        return F.avg_pool2d(x, 2) if self.change == "down" else x


class AttentionBlock(nn.Module):
    """Every pixel attends to every other, in one head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.qkv, self.proj_out = nn.Conv1d(width, 3 * width, 1), nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Features for features."""
        query, key, value = self.qkv(self.norm(x).flatten(2)).transpose(1, 2).chunk(3, dim=2)
        seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        result: Tensor = x + self.proj_out(seen).reshape(x.shape)
        return result


class Row(nn.Sequential):
    """Layers in a row, of which residual blocks are told time and code."""

    def forward(self, x: Tensor, time: Tensor | None = None, code: Tensor | None = None) -> Tensor:
        """What the last of them makes."""
        for layer in self:
            x = layer(x, time, code) if isinstance(layer, ResBlock) else layer(x)
        return x


class TimeEmbed(nn.Module):
    """Of the time alone; the code goes on as it is."""

    def __init__(self, width: int, embed: int) -> None:
        super().__init__()
        self.time_embed = nn.Sequential(nn.Linear(width, embed), nn.SiLU(), nn.Linear(embed, embed))

    def forward(self, time: Tensor) -> Tensor:
        """Waves of the time to its embedding."""
        result: Tensor = self.time_embed(time)
        return result


class Encoder(nn.Module):
    """Images in [−1, 1] to semantic codes."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.input_blocks, width, _ = _down(plan, plan.encoder_widths, 0)
        self.middle_block = Row(ResBlock(width, width), AttentionBlock(width), ResBlock(width, width))
        ends = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, plan.embed, 1), nn.Flatten()]
        self.out = nn.Sequential(_norm(width), nn.SiLU(), *ends)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b e"]:
        """The codes."""
        h = image
        for block in self.input_blocks:
            h = block(h)
        result: Tensor = self.out(self.middle_block(h))
        return result


class PublishedAutoencoder(nn.Module):
    """The noise within x_t, given a semantic code.

    Args:
        plan: its sizes; random weights.
    """

    def __init__(self, plan: Plan = FFHQ256) -> None:
        super().__init__()
        self.plan = plan
        self.time_embed = TimeEmbed(plan.width, plan.embed)
        self.input_blocks, width, seen = _down(plan, plan.widths, plan.embed)
        ends = [ResBlock(width, width, embed=plan.embed) for _ in range(2)]
        self.middle_block = Row(ends[0], AttentionBlock(width), ends[1])
        self.output_blocks = _up(plan, width, seen)
        first = plan.width * plan.widths[0]
        self.out = nn.Sequential(_norm(first), nn.SiLU(), nn.Conv2d(first, 3, 3, padding=1))
        self.encoder = Encoder(plan)

    def forward(
        self, x: Float[Tensor, "b 3 h w"], t: Int[Tensor, " b"], code: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b 3 h w"]:
        """`t` counts from 0, as the published code does."""
        time = self.time_embed(waves(t, self.plan.width))
        h, seen = x, []
        for block in self.input_blocks:
            h = block(h, time, code)
            seen.append(h)
        h = self.middle_block(h, time, code)
        for block in self.output_blocks:
            h = block(torch.cat([h, seen.pop()], dim=1), time, code)
        result: Tensor = self.out(h)
        return result


def _down(plan: Plan, widths: tuple[int, ...], embed: int) -> tuple[nn.ModuleList, int, list[int]]:
    """The way down, the channels at its end, and those of each of its rows."""
    width, side = plan.width * widths[0], plan.side
    rows, seen = nn.ModuleList([Row(nn.Conv2d(3, width, 3, padding=1))]), [width]
    for level, multiple in enumerate(widths):
        for _ in range(plan.blocks):
            layers: list[nn.Module] = [ResBlock(width, plan.width * multiple, embed=embed)]
            width = plan.width * multiple
            layers += [AttentionBlock(width)] * (side in plan.attention)
            rows.append(Row(*layers))
            seen.append(width)
        if level < len(widths) - 1:
            rows.append(Row(ResBlock(width, width, embed=embed, change="down")))
            seen.append(width)
            side //= 2
    return rows, width, seen


def _up(plan: Plan, width: int, seen: list[int]) -> nn.ModuleList:
    """The way up, each row taking what the way down had at its size."""
    rows, side = nn.ModuleList(), plan.side >> (len(plan.widths) - 1)
    for level in reversed(range(len(plan.widths))):
        for i in range(plan.blocks + 1):
            out = plan.width * plan.widths[level]
            layers: list[nn.Module] = [ResBlock(width + seen.pop(), out, embed=plan.embed)]
            width = out
            layers += [AttentionBlock(width)] * (side in plan.attention)
            if level and i == plan.blocks:
                layers.append(ResBlock(width, width, embed=plan.embed, change="up"))
                side *= 2
            rows.append(Row(*layers))
    return rows


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(GROUPS, width), width)
