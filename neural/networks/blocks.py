"""Blocks of networks that are told of the channel: attention within windows, and convolutions, each with a condition.

The Swin blocks are those of Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV
2021, eqs. (3) and (4): attention within windows, shifted by half in every other block, a learned bias for each relative
position, an MLP, layer normalisation before each. Features are scaled and shifted by a condition, here Es/N0 and rate
(Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018, eq. 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.inference import by_parts
from semlink.neural.networks.windows import join_windows, relative_positions, split_windows, visible

EMBEDDING = 64
"""Features of what a block is told of Es/N0 and rate."""
TOKENS = 2048  # of windows at once, without gradients: their features fit into caches


class WindowAttention(nn.Module):
    """Multi-head attention within windows of `window`×`window` tokens, with a bias for each relative position."""

    offsets: Tensor

    def __init__(self, width: int, *, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads, self.window, self.shift = heads, window, shift
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.out.weight, std=0.2 / math.sqrt(width))
        self.bias = nn.Parameter(torch.zeros(heads, (2 * window - 1) ** 2))
        self.register_buffer("offsets", relative_positions(window), persistent=False)

    def forward(self, x: Float[Tensor, "b rows columns d"]) -> Float[Tensor, "b rows columns d"]:
        """Attend; rows and columns that fill no window are padded with tokens that nobody sees."""
        return self.within(self.attend, x)

    def within(
        self, network: Callable[..., Tensor], x: Float[Tensor, "b rows columns d"], *conditions: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b rows columns d"]:
        """`network(tokens, bias, *conditions)`, `bias` as `attend` takes it, on the windows and put together again."""
        b, rows, columns, _ = x.shape
        shift = self.shift if max(rows, columns) > self.window else 0  # one window sees all there is
        tokens = split_windows(x, window=self.window, shift=shift)
        bias = self.biases(rows, columns, shift)
        bias = bias.repeat(b, 1, 1, 1) if len(bias) > 1 else bias
        windows = -(-rows // self.window) * -(-columns // self.window)
        each = [values[:, None, None].expand(-1, windows, -1, -1).flatten(0, 1) for values in conditions]
        tokens = by_parts(network, tokens, bias, *each, size=max(1, TOKENS // self.window**2))
        return join_windows(tokens, rows, columns, window=self.window, shift=shift)

    def biases(self, rows: int, columns: int, shift: int) -> Float[Tensor, "windows heads tokens tokens"]:
        """What is added to the attention's logits in each window of an image; in all of them alike if there is one."""
        bias = self.bias[:, self.offsets][None]
        if not (shift or rows % self.window or columns % self.window):
            return bias
        seen = visible(rows, columns, window=self.window, shift=shift, device=bias.device)
        return bias.masked_fill(~seen[:, None], -1e4)

    def attend(
        self, tokens: Float[Tensor, "windows tokens d"], bias: Float[Tensor, "#windows heads tokens tokens"]
    ) -> Float[Tensor, "windows tokens d"]:
        """Each token to those of its window."""
        d = tokens.shape[2]
        split = self.qkv(tokens).unflatten(2, (3, self.heads, d // self.heads))
        query, key, value = split.permute(2, 0, 3, 1, 4)  # (windows, heads, tokens, d / heads)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        attended: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return attended


class SwinBlock(nn.Module):
    """x + attention(LN(x)), then x + MLP(LN(x)) whose features are scaled and shifted by the condition."""

    def __init__(self, width: int, *, heads: int, window: int, shift: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = round(mlp_ratio * width)
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads=heads, window=window, shift=shift)
        self.expand, self.contract = nn.Linear(width, hidden), nn.Linear(hidden, width)
        nn.init.normal_(self.contract.weight, std=0.2 / math.sqrt(hidden))
        self.modulation = zero_linear(EMBEDDING, 2 * hidden)

    def forward(
        self, x: Float[Tensor, "b rows columns d"], embedding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b rows columns d"]:
        """Features of the same shape; `embedding` as a trunk makes it of the condition."""
        scale, shift = self.modulation(embedding).chunk(2, dim=-1)
        return self.attention.within(self.each, x, 1 + scale, shift)

    def each(
        self,
        tokens: Float[Tensor, "windows tokens d"],
        bias: Float[Tensor, "#windows heads tokens tokens"],
        scale: Float[Tensor, "windows 1 hidden"],
        shift: Float[Tensor, "windows 1 hidden"],
    ) -> Float[Tensor, "windows tokens d"]:
        """The block on the tokens of windows."""
        tokens = tokens + self.attention.attend(self.attention_norm(tokens), bias)
        added: Tensor = self.contract(F.gelu(torch.addcmul(shift, self.expand(self.mlp_norm(tokens)), scale)))
        return tokens + added


class ConvBlock(nn.Module):
    """x + conv(GELU(FiLM(conv(x)))), 3×3 each (Lim et al., CVPRW 2017, fig. 2c, with a condition)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.first.weight, std=math.sqrt(2 / (9 * width)))
        nn.init.normal_(self.second.weight, std=0.2 / math.sqrt(9 * width))
        self.modulation = zero_linear(EMBEDDING, 2 * width)

    def forward(self, x: Float[Tensor, "b d h w"], embedding: Float[Tensor, "b e"]) -> Float[Tensor, "b d h w"]:
        """Features of the same shape."""
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        added: Tensor = self.second(F.gelu(torch.addcmul(shift, self.first(x), 1 + scale)))
        return x + added


def small(conv: nn.Conv2d) -> nn.Conv2d:
    """With small weights, so that the linear path beside a network leads at first."""
    with torch.no_grad():
        conv.weight *= 0.1
    return conv


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that gives zeros until it is trained."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
