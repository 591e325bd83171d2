"""Pseudo-random symbols that both ends know. NumPy alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_SKIP = 1600
_MIX = 0x5DEECE66D
"""Odd, so that no state becomes 0."""


@lru_cache(maxsize=64)
def pn_bits(length: int, state: int) -> NDArray[np.int8]:
    """Bits of the maximum-length sequence x^31 + x^28 + 1 (ITU-T O.150), as 0 and 1, from a state of 1 … 2^31 - 1.

    Not to be written to.
    """
    bits = np.zeros(length + _SKIP, dtype=np.int8)
    # Multiplied, small states have as many ones as zeros: from few ones the register would be long in recovering.
    mixed = state * _MIX % (1 << 31)
    bits[:31] = [mixed >> i & 1 for i in range(31)]
    for start in range(31, len(bits), 28):
        stop = min(start + 28, len(bits))
        bits[start:stop] = bits[start - 31 : stop - 31] ^ bits[start - 28 : stop - 28]
    bits.flags.writeable = False
    return bits[_SKIP:]


@lru_cache(maxsize=64)
def pn_qpsk(length: int, state: int) -> NDArray[np.complex64]:
    """QPSK symbols of unit energy from `pn_bits`, (length,); not to be written to."""
    axes = 1 - 2 * pn_bits(2 * length, state).astype(np.float32)
    symbols: NDArray[np.complex64] = ((axes[::2] + 1j * axes[1::2]) / np.sqrt(2)).astype(np.complex64)
    symbols.flags.writeable = False
    return symbols
