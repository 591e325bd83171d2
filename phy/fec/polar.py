"""The polar code of 5G NR (TS 38.212 clause 5.3.1): Sionna's encoder and its successive cancellation list decoder."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor

from semlink.phy.fec.code import check_bits, check_llr

_LEAST_LLR, _MOST_LLR = -100.0, 100.0
_ROWS = 256  # blocks that are decoded at a time: the lists of more fall out of the processor's cache


class Polar5G:
    """5G NR polar code of the uplink, with k information bits rate-matched to n coded bits.

    CRC of 11 bits (clause 6.3.1.2.1), polar sequence, subblock interleaver, puncturing, shortening or repetition and
    the interleaver of coded bits (5.3.1.2 and 5.4.1), all of Sionna's `Polar5GEncoder`; decoded by its CRC-aided
    successive cancellation with a list of 8. There is no segmentation: it is a code of short blocks.

    Args:
        k: information bits of a block, from 20 to 1013; the CRC of 11 bits is the code's own and not among them.
        n: coded bits of a block, up to 1088.
        list_size: paths that the decoder keeps, a power of two.

    Raises:
        ValueError: k, n or the list out of range.
    """

    k_max = 1013
    """Most information bits of a block."""
    n_max = 1088
    """Most coded bits of a block."""

    def __init__(self, k: int, n: int, *, list_size: int = 8) -> None:
        if not 20 <= k <= self.k_max:
            raise ValueError(f"k={k} must be from 20 to {self.k_max}: 5G polar has no segmentation here")
        if not k + 11 <= n <= self.n_max:
            raise ValueError(f"n={n} must be from k + 11 = {k + 11}, the CRC included, to {self.n_max}")
        if list_size < 1 or list_size & (list_size - 1):
            raise ValueError(f"list_size={list_size} must be a power of two")
        self.k = k
        self.n = n
        self.list_size = list_size

    def encode(self, bits: Num[Tensor, "b k"]) -> Num[Tensor, "b n"]:
        """Encode rows of k bits, 0 or 1, to n coded bits of the same dtype.

        Raises:
            ValueError: `bits` is not (b, k), or not binary.
        """
        check_bits(bits, self.k)
        with torch.inference_mode(mode=False), torch.no_grad():
            coded: Tensor = _coder(self.k, self.n, self.list_size)[0](bits.float().cpu())
        return coded.to(bits)

    def decode(self, llr: Float[Tensor, "b n"]) -> Float[Tensor, "b k"]:
        """Decode rows of n LLRs log P(0)/P(1) to k hard information bits, 0 or 1, of the dtype of `llr`.

        Raises:
            ValueError: `llr` is not (b, n), or holds NaN.
        """
        check_llr(llr, self.n)
        if not len(llr):
            return llr.new_empty(0, self.k)
        decoder = _coder(self.k, self.n, self.list_size)[1]
        ours = -llr.detach().float().cpu().clamp(_LEAST_LLR, _MOST_LLR)  # Sionna's are log P(1) / P(0)
        with torch.inference_mode(mode=False), torch.no_grad():
            bits: Tensor = torch.cat([decoder(part) for part in torch.split(ours, _ROWS)])
        return bits.to(llr)


# Sionna is imported where it is needed: it takes seconds.


@lru_cache(maxsize=64)
def _coder(k: int, n: int, list_size: int) -> tuple[Any, Any]:
    from sionna.phy.fec.polar import Polar5GDecoder, Polar5GEncoder

    encoder = Polar5GEncoder(k, n, check_input=False, device="cpu")
    return encoder, Polar5GDecoder(encoder, dec_type="SCL", list_size=list_size, device="cpu")
