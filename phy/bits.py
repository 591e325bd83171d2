"""Bits as a digital codec sends them and as its receiver decides on them: bit errors before and after decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class Words:
    """What is sent of each image. It is for counting errors alone: `Link` keeps it from the receiver.

    Attributes:
        information: bits before CRC and channel code, padding included, (k,) for each image.
        coded: bits as they are mapped to symbols, (n,) for each image.
        block_sizes: (k, n) of each image's code blocks, the larger ones where there are two sizes: bits before and
            after the channel code, CRC included.
    """

    information: Sequence[Bool[Tensor, " _"]]
    coded: Sequence[Bool[Tensor, " _"]]
    block_sizes: Sequence[tuple[int, int]]


class Decisions(NamedTuple):
    """What a receiver makes of them: hard decisions on the LLRs, and what it decodes, as `Words` has them.

    Where a receiver's answers end a transmission early, `coded` is of what was sent: the first of the coded bits.
    """

    information: Sequence[Bool[Tensor, " _"]]
    coded: Sequence[Bool[Tensor, " _"]]


class BitErrors(NamedTuple):
    """Bits in error of each image and of how many, (b,): of coded bits before decoding, of information bits after."""

    before: Int[Tensor, " b"]
    coded: Int[Tensor, " b"]
    after: Int[Tensor, " b"]
    information: Int[Tensor, " b"]


def count_bit_errors(sent: Words | None, decided: Decisions | None) -> BitErrors | None:
    """The bit errors of some images; None where the codec or the receiver tells no bits."""
    if sent is None or decided is None:
        return None
    begun = [one[: len(other)] for one, other in zip(sent.coded, decided.coded, strict=True)]
    return BitErrors(*_count(begun, decided.coded), *_count(sent.information, decided.information))


def _count(
    sent: Sequence[Bool[Tensor, " _"]], decided: Sequence[Bool[Tensor, " _"]]
) -> tuple[Int[Tensor, " b"], Int[Tensor, " b"]]:
    wrong = [int((one != other).sum()) for one, other in zip(sent, decided, strict=True)]
    return torch.tensor(wrong), torch.tensor([len(one) for one in sent])
