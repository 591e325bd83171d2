"""The 24-bit cyclic redundancy check CRC-24A of TS 38.212 clause 5.1."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jaxtyping import Bool, Num
from torch import Tensor

CRC_BITS = 24


def append(bits: Num[Tensor, "b k"]) -> Num[Tensor, "b k_crc"]:
    """Append the 24 parity bits to every row: (b, k) to (b, k + 24), of the same dtype.

    Raises:
        ValueError: `bits` is not (b, k) with k from 1.
    """
    if bits.ndim != 2 or bits.shape[1] < 1:
        raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, k), k from 1")
    protected: Tensor = _coder(bits.shape[1], str(bits.device))[0](bits.float())
    return protected.to(bits.dtype)


def check(bits: Num[Tensor, "b k_crc"]) -> tuple[Num[Tensor, "b k"], Bool[Tensor, " b"]]:
    """Take the 24 parity bits off every row: (b, k + 24) to the bits (b, k) and whether they check, (b,).

    Raises:
        ValueError: `bits` is not (b, k + 24) with k from 1.
    """
    if bits.ndim != 2 or bits.shape[1] <= CRC_BITS:
        raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, k + {CRC_BITS}), k from 1")
    ok: Tensor = _coder(bits.shape[1] - CRC_BITS, str(bits.device))[1](bits.float())[1]
    return bits[:, :-CRC_BITS], ok[:, 0]


@lru_cache(maxsize=16)
def _coder(k: int, device: str) -> tuple[Any, Any]:
    from sionna.phy.fec.crc import CRCDecoder, CRCEncoder

    encoder = CRCEncoder("CRC24A", k=k, device=device)
    return encoder, CRCDecoder(encoder, device=device)
