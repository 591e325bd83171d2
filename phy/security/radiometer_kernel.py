"""The compiled half of `warden.py`: every sample's energy is drawn and added, none is kept.

A sample of CN(0, v) has the energy -v ln U. Random numbers are SplitMix64's (G. L. Steele, D. Lea and C. H. Flood,
"Fast splittable pseudorandom number generators", OOPSLA 2014), a counter and a hash of it, two uniform ones of 32 bits
from each: so no energy above 22.9 v is drawn, which one in 10¹⁰ would exceed.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Float, UInt64
from numba import njit

Array = np.ndarray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_UNIT = 2.0**-32
_ROOT_HALF = 0x3FE6A09E667F3BCD  # √½ as the bits of a double


@njit(nogil=True, cache=True, fastmath=True)
@no_type_check  # shape checks of the tests cannot be compiled
def gaussian_energies(
    variance: Float[Array, " trials"], samples: int, keys: UInt64[Array, " trials"], out: Float[Array, " trials"]
) -> None:
    """Mean energy of `samples` of CN(0, variance), one trial a key."""
    for trial in range(len(variance)):
        state, total = keys[trial], 0.0
        # The logarithm of a product of sixteen uniform numbers, at least 2^-33 each, in place of sixteen logarithms.
        for _ in range(samples // 16):
            product = 1.0
            for _ in range(8):
                state += _GOLDEN
                drawn = _mix(state)
                product *= _high(drawn) * _low(drawn)
            total -= math.log(product)
        for _ in range(samples % 16):
            state += _GOLDEN
            total -= math.log(_high(_mix(state)))
        out[trial] = variance[trial] * total / samples


@njit(nogil=True, cache=True, fastmath=True)
@no_type_check
def constant_energies(
    variance: Float[Array, " trials"],
    power: Float[Array, " trials"],
    samples: int,
    keys: UInt64[Array, " trials"],
    out: Float[Array, " trials"],
) -> None:
    """Mean energy of `samples` of s + CN(0, variance) with |s|² = power: P + 2 √(P e) cos θ + e, e the noise's."""
    for trial in range(len(variance)):
        key, total, noise, signal = keys[trial], 0.0, variance[trial], power[trial]
        for i in range(samples):
            drawn = _mix(key + np.uint64(i + 1) * _GOLDEN)
            energy = -noise * _ln(_high(drawn))
            total += energy + 2.0 * math.sqrt(signal * energy) * _cos_turns(_low(drawn))
        out[trial] = signal + total / samples


@njit(inline="always")
@no_type_check
def _mix(state):  # noqa: ANN001, ANN202
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))


@njit(inline="always")
@no_type_check
def _high(drawn):  # noqa: ANN001, ANN202
    return ((drawn >> np.uint64(32)) + 0.5) * _UNIT


@njit(inline="always")
@no_type_check
def _low(drawn):  # noqa: ANN001, ANN202
    return ((drawn & _LOW) + 0.5) * _UNIT


@njit(inline="always")
@no_type_check
def _ln(x):  # noqa: ANN001, ANN202
    """Of x from 0 to 1, to 1e-9: of 2^e m with m in [√½, √2), by the series of the inverse hyperbolic tangent."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _ROOT_HALF) >> 52
    m = np.int64(bits - (exponent << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    t = s * s
    return exponent * 0.6931471805599453 + 2 * s * (1 + t * (1 / 3 + t * (1 / 5 + t * (1 / 7 + t / 9))))


@njit(inline="always")
@no_type_check
def _cos_turns(u):  # noqa: ANN001, ANN202
    """cos 2πu of u from 0 to 1, to 1e-7: by the sine of what is left of a quarter, in Taylor's series."""
    y = (math.fabs(u - 0.5) - 0.25) * 6.283185307179586
    q = y * y
    series = 1 / 120 + q * (-1 / 5040 + q * (1 / 362880 - q / 39916800))
    return y * (1 + q * (-1 / 6 + q * series))
