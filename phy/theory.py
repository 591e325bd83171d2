"""Closed-form bit error rates, the yardstick of the simulated links."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import erfc

Array = np.ndarray


def qam_ber_awgn(order: int, esno_db: ArrayLike) -> Float[Array, " *shape"]:
    """Exact bit error rate of Gray square QAM on AWGN with hard decisions, averaged over the bits of a symbol.

    Args:
        order: number of points: 4, 16, 64, 256, ….
        esno_db: Es/N0 in dB, of any shape.

    Raises:
        ValueError: `order` is not an even power of two from 4.

    Source: K. Cho and D. Yoon, "On the general BER expression of one- and two-dimensional amplitude modulations",
    IEEE Trans. Commun. 50 (2002) 1074–1080, eq. (14) and (16).
    """
    return average_over_terms(order, esno_db, lambda x: erfc(np.sqrt(x)))


def qam_ber_rayleigh(order: int, esno_db: ArrayLike) -> Float[Array, " *shape"]:
    """The same on flat Rayleigh fading with perfect CSI, averaged over E|h|² = 1; `esno_db` is the average Es/N0.

    Each term erfc(sqrt(x)) of the AWGN expression, x exponentially distributed of mean X, has the mean
    1 − sqrt(X / (1 + X)).

    Raises:
        ValueError: `order` is not an even power of two from 4.

    Source: M. K. Simon and M.-S. Alouini, "Digital Communication over Fading Channels", 2nd ed., eq. (5.6).
    """
    return average_over_terms(order, esno_db, faded_erfc)


def faded_erfc(mean: ArrayLike) -> Array:
    """1 - sqrt(x / (1 + x)), the mean of erfc(sqrt(t)) over an exponential t of mean x, without cancellation."""
    x = np.asarray(mean, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / ((1.0 + x) * (1.0 + 1.0 / np.sqrt(1.0 + 1.0 / x))))


def average_over_terms(order: int, esno_db: ArrayLike, term: Callable[[Array], Array]) -> Array:
    """Bit error rate of Gray square QAM where each erfc(sqrt(x)) of the AWGN expression becomes `term(x)`.

    `term` is the mean of erfc(sqrt(x)) over the fades, as a function of x at the mean Es/N0.

    Raises:
        ValueError: `order` is not an even power of two from 4.

    Source: Cho and Yoon 2002, as in `qam_ber_awgn`.
    """
    side = math.isqrt(order)
    if order < 4 or side * side != order or side & (side - 1):
        raise ValueError(f"order={order} must be an even power of two from 4: 4, 16, 64, 256, …")
    esno = 10.0 ** (np.asarray(esno_db, dtype=np.float64) / 10.0)
    total = np.zeros_like(esno)
    for bit in range(1, side.bit_length()):
        for i in range(side - side // 2**bit):
            step = i * 2 ** (bit - 1)
            weight = (-1) ** (step // side) * (2 ** (bit - 1) - math.floor(step / side + 0.5))
            total += weight * term((2 * i + 1) ** 2 * 1.5 * esno / (order - 1))
    return total / (side * math.log2(side))
