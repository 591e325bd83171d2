"""What makes networks faster on a processor where no gradient is asked for, and changes no result."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def inferring(x: Tensor) -> bool:
    """Whether `x` lies in a processor's memory and no gradient is asked for."""
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def by_parts(function: Callable[..., Tensor], first: Tensor, *others: Tensor, size: int) -> Tensor:
    """`function(first, *others)`, `size` entries of the first axis at a time if `inferring`, so that caches hold them.

    An argument with one entry goes with all of them.
    """
    if not inferring(first) or len(first) <= size:
        return function(first, *others)
    starts = range(0, len(first), size)
    return torch.cat([function(*[x if len(x) == 1 else x[i : i + size] for x in (first, *others)]) for i in starts])


def channels_last(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """`x` with the values of a pixel side by side in memory if `inferring`: what oneDNN's convolutions work on."""
    return x.contiguous(memory_format=torch.channels_last) if inferring(x) else x


def double(conv: nn.ConvTranspose2d, x: Float[Tensor, "b c rows columns"]) -> Float[Tensor, "b d h w"]:
    """`conv(x)` for a 5×5 kernel, stride 2, to twice as many rows and columns.

    If `inferring`, as a 3×3 convolution to four times the channels, one for each pixel of 2×2 (Shi et al., "Is the
    deconvolution layer the same as a convolutional layer?", arXiv 1609.07009): faster to few channels.
    """
    if not inferring(x):
        y: Tensor = conv(x)
        return y
    inputs, outputs = conv.weight.shape[:2]
    taps = F.pad(conv.weight, (0, 1, 0, 1)).reshape(inputs, outputs, 3, 2, 3, 2).flip(2, 4)
    kernel = taps.permute(1, 3, 5, 0, 2, 4).reshape(4 * outputs, inputs, 3, 3)
    bias = None if conv.bias is None else conv.bias.repeat_interleave(4)
    return F.pixel_shuffle(F.conv2d(x, kernel, bias, padding=1), 2)
