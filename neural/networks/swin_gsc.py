"""The codec of GSC: a Swin transformer of two stages, for one rate (arXiv 2408.05112, IEEE TCCN 2025)."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.networks.blocks import WindowAttention
from semlink.neural.networks.fixed_rate import FixedRate, unweighted
from semlink.neural.networks.grid import check_whole

PATCH = 4  # pixels a side of a token of the first stage


class ReluBlock(nn.Module):
    """A Swin block (Liu et al., ICCV 2021, eq. 3) with ReLU in its MLP and with nothing told of the channel."""

    def __init__(self, width: int, *, heads: int, window: int, shift: int, mlp_ratio: float) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads=heads, window=window, shift=shift)
        hidden = round(mlp_ratio * width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, x: Float[Tensor, "b rows columns d"]) -> Float[Tensor, "b rows columns d"]:
        """Features of the same shape."""
        x = x + self.attention(self.attention_norm(x))
        added: Tensor = self.mlp(self.mlp_norm(x))
        return x + added


class SwinGSC(FixedRate):
    """A `Codec` at ratio 1/6: patches of 4, stage 1 of C = 32 features, a 2×2 merge, stage 2 of 2C; mirrored back.

    Args:
        depths: blocks of the two stages.
        heads: of their attention.
        mlp_ratio: features within an MLP for each one of a token.

    Taken from the paper: patch 4, C = 32, windows of 2×2 tokens, ReLU, the merge (4C to 2C), a mirrored decoder.
    Chosen here, where it is silent or says two things:

    - The latents are the 2C = 64 channels of stage 2 at (h/8, w/8), two to a complex symbol: 512 symbols of a 32×32
      image, which is k/n = 1/6 in complex channel uses. "(H/8, W/8, C)", which the text also says, would be 1/12.
    - Two blocks a stage, the second one shifted; 2 and 4 heads (16 features each); MLPs of four times the width; layer
      normalisation before each part, and none at the end of the encoder, whose output the power normalisation scales.
    - Neither side is told the Es/N0: nothing in the paper says that it is.
    - The decoder sees zero-forced symbols; see `semlink.neural.networks.unweighted` for fading within an image.
    - Power is normalised for each image over its complex symbols, and noise is complex, N0/2 an axis. The paper writes
      noise as real, N(0, σ²I).
    """

    knows_noise = False
    pixels_at_once = 1 << 16

    def __init__(
        self, *, depths: tuple[int, int] = (2, 2), heads: tuple[int, int] = (2, 4), mlp_ratio: float = 4.0
    ) -> None:
        width, window = 32, 2
        super().__init__("swin-gsc", cell=2 * PATCH, cell_symbols=width)
        check_whole("depths", depths, count=2, least=0)
        check_whole("heads", heads, count=2)
        if width % heads[0] or 2 * width % heads[1]:
            raise ValueError(f"heads={heads}: the first must divide {width}, the second {2 * width}")
        if round(mlp_ratio * width) < 1:
            raise ValueError(f"mlp_ratio={mlp_ratio!r} must leave the MLP a feature")

        def stage(i: int, features: int) -> nn.Sequential:
            block = partial(ReluBlock, features, heads=heads[i], window=window, mlp_ratio=mlp_ratio)
            return nn.Sequential(*[block(shift=window // 2 * (j % 2)) for j in range(depths[i])])

        self.embed = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.encoder = nn.ModuleList([stage(0, width), stage(1, 2 * width)])
        self.merge = nn.Sequential(nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False))
        self.decoder = nn.ModuleList([stage(1, 2 * width), stage(0, width)])
        self.split = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, 4 * width, bias=False))
        self.unembed = nn.Conv2d(width, 3 * PATCH**2, 1)

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon would train: all matrices."""
        return [p for name, p in self.named_parameters() if name.endswith("weight") and p.ndim >= 2]

    def analyse(
        self, image: Float[Tensor, "b 3 h w"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b k rows columns"]:
        """Pixels to latents; `level` is of no effect."""
        del level
        x = self.encoder[0](self.embed(image * 2 - 1).permute(0, 2, 3, 1))
        x = F.pixel_unshuffle(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)  # (b, rows, columns, 4C)
        latents: Tensor = self.encoder[1](self.merge(x)).permute(0, 3, 1, 2)
        return latents

    def synthesise(
        self, seen: Float[Tensor, "b k rows columns"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Received symbols to pixels; `level` is of no effect."""
        del level
        x = self.split(self.decoder[0](unweighted(seen).permute(0, 2, 3, 1)))
        x = F.pixel_shuffle(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)  # (b, 2·rows, 2·columns, C)
        x = self.unembed(self.decoder[1](x).permute(0, 3, 1, 2))
        return torch.sigmoid(F.pixel_shuffle(x, PATCH))
