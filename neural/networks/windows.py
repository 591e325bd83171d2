"""Windows of tokens (Liu et al., "Swin Transformer", ICCV 2021, §3.2): cutting, putting together, who sees whom."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.networks.grid import check_whole


def check_attention(widths: Sequence[int], heads: int, window: int, mlp_ratio: float) -> None:
    """Raise ValueError unless attention can work on features of the last of the widths."""
    check_whole("heads", heads)
    check_whole("window", window)
    if widths[-1] % heads:
        raise ValueError(f"widths={widths}: the last must be a multiple of heads={heads}")
    if round(mlp_ratio * widths[-1]) < 1:
        raise ValueError(f"mlp_ratio={mlp_ratio!r} must leave the MLP a feature")


def split_windows(
    x: Float[Tensor, "b rows columns d"], *, window: int, shift: int
) -> Float[Tensor, "windows tokens d"]:
    """The tokens of each window of `window`×`window`, image by image, after a cyclic shift up and left.

    Rows and columns that fill no window are padded with zeros first.
    """
    b, rows, columns, d = x.shape
    x = F.pad(x, (0, 0, 0, -columns % window, 0, -rows % window))
    if shift:
        x = x.roll((-shift, -shift), (1, 2))
    high, wide = x.shape[1] // window, x.shape[2] // window
    tokens = x.reshape(b, high, window, wide, window, d).transpose(2, 3)
    return tokens.reshape(-1, window**2, d).contiguous()


def join_windows(
    tokens: Float[Tensor, "windows tokens d"], rows: int, columns: int, *, window: int, shift: int
) -> Float[Tensor, "b rows columns d"]:
    """What `split_windows` cut, without the padding."""
    high, wide = -(-rows // window), -(-columns // window)
    x = tokens.reshape(-1, high, wide, window, window, tokens.shape[2]).transpose(2, 3)
    x = x.reshape(-1, high * window, wide * window, tokens.shape[2])
    if shift:
        x = x.roll((shift, shift), (1, 2))
    return x[:, :rows, :columns]


def relative_positions(window: int) -> Int[Tensor, "tokens tokens"]:
    """Index of the relative position of each pair of tokens of a window, 0 … (2·window − 1)² − 1."""
    step = torch.arange(window)
    apart = step[:, None] - step + window - 1
    both = apart[:, None, :, None] * (2 * window - 1) + apart[None, :, None, :]
    return both.reshape(window**2, window**2)


def visible(
    rows: int, columns: int, *, window: int, shift: int, device: torch.device | str = "cpu"
) -> Bool[Tensor, "windows tokens tokens"]:
    """Which tokens of a window see which: not the padding, nor what the cyclic shift has brought from the other side.

    Rows and columns are those before padding to whole windows.
    """
    sides = []
    for length in (rows, columns):
        padded = length + -length % window
        place = torch.arange(padded, device=device).roll(-shift)
        wrapped = torch.arange(padded, device=device) >= padded - shift
        sides.append(torch.where(place < length, wrapped.long(), 2))  # 0, 1: two images apart; 2: padding
    region = (sides[0][:, None] * 3 + sides[1]).reshape(len(sides[0]) // window, window, -1, window)
    tokens: Tensor = region.transpose(1, 2).reshape(-1, window**2)
    return tokens[:, :, None] == tokens[:, None, :]
