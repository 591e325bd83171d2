"""The extended Golay code (24, 12, 8) and its soft maximum-likelihood decoder. NumPy alone.

Source: M. J. E. Golay, "Notes on digital coding", Proc. IRE 37 (1949) 657; generator polynomial as in S. Lin and D. J.
Costello, "Error Control Coding", 2nd edition, clause 4.6.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTH = 24
DIMENSION = 12
_POLYNOMIAL = 0b110001110101
"""x^11 + x^10 + x^6 + x^5 + x^4 + x^2 + 1."""


def encode(bits: NDArray[Any]) -> NDArray[np.int8]:
    """Codewords (w, 24) of information bits (w, 12): those bits first, then the parity."""
    return codebook()[_index(bits)]


def decode(soft: NDArray[Any]) -> NDArray[np.int8]:
    """Information bits (w, 12) of the codewords most likely sent, given soft values (w, 24).

    A soft value is proportional to log P(0)/P(1), with one factor for the whole word.
    """
    signs = (1 - 2 * codebook()).astype(np.float32)
    best: NDArray[np.int8] = codebook()[np.argmax(np.asarray(soft, np.float32) @ signs.T, axis=1), :DIMENSION]
    return best


@lru_cache(maxsize=1)
def codebook() -> NDArray[np.int8]:
    """All codewords, (4096, 24); row i has the bits of i, highest first, as its information."""
    words = np.array([_codeword(i) for i in range(1 << DIMENSION)])
    bits: NDArray[np.int8] = (words[:, None] >> np.arange(LENGTH - 1, -1, -1) & 1).astype(np.int8)
    return bits


def _codeword(message: int) -> int:
    rest = message << 11
    for shift in range(11, -1, -1):
        if rest >> (shift + 11) & 1:
            rest ^= _POLYNOMIAL << shift
    word = message << 11 | rest
    return word << 1 | word.bit_count() & 1


def _index(bits: NDArray[Any]) -> NDArray[np.int64]:
    index: NDArray[np.int64] = np.asarray(bits).astype(np.int64) @ (1 << np.arange(DIMENSION - 1, -1, -1))
    return index
