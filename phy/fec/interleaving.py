"""Interleavers of coded bits: what one is, the check of its order, and a random one."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int, Num
from torch import Tensor


@runtime_checkable
class Interleaver(Protocol):
    """For a number of bits, the order in which they are sent: bit i that is sent is coded bit `order[i]`."""

    def __call__(self, n: int) -> Any:  # noqa: ANN401 - whatever PyTorch takes
        """(n,) the numbers from 0 to n - 1, each once: a tensor, an array or a list."""


def random_order(n: int) -> Int[Tensor, " n"]:
    """A random order, always the same for the same n: neighbours in a code word end up far from each other."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(n))


def checked_order(order: Any, n: int) -> Int[Tensor, " n"]:  # noqa: ANN401 - whatever PyTorch takes
    """The order that an interleaver gives for n bits.

    Raises:
        ValueError: another number of places, or a bit that is sent twice or never.
    """
    found = torch.as_tensor(order).long().cpu()
    if found.shape != (n,):
        raise ValueError(f"an interleaver of {n} bits gives an order of shape {tuple(found.shape)}; it must be ({n},)")
    if not torch.equal(found.sort().values, torch.arange(n)):
        missing = n - len(set(found.tolist()) & set(range(n)))
        raise ValueError(f"an interleaver of {n} bits never sends {missing} of them: it must give each of 0 … {n - 1}")
    return found


def interleave(bits: Num[Tensor, "b n"], order: Int[Tensor, " n"]) -> Num[Tensor, "b n"]:
    """Rows of coded bits in the order in which they are sent."""
    return bits[:, order.to(bits.device)]


def deinterleave(values: Num[Tensor, "b n"], order: Int[Tensor, " n"]) -> Num[Tensor, "b n"]:
    """Rows of what was received of each bit, back in the order of the code."""
    coded = torch.empty_like(values)
    coded[:, order.to(values.device)] = values
    return coded
