"""The networks as one writes them from the papers: what `semlink bench neural` measures ours against.

They hold the weights of ours, and their images and symbols are the same up to rounding. A batch and an image go through
in one piece, attention is written out, and masks are made whenever they are needed. What stands before and after the
networks (padding, power, the order of the symbols) is ours in both.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.models import Network
from semlink.neural.networks import DeepJSCC, SwinBlock, Trunk, WindowAttention, visible


def plain(model: Network) -> Network:
    """A copy of a codec with plain networks and the same weights; what has no fast path of ours stays as it is."""
    assert isinstance(model, nn.Module)
    if isinstance(model, DeepJSCC):
        return _plain_deepjscc(model)
    copied = copy.deepcopy(model)
    _replace(copied)
    return cast(Network, copied)


class PlainAttention(nn.Module):
    """softmax(QKᵀ/√d + B)·V within shifted windows (Liu et al., "Swin Transformer", ICCV 2021, eq. 4)."""

    def __init__(self, layers: WindowAttention) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Float[Tensor, "b rows columns d"]) -> Float[Tensor, "b rows columns d"]:
        """Attend; rows and columns that fill no window are padded with tokens that nobody sees."""
        b, rows, columns, d = x.shape
        k = self.layers.window
        shift = self.layers.shift if max(rows, columns) > k else 0
        x = F.pad(x, (0, 0, 0, -columns % k, 0, -rows % k)).roll((-shift, -shift), (1, 2))
        high, wide = x.shape[1] // k, x.shape[2] // k
        windows = x.reshape(b, high, k, wide, k, d).transpose(2, 3).reshape(b, high * wide, k * k, d)
        seen = visible(rows, columns, window=k, shift=shift)
        x = self.attend(windows, seen).reshape(b, high, wide, k, k, d).transpose(2, 3)
        return x.reshape(b, high * k, wide * k, d).roll((shift, shift), (1, 2))[:, :rows, :columns]

    def attend(self, windows: Float[Tensor, "b windows tokens d"], seen: Tensor) -> Float[Tensor, "b windows tokens d"]:
        """Of each token to those of its window that it may see, (windows, tokens, tokens)."""
        layers = self.layers
        heads = layers.qkv(windows).unflatten(3, (3, layers.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        query, key, value = heads  # (b, windows, heads, tokens, d / heads)
        logits = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5 + layers.bias[:, layers.offsets]
        weights = logits.masked_fill(~seen[:, None], -torch.inf).softmax(dim=-1)
        attended: Tensor = layers.out((weights @ value).transpose(2, 3).flatten(3))
        return attended


class PlainSwinBlock(nn.Module):
    """x + attention(LN(x)), then x + MLP(LN(x)) with scale and shift by the condition."""

    def __init__(self, layers: SwinBlock) -> None:
        super().__init__()
        self.layers, self.attention = layers, PlainAttention(layers.attention)

    def forward(
        self, x: Float[Tensor, "b rows columns d"], embedding: Float[Tensor, "b e"]
    ) -> Float[Tensor, "b rows columns d"]:
        """Features of the same shape."""
        layers = self.layers
        x = x + self.attention(layers.attention_norm(x))
        scale, shift = layers.modulation(embedding)[:, None, None].chunk(2, dim=-1)
        added: Tensor = layers.contract(F.gelu(layers.expand(layers.mlp_norm(x)) * (1 + scale) + shift))
        return x + added


class PlainTrunk(nn.Module):
    """A trunk of plain blocks, in one piece."""

    def __init__(self, layers: Trunk) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Float[Tensor, "b i rows columns"], condition: Tensor) -> Float[Tensor, "b o rows columns"]:
        """Cells to cells."""
        return self.layers.whole(x, F.gelu(self.layers.embed(condition)))


class PlainDeepJSCC(DeepJSCC):
    """Its layers one after another."""

    def analyse(
        self, image: Float[Tensor, "b 3 h w"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b k rows columns"]:
        """Pixels to latents."""
        x = image * 2 - 1
        for stage in self.encoder:
            x = stage(x, level)
        latents: Tensor = self.to_symbols(x)
        return latents

    def synthesise(
        self, seen: Float[Tensor, "b k rows columns"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Received symbols with their Wiener factors to pixels."""
        x = seen
        for stage in self.decoder:
            x = stage(x, level)
        return torch.sigmoid(self.to_pixels(x))


def _plain_deepjscc(model: DeepJSCC) -> Network:
    widths = tuple(model.to_pixels.weight.shape[:1]) + tuple(model.to_symbols.weight.shape[1:2])
    copied = PlainDeepJSCC(model.cell_symbols, cast(tuple[int, int], widths))
    copied.load_state_dict(model.state_dict())
    return cast(Network, copied.eval().requires_grad_(False))


def _replace(module: nn.Module) -> None:
    """Put plain modules in the place of those of ours that have a fast path."""
    for name, child in module.named_children():
        _replace(child)
        if isinstance(child, SwinBlock):
            setattr(module, name, PlainSwinBlock(child))
        elif isinstance(child, WindowAttention) and not isinstance(module, SwinBlock):
            setattr(module, name, PlainAttention(child))
        elif isinstance(child, Trunk):
            setattr(module, name, PlainTrunk(child))
