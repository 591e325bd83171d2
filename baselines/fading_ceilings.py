"""Ceilings on Rayleigh fading of E|h|² = 1, in bits per complex symbol: ergodic where it is fast, else by outage.

`esno_db` is the average Es/N0 in dB. On AWGN: `capacity.py`.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.special import exp1

from semlink.baselines.capacity import Array, Numbers, constrained, decibels, linear, require

# Quadrature over the logarithm of the power gain: 1e-13 of it lies below e^-30, none above e^4.
_LOG_GAIN = np.arange(-30.0, 4.0, 0.125)


def ergodic_rayleigh(esno_db: Numbers) -> Float[Array, " *shape"]:
    """Capacity of the fast Rayleigh channel known to the receiver alone: E log2(1 + |h|² γ) = exp(1/γ) E1(1/γ) / ln 2.

    Args:
        esno_db: average Es/N0 γ in dB, of any shape.

    Returns:
        bits per complex symbol.

    Source: W. C. Y. Lee, "Estimate of channel capacity in Rayleigh fading environment", IEEE Trans. Veh. Technol. 39
    (1990) 187–189; M.-S. Alouini and A. J. Goldsmith, ibid. 48 (1999) 1165–1181.
    """
    with np.errstate(divide="ignore"):
        inverse = np.asarray(1.0 / linear(esno_db))
    near = np.minimum(inverse, 30.0)
    nodes, weights = np.polynomial.laguerre.laggauss(24)
    # exp(x) E1(x) = ∫ exp(-t) / (x + t) dt, where exp(x) itself would overflow.
    far = (weights / (np.maximum(inverse, 30.0)[..., None] + nodes)).sum(axis=-1)
    return np.asarray(np.where(inverse > 30.0, far, np.exp(near) * exp1(near)) / math.log(2))


def ergodic_rayleigh_constrained(order: int, esno_db: Numbers) -> Float[Array, " *shape"]:
    """`constrained` averaged over fast Rayleigh fading of E|h|² = 1, bits per complex symbol, within 1e-9 bit.

    The receiver knows the gain. `esno_db` is the average Es/N0 in dB, of any shape; the errors are those of
    `constrained`.
    """
    gain = np.exp(_LOG_GAIN)
    density = gain * np.exp(-gain)  # of the gain's logarithm
    faded_db = np.asarray(esno_db, dtype=np.float64)[..., None] + decibels(gain)
    return np.asarray(constrained(order, faded_db) @ (density / density.sum()))


def outage_rayleigh(esno_db: Numbers, rate: Numbers) -> Float[Array, " *shape"]:
    """Probability that block Rayleigh fading does not carry `rate`: 1 - exp(-(2^rate - 1) / γ).

    Args:
        esno_db: average Es/N0 γ in dB.
        rate: bits per complex symbol; the two broadcast.

    Raises:
        ValueError: a rate is negative or not a number.

    Source: D. Tse and P. Viswanath, "Fundamentals of Wireless Communication" (2005), section 5.4.1.
    """
    rate = np.asarray(rate, dtype=np.float64)
    require("rate", rate, rate >= 0, "at least 0 bits per symbol")
    needed, esno = np.broadcast_arrays(np.expm1(rate * math.log(2)), linear(esno_db))
    with np.errstate(divide="ignore", invalid="ignore"):
        outage = -np.expm1(-needed / esno)
    return np.asarray(np.where(needed > 0, outage, 0.0))  # nothing to carry never fails, not even at γ = 0


def outage_capacity_rayleigh(esno_db: Numbers, outage: Numbers) -> Float[Array, " *shape"]:
    """The rate that block Rayleigh fading fails to carry with probability `outage`: log2(1 - γ ln(1 - outage)).

    Args:
        esno_db: average Es/N0 γ in dB.
        outage: probability, at least 0 and below 1; the two broadcast.

    Returns:
        bits per complex symbol.

    Raises:
        ValueError: an outage probability lies outside.

    Source: as `outage_rayleigh`.
    """
    outage = np.asarray(outage, dtype=np.float64)
    require("outage", outage, (outage >= 0) & (outage < 1), "at least 0 and below 1")
    gain, esno = np.broadcast_arrays(-np.log1p(-outage), linear(esno_db))
    with np.errstate(invalid="ignore"):
        snr = np.where(gain > 0, esno * gain, 0.0)  # no rate never fails, not even at γ = ∞
    return np.asarray(np.log1p(snr) / math.log(2))
