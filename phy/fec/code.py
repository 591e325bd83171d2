"""What every block code offers, the checks of its inputs, and the code that adds nothing."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Num
from torch import Tensor


@runtime_checkable
class BlockCode(Protocol):
    """A binary code that maps blocks of k information bits to n coded bits, and LLRs of those back to hard bits.

    Attributes:
        k: information bits of a block.
        n: coded bits of a block.
    """

    k: int
    n: int

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        """Encode rows of k bits, 0 or 1, to n coded bits of the same dtype."""

    def decode(self, llr: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        """Decode rows of n LLRs log P(0)/P(1) to k hard information bits, 0 or 1, of the dtype of `llr`."""


class Uncoded:
    """The bits themselves, n = k: what a link does without a code.

    Args:
        k: bits of a block.

    Raises:
        ValueError: k below 1.
    """

    def __init__(self, k: int) -> None:
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        self.k = k
        self.n = k

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b k"]:
        """The rows of k bits, 0 or 1, as they are, in memory of their own.

        Raises:
            ValueError: `bits` is not (b, k), or not binary.
        """
        check_bits(bits, self.k)
        return bits.clone()

    def decode(self, llr: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """Rows of k LLRs log P(0)/P(1) to the likelier bits, 0 or 1, of the dtype of `llr`; an LLR of 0 gives 0.

        Raises:
            ValueError: `llr` is not (b, k), or holds NaN.
        """
        check_llr(llr, self.n)
        return (llr < 0).to(llr.dtype)


def check_bits(bits: Tensor, k: int) -> None:
    """Refuse what an encoder cannot take.

    Raises:
        ValueError: `bits` is not (b, k), or holds other values than 0 and 1.
    """
    if bits.ndim != 2 or bits.shape[1] != k:
        raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, {k})")
    if not bool(((bits == 0) | (bits == 1)).all()):
        raise ValueError("bits holds other values than 0 and 1")


def check_llr(llr: Tensor, n: int) -> None:
    """Refuse what a decoder cannot take. LLRs of ±inf are allowed: the bit is certain.

    Raises:
        ValueError: `llr` is not (b, n), or holds NaN.
    """
    check_llr_shape(llr, n)
    # A sum is several times as fast as a look at each, and NaN only where one is, or where infinities contradict.
    if bool(llr.sum().isnan()):
        refuse_unknown(int(llr.isnan().sum()), llr.numel())


def check_llr_shape(llr: Tensor, n: int) -> None:
    """The first half of `check_llr`, for a decoder that meets NaN by itself.

    Raises:
        ValueError: `llr` is not (b, n).
    """
    if llr.ndim != 2 or llr.shape[1] != n:
        raise ValueError(f"llr has shape {tuple(llr.shape)}; it must be (b, {n})")


def refuse_unknown(unknown: int, values: int) -> None:
    """Raise ValueError unless none of so many LLRs is NaN."""
    if unknown:
        raise ValueError(f"llr holds NaN ({unknown} of {values} values); every LLR must be a number or ±inf")
