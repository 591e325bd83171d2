"""The pseudo-random sequence of TS 38.211 clause 5.2.1, and scrambling with it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int8, Num
from torch import Tensor

_SKIP = 1600  # Nc of the standard


def gold_sequence(length: int, c_init: int) -> Int8[np.ndarray, " length"]:
    """The length-31 Gold sequence c(0 … length − 1) of TS 38.211 clause 5.2.1, as 0 and 1.

    Args:
        length: number of bits.
        c_init: initial state of the second shift register, 0 to 2³¹ − 1.

    Raises:
        ValueError: an argument out of range.
    """
    if length < 1:
        raise ValueError(f"length={length} must be at least 1")
    if not 0 <= c_init < 2**31:
        raise ValueError(f"c_init={c_init} must be within 0 … 2^31 - 1")
    first = _register(length + _SKIP, 1, (0, 3))
    second = _register(length + _SKIP, c_init, (0, 1, 2, 3))
    sequence: np.ndarray = (first ^ second)[_SKIP:]
    return sequence


def scramble(bits: Num[Tensor, "b n"], c_init: int) -> Num[Tensor, "b n"]:
    """Add the sequence to every row modulo 2 (TS 38.211 clause 7.3.1.1); doing it twice gives the bits back."""
    return (bits + _sequence(bits.shape[1], c_init).to(bits)) % 2


def descramble_llr(llr: Float[Tensor, "b n"], c_init: int) -> Float[Tensor, "b n"]:
    """LLRs of the bits before `scramble`: the sign turns where the sequence is 1."""
    return llr * (1 - 2 * _sequence(llr.shape[1], c_init).to(llr))


@lru_cache(maxsize=64)
def _sequence(length: int, c_init: int) -> Int8[Tensor, " length"]:
    return torch.from_numpy(gold_sequence(length, c_init))


def _register(length: int, state: int, taps: tuple[int, ...]) -> Int8[np.ndarray, " length"]:
    """x(i + 31) = sum of x(i + tap) modulo 2, from the 31 bits of `state`, lowest first."""
    x = np.zeros(max(length, 31), dtype=np.int8)
    x[:31] = [(state >> i) & 1 for i in range(31)]
    done, leap = 31, 1
    # Squaring the recurrence over GF(2) doubles all its delays, so the runs made at once double too. Sionna's
    # generate_prng_seq goes bit by bit, far too slow for an image's worth of bits.
    while done < length:
        while 62 * leap <= done:
            leap *= 2
        run = min((31 - max(taps)) * leap, length - done)
        start = done - 31 * leap
        for tap in taps:
            x[done : done + run] ^= x[start + tap * leap : start + tap * leap + run]
        done += run
    return x[:length]
