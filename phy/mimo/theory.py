"""Closed forms of multi-antenna links on independent flat Rayleigh fading, E|h|² = 1: the yardstick of the simulations.

Es/N0 is the total transmit energy of a channel use over the noise variance of one receive antenna, in dB, unless it is
said to be that of a branch.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Complex, Float
from numpy.typing import ArrayLike
from scipy import special

from semlink.phy.parameters import check_whole
from semlink.phy.theory import average_over_terms, faded_erfc

Array = np.ndarray


def mrc_qam_ber(order: int, esno_db: ArrayLike, *, branches: int) -> Float[Array, " *shape"]:
    """Bit error rate of Gray square QAM behind maximum-ratio combining of `branches` branches.

    Each term erfc(sqrt(x)) of the expression on AWGN, for x of mean X in each branch, has the mean
    2 ((1 - μ)/2)^L Σ_{k<L} C(L - 1 + k, k) ((1 + μ)/2)^k with μ = sqrt(X / (1 + X)).

    Args:
        order: number of points: 4, 16, 64, 256, ….
        esno_db: Es/N0 of a branch.
        branches: L.

    Raises:
        ValueError: another order, or no branch.

    Source: J. G. Proakis, "Digital Communications", 4th ed., eq. (14.4-15), for each term of `qam_ber_awgn`.
    """
    check_whole("branches", branches, 1)

    def term(x: Array) -> Array:
        low = 0.5 * faded_erfc(x)  # (1 - μ)/2
        series = sum(math.comb(branches - 1 + k, k) * (1 - low) ** k for k in range(branches))
        return np.asarray(2 * low**branches * series)

    return average_over_terms(order, esno_db, term)


def alamouti_qam_ber(order: int, esno_db: ArrayLike, *, rx: int) -> Float[Array, " *shape"]:
    """Of Alamouti's scheme: that of combining 2·rx branches, each of half the energy.

    Raises:
        ValueError: as `mrc_qam_ber`.

    Source: S. M. Alamouti, IEEE J. Sel. Areas Commun. 16 (1998) 1451-1458, section IV.
    """
    return mrc_qam_ber(order, np.asarray(esno_db) - 10 * math.log10(2), branches=2 * rx)


def zf_qam_ber(order: int, esno_db: ArrayLike, *, tx: int, rx: int) -> Float[Array, " *shape"]:
    """Of tx streams of energy 1/tx behind zero-forcing: that of rx - tx + 1 branches.

    Raises:
        ValueError: another order, or more streams than receive antennas.

    Source: J. H. Winters, J. Salz and R. D. Gitlin, "The impact of antenna diversity on the capacity of wireless
    communication systems", IEEE Trans. Commun. 42 (1994) 1740-1751.
    """
    _check_streams(tx, rx)
    return mrc_qam_ber(order, np.asarray(esno_db) - 10 * math.log10(tx), branches=rx - tx + 1)


def zf_snr_cdf(snr: ArrayLike, esno_db: float, *, tx: int, rx: int) -> Float[Array, " *shape"]:
    """Probability that a zero-forced stream's SNR (linear) is below `snr`: chi-square of 2 (rx - tx + 1) degrees.

    Exponential for as many streams as antennas, of mean Es/N0 / tx.

    Raises:
        ValueError: more streams than receive antennas.

    Source: D. Gore, R. W. Heath and A. Paulraj, "On performance of the zero forcing receiver in presence of transmit
    correlation", ISIT 2002; Winters et al. as for `zf_qam_ber`.
    """
    _check_streams(tx, rx)
    return _gains_below(np.asarray(snr) * tx, esno_db, rx - tx + 1)


def zf_diversity(*, tx: int, rx: int) -> int:
    """Diversity order of a zero-forced stream, rx - tx + 1.

    Raises:
        ValueError: more streams than receive antennas.
    """
    _check_streams(tx, rx)
    return rx - tx + 1


def diversity_slope(esno_db: ArrayLike, error_rate: ArrayLike) -> Float[Array, " points1"]:
    """Decades that an error rate falls by in each decade (10 dB) of Es/N0, between neighbouring points.

    It tends to the diversity order as Es/N0 grows. Source: D. Tse and P. Viswanath, "Fundamentals of Wireless
    Communication", chapter 3.
    """
    return np.asarray(-np.diff(np.log10(np.asarray(error_rate))) / np.diff(np.asarray(esno_db) / 10))


def ergodic_capacity(esno_db: ArrayLike, *, tx: int, rx: int) -> Float[Array, " *shape"]:
    """E log2 det(I + Es/(N0 tx) H H^H), in bits a channel use: the transmitter knows nothing of the channel.

    With m = min(tx, rx), n = max(tx, rx), the integral over λ of log2(1 + λ Es/(N0 tx)) times
    Σ_{k<m} k!/(k + n - m)! L_k^{n-m}(λ)² λ^{n-m} e^-λ.

    Raises:
        ValueError: a number of antennas below 1 or above 64.

    Source: I. E. Telatar, "Capacity of multi-antenna Gaussian channels", Eur. Trans. Telecomm. 10 (1999) 585-595,
    theorem 2.
    """
    for name, value in (("tx", tx), ("rx", rx)):
        check_whole(name, value, 1)
        if value > 64:
            raise ValueError(f"{name}={value} must be at most 64")
    m, n = min(tx, rx), max(tx, rx)
    # The density's tail beyond its largest zero falls like a Gaussian's.
    end = (math.sqrt(n) + math.sqrt(m)) ** 2 + 30 * (math.sqrt(n) + math.sqrt(m)) + 60
    node, weight = np.polynomial.legendre.leggauss(12 * m + 300)
    # λ = end·u², which is smooth where sqrt(λ) is not and dense where small eigenvalues are.
    u = 0.5 * (node + 1)
    eigenvalue, weight = end * u * u, 0.5 * weight * 2 * end * u
    snr = 10 ** (np.asarray(esno_db, dtype=np.float64)[..., None] / 10) / tx
    return np.asarray(np.log1p(snr * eigenvalue) @ (weight * _eigenvalue_density(eigenvalue, m, n)) / math.log(2))


def mrc_capacity(esno_db: ArrayLike, *, branches: int) -> Float[Array, " *shape"]:
    """E log2(1 + Es/N0 Σ|h_i|²) of `branches` branches: one transmit antenna, or maximum-ratio transmission to one.

    Without CSI at the transmitter, tx antennas to one reach that of tx branches at Es/N0 / tx. It is log2(e) e^x
    Σ_{k=1}^{L} E_k(x) with x = N0/Es.

    Args:
        esno_db: Es/N0 of a branch.
        branches: L.

    Raises:
        ValueError: no branch.

    Source: M.-S. Alouini and A. J. Goldsmith, "Capacity of Rayleigh fading channels under different adaptive
    transmission and diversity-combining techniques", IEEE Trans. Veh. Technol. 48 (1999) 1165-1181.
    """
    check_whole("branches", branches, 1)
    x = 10 ** (-np.asarray(esno_db, dtype=np.float64) / 10)
    return np.asarray(sum(_scaled_expn(k, x) for k in range(1, branches + 1)) / math.log(2))


def mrc_outage_probability(rate: ArrayLike, esno_db: float, *, branches: int) -> Float[Array, " *shape"]:
    """Probability that log2(1 + Es/N0 Σ|h_i|²) is below `rate` bits a use; `esno_db` is that of a branch.

    Raises:
        ValueError: no branch.

    Source: D. Tse and P. Viswanath, "Fundamentals of Wireless Communication", section 5.4.2.
    """
    check_whole("branches", branches, 1)
    return _gains_below(np.expm1(np.asarray(rate) * math.log(2)), esno_db, branches)


def mrc_outage_capacity(outage: ArrayLike, esno_db: float, *, branches: int) -> Float[Array, " *shape"]:
    """The rate in bits a use that fails with probability `outage`: the inverse of `mrc_outage_probability`.

    Raises:
        ValueError: no branch, or a probability outside of 0 … 1.
    """
    check_whole("branches", branches, 1)
    probability = np.asarray(outage, dtype=np.float64)
    if not ((probability >= 0) & (probability < 1)).all():
        raise ValueError(f"outage={outage!r} must be from 0 to below 1")
    gain = special.gammaincinv(branches, probability)
    with np.errstate(invalid="ignore"):
        snr = 10 ** (esno_db / 10) * gain
    return np.asarray(np.log1p(np.where(gain > 0, snr, 0.0)) / math.log(2))  # none never fails, at any Es/N0


def waterfilling_capacity(h: Complex[Array, "*batch rx tx"], n0: float) -> Float[Array, "*batch"]:
    """Σ log2(μ σ_i²/N0)+ of each channel, in bits a use, with the water level μ of total energy 1, by bisection.

    A channel of zeros has capacity 0.

    Raises:
        ValueError: `n0` is not positive.

    Source: Telatar, section 3.1.
    """
    if not n0 > 0:
        raise ValueError(f"n0={n0!r} must be positive")
    gain = np.square(np.linalg.svd(h, compute_uv=False)) / n0
    floor = 1 / np.maximum(gain, 1e-30)
    low, high = floor.min(axis=-1, keepdims=True), floor.min(axis=-1, keepdims=True) + 1
    for _ in range(100):
        level = 0.5 * (low + high)
        over = np.maximum(level - floor, 0).sum(axis=-1, keepdims=True) > 1
        low, high = np.where(over, low, level), np.where(over, level, high)
    return np.asarray(np.log2(np.maximum(high / floor, 1)).sum(axis=-1))


def _eigenvalue_density(x: Float[Array, " x"], m: int, n: int) -> Float[Array, " x"]:
    """m times the density of an unordered eigenvalue of a Wishart matrix, from Laguerre functions of unit norm."""
    a = n - m
    previous, function = np.zeros_like(x), np.exp(0.5 * (special.xlogy(a, x) - x - special.gammaln(a + 1)))
    total = function**2
    for k in range(m - 1):
        scale = math.sqrt((k + 1) * (k + 1 + a))
        back = math.sqrt(k * (k + a))
        previous, function = function, ((2 * k + 1 + a - x) * function - back * previous) / scale
        total += function**2
    return np.asarray(total)


def _scaled_expn(k: int, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """e^x E_k(x); beyond x = 600 by its asymptotic series (M. Abramowitz and I. A. Stegun, eq. 5.1.52)."""
    near, large = np.minimum(x, 600.0), np.clip(x, 600.0, 1e60)
    far = 1 / (large + k) * (1 + k / (large + k) ** 2 + k * (k - 2 * large) / (large + k) ** 4)
    return np.asarray(np.where(x < 600.0, np.exp(near) * special.expn(k, near), np.where(np.isinf(x), 0.0, far)))


def _gains_below(needed: ArrayLike, esno_db: float, branches: int) -> Float[Array, " *shape"]:
    """Probability that Es/N0 times the gains of so many branches is below `needed`; never where that is 0."""
    level = np.asarray(needed, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = level / np.float64(10 ** (esno_db / 10))
    return np.asarray(special.gammainc(branches, np.where(level > 0, gain, 0.0)))


def _check_streams(tx: int, rx: int) -> None:
    check_whole("tx", tx, 1)
    if rx < tx:
        raise ValueError(f"tx={tx} streams on rx={rx} antennas cannot be zero-forced; rx must be at least tx")
