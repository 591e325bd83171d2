"""Where networks compute, and what makes them faster on a processor; neither changes a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

M = TypeVar("M", bound=nn.Module)
P = ParamSpec("P")
R = TypeVar("R")


def at_home(method: Callable[Concatenate[M, P], R]) -> Callable[Concatenate[M, P], R]:
    """Have a network's method compute where its weights are, and hand out what it makes where it was given.

    So a codec on a GPU has symbols and images in the processor's memory, where channels and metrics are.
    """

    @wraps(method)
    def run(self: M, /, *given: P.args, **named: P.kwargs) -> R:
        home = next((parameter.device for parameter in self.parameters()), None)
        away = next((tensor.device for tensor in _tensors((given, named))), home)
        if home is None or home == away:
            return method(self, *given, **named)
        made: R = moved(method(self, *moved(given, home), **moved(named, home)), away)
        return made

    return run


def moved(what: Any, device: torch.device | str | None) -> Any:  # noqa: ANN401 - whatever methods take and give
    """The same with all tensors in it on a device: of tuples, lists, mappings and dataclasses such as `Received`."""
    if isinstance(what, Tensor):
        return what.to(device)
    if is_dataclass(what) and not isinstance(what, type):
        return replace(what, **{one.name: moved(getattr(what, one.name), device) for one in fields(what) if one.init})
    if isinstance(what, tuple) and hasattr(what, "_fields"):
        return type(what)(*(moved(one, device) for one in what))
    if isinstance(what, tuple | list):
        return type(what)(moved(one, device) for one in what)
    if isinstance(what, dict):
        return {name: moved(one, device) for name, one in what.items()}
    return what


def _tensors(what: object) -> Iterator[Tensor]:
    """Those in what `moved` moves."""
    if isinstance(what, Tensor):
        yield what
    elif is_dataclass(what):
        for one in fields(what):
            yield from _tensors(getattr(what, one.name))
    elif isinstance(what, tuple | list | dict):
        for one in what.values() if isinstance(what, dict) else what:
            yield from _tensors(one)


def inferring(x: Tensor) -> bool:
    """Whether `x` lies in a processor's memory and no gradient is asked for."""
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def by_parts(function: Callable[..., Tensor], first: Tensor, *others: Tensor, size: int | None) -> Tensor:
    """`function(first, *others)`, `size` entries of the first axis at a time if `inferring`, so that caches hold them.

    An argument with one entry goes with all of them. None for all entries at a time, of however many an exported graph
    is of.
    """
    if size is None or not inferring(first) or len(first) <= size:
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
