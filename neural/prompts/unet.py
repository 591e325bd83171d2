"""The small denoiser: a UNet on folded pixels, conditioned by adaptive group norm on time, spread and code.

Preechakul et al., "Diffusion Autoencoders: Toward a Meaningful and Decodable Representation", CVPR 2022: each block
scales and shifts its normalised features by the time, then scales them by the code (eq. 7).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 8  # of a group norm


class Block(nn.Module):
    """Two convolutions with a way around them; without `embed` it is conditioned on nothing.

    Args:
        width: channels in.
        out: channels out.
        embed: width of the two conditions; 0 for none.
    """

    def __init__(self, width: int, out: int, *, embed: int = 0) -> None:
        super().__init__()
        self.before, self.first = nn.GroupNorm(GROUPS, width), nn.Conv2d(width, out, 3, padding=1)
        self.between, self.second = nn.GroupNorm(GROUPS, out), nn.Conv2d(out, out, 3, padding=1)
        self.around = nn.Identity() if width == out else nn.Conv2d(width, out, 1)
        self.time = nn.Linear(embed, 2 * out) if embed else None
        self.code = nn.Linear(embed, out) if embed else None
        nn.init.zeros_(self.second.weight)

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Tensor | None = None, code: Tensor | None = None
    ) -> Float[Tensor, "b d h w"]:
        """Features for features of as many pixels."""
        h = self.between(self.first(F.silu(self.before(x))))
        if self.time is not None and self.code is not None:
            scale, shift = self.time(time)[:, :, None, None].chunk(2, dim=1)
            h = (h * (1 + scale) + shift) * (1 + self.code(code)[:, :, None, None])
        result: Tensor = self.around(x) + self.second(F.silu(h))
        return result


class Attention(nn.Module):
    """Every pixel of a small map attends to every other, in one head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.mix, self.out = (
            nn.GroupNorm(GROUPS, width),
            nn.Linear(width, 3 * width),
            nn.Linear(width, width),
        )
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Features for features."""
        seen = self.norm(x).flatten(2).transpose(1, 2)  # (b, h·w, c)
        query, key, value = self.mix(seen).chunk(3, dim=2)
        added: Tensor = self.out(F.scaled_dot_product_attention(query, key, value))
        return x + added.transpose(1, 2).reshape(x.shape)


class UNet(nn.Module):
    """Folded pixels to folded pixels.

    Args:
        channels: of the input.
        out: of the output.
        widths: channels of each level, half as many pixels a side from one to the next.
        embed: width of the conditions.
    """

    def __init__(self, channels: int, out: int, *, widths: tuple[int, ...], embed: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, widths[0], 3, padding=1)
        wider = zip((widths[0], *widths), widths, strict=False)
        self.down = nn.ModuleList(
            nn.ModuleList([Block(before, width, embed=embed), Block(width, width, embed=embed)])
            for before, width in wider
        )
        last = widths[-1]
        self.middle = nn.ModuleList([Block(last, last, embed=embed), Attention(last), Block(last, last, embed=embed)])
        below = (*widths[1:], last)
        self.up = nn.ModuleList(
            nn.ModuleList([Block(under + width, width, embed=embed), Block(2 * width, width, embed=embed)])
            for under, width in reversed(list(zip(below, widths, strict=True)))
        )
        self.leave = nn.Sequential(nn.GroupNorm(GROUPS, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], out, 3, padding=1))
        nn.init.zeros_(self.leave[-1].weight)  # type: ignore[arg-type]

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, "b e"], code: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b d h w"]:
        """What the last convolution makes of it."""
        h, seen = self.enter(x), []
        for i, level in enumerate(self.down):
            h = F.avg_pool2d(h, 2) if i else h
            for block in level:  # type: ignore[attr-defined]
                h = block(h, time, code)
                seen.append(h)
        before, attention, after = self.middle
        h = after(attention(before(h, time, code)), time, code)
        for i, level in enumerate(self.up):
            h = F.interpolate(h, scale_factor=2.0) if i else h
            for block in level:  # type: ignore[attr-defined]
                h = block(torch.cat([h, seen.pop()], dim=1), time, code)
        result: Tensor = self.leave(h)
        return result


def waves(value: Float[Tensor, " b"], width: int) -> Float[Tensor, "b w"]:
    """A number as cosines and sines of it, of frequencies from 1 down to 1/10,000 (as the published code has time)."""
    rate = torch.exp(-math.log(10_000) * torch.arange(width // 2, device=value.device) / (width // 2))
    angle = value[:, None].float() * rate
    return torch.cat([angle.cos(), angle.sin()], dim=1)
