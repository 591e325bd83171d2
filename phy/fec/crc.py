"""The cyclic redundancy checks CRC-24A, CRC-24B and CRC-16 of TS 38.212 clause 5.1."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

CRC_BITS = 24
POLYNOMIALS = {24: 0x864CFB, 16: 0x1021}
"""CRC-24A and CRC-16 of TS 38.212 clause 5.1, by number of parity bits; without the leading term."""

CRC24B = 0x800063
"""CRC-24B of the same clause, that of a code block among several."""

_AT_ONCE = 1 << 24  # bits of one sum: more than this, and a float32 no longer counts them


def append(
    bits: Num[Tensor, "b k"], length: int = CRC_BITS, *, polynomial: int | None = None
) -> Num[Tensor, "b k_crc"]:
    """Append the 24 (or 16) parity bits to every row: (b, k) to (b, k + 24), of the same dtype.

    `polynomial` None stands for that of `POLYNOMIALS`.

    Raises:
        ValueError: `bits` is not (b, k) with k from 1.
    """
    if bits.ndim != 2 or bits.shape[1] < 1:
        raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, k), k from 1")
    return torch.cat([bits, _parity(bits, length, polynomial).to(bits.dtype)], dim=1)


def check(
    bits: Num[Tensor, "b k_crc"], length: int = CRC_BITS, *, polynomial: int | None = None
) -> tuple[Num[Tensor, "b k"], Bool[Tensor, " b"]]:
    """Take the 24 (or 16) parity bits off every row: (b, k + 24) to the bits (b, k) and whether they check, (b,).

    `polynomial` as of `append`.

    Raises:
        ValueError: `bits` is not (b, k + 24) with k from 1.
    """
    if bits.ndim != 2 or bits.shape[1] <= length:
        raise ValueError(f"bits has shape {tuple(bits.shape)}; it must be (b, k + {length}), k from 1")
    payload = bits[:, :-length]
    return payload, (_parity(payload, length, polynomial) == bits[:, -length:]).all(dim=1)


def _parity(bits: Num[Tensor, "b k"], length: int, polynomial: int | None) -> Float[Tensor, "b parity"]:
    """The parity bits: the sum over GF(2) of what each bit that is set leaves by itself."""
    table = 1 << (bits.shape[1] - 1).bit_length(), length, polynomial or POLYNOMIALS[length], str(bits.device)
    left = _remainders(*table)[-bits.shape[1] :]
    parts = zip(torch.split(bits, _AT_ONCE, dim=1), torch.split(left, _AT_ONCE), strict=True)
    with torch.autocast(bits.device.type, enabled=False):  # bfloat16 counts to 256
        sums = torch.stack([part.float() @ rows for part, rows in parts])
    return sums.remainder(2).sum(dim=0).remainder(2)


@lru_cache(maxsize=32)
def _remainders(k: int, length: int, polynomial: int, device: str) -> Float[Tensor, "k parity"]:
    """What each of k bits leaves by itself: row i is x^(k - 1 - i + length) modulo the polynomial, highest term first.

    The last rows are those of fewer bits, so that lengths up to the next power of two share a table.
    """
    register, top = polynomial, 1 << length
    left = np.empty(k, dtype=np.uint32)
    for i in reversed(range(k)):
        left[i] = register
        register <<= 1
        register ^= (top | polynomial) if register & top else 0
    shifts = np.arange(length - 1, -1, -1, dtype=np.uint32)
    return torch.from_numpy((left[:, None] >> shifts & 1).astype(np.float32)).to(device)
