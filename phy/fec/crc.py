"""The cyclic redundancy checks CRC-24A and CRC-16 of TS 38.212 clause 5.1."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jaxtyping import Bool, Num
from torch import Tensor

CRC_BITS = 24
POLYNOMIALS = {24: "CRC24A", 16: "CRC16"}
"""The codes of TS 38.212 clause 5.1 that are here, by number of parity bits."""


def append(bits: Num[Tensor, "b k"], length: int = CRC_BITS) -> Num[Tensor, "b k_crc"]:
    """Append the 24 (or 16) parity bits to every row: (b, k) to (b, k + 24), of the same dtype.

    Raises:
        ValueError: `bits` is not (b, k) with k from 1.
    """
    if bits.ndim != 2 or bits.shape[1] < 1:
        raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, k), k from 1")
    protected: Tensor = _coder(bits.shape[1], length, str(bits.device))[0](bits.float())
    return protected.to(bits.dtype)


def check(bits: Num[Tensor, "b k_crc"], length: int = CRC_BITS) -> tuple[Num[Tensor, "b k"], Bool[Tensor, " b"]]:
    """Take the 24 (or 16) parity bits off every row: (b, k + 24) to the bits (b, k) and whether they check, (b,).

    Raises:
        ValueError: `bits` is not (b, k + 24) with k from 1.
    """
    if bits.ndim != 2 or bits.shape[1] <= length:
        raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, k + {length}), k from 1")
    ok: Tensor = _coder(bits.shape[1] - length, length, str(bits.device))[1](bits.float())[1]
    return bits[:, :-length], ok[:, 0]


@lru_cache(maxsize=256)
def _coder(k: int, length: int, device: str) -> tuple[Any, Any]:
    from sionna.phy.fec.crc import CRCDecoder, CRCEncoder

    encoder = CRCEncoder(POLYNOMIALS[length], k=k, device=device)
    return encoder, CRCDecoder(encoder, device=device)
