"""Closed forms of detection and covertness: what a warden with a radiometer can know of a transmission.

The warden averages the energy of n complex samples, T = Σ|y|²/n, and says "they send" where T exceeds a threshold.
Without a transmission (H0) a sample is CN(0, v0), v0 being her noise and what a jammer adds; with one (H1) the mean
energy is v0 + P. False alarm is P(T > τ | H0), missed detection P(T ≤ τ | H1). Their sum ξ is 1 for a warden who
guesses; its least value over the thresholds, ξ* ("least error sum" below), is what covertness is measured by: a link is
covert to ε where ξ* ≥ 1 - ε. All powers are linear, of any unit, the same for all of one call; gains are in them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

Array = np.ndarray


def false_alarm(threshold: ArrayLike, noise: ArrayLike, *, samples: float) -> Float[Array, " *shape"]:
    """P(T > τ) of samples CN(0, noise): Q(n, nτ/noise), for T/noise is χ² of 2n degrees of freedom over 2n.

    Args:
        threshold: τ.
        noise: mean energy of a sample under H0.
        samples: n; `math.inf` for a warden who measures the mean energy exactly.

    Raises:
        ValueError: a negative threshold, noise that is not positive, or less than one sample.

    Source: H. Urkowitz, "Energy detection of unknown deterministic signals", Proc. IEEE 55 (1967) 523-531.
    """
    level, variance = _powers("threshold", threshold), _positive("noise", noise)
    _check_samples(samples)
    if math.isinf(samples):
        return np.asarray((variance > level) * 1.0)
    return np.asarray(special.gammaincc(samples, samples * level / variance))


def missed_detection(
    threshold: ArrayLike, noise: ArrayLike, signal: ArrayLike, *, samples: float, envelope: str = "gaussian"
) -> Float[Array, " *shape"]:
    """P(T ≤ τ) where a signal lies on the noise: χ² for a Gaussian one, non-central χ² for one of constant envelope.

    Args:
        threshold: τ.
        noise: mean energy of a sample under H0.
        signal: what the transmission adds to it.
        samples: n; `math.inf` for a warden who measures the mean energy exactly.
        envelope: "gaussian" (samples CN(0, noise + signal), as of a neural code or OFDM) or "constant" (|s|² = signal:
            PSK; 2nT/noise is non-central χ² of 2n degrees and non-centrality 2n signal/noise).

    Raises:
        ValueError: a negative power, noise that is not positive, less than one sample, or another envelope.

    Source: Urkowitz, as for `false_alarm`.
    """
    level, variance, power = _powers("threshold", threshold), _positive("noise", noise), _powers("signal", signal)
    _check_samples(samples)
    if envelope not in ("gaussian", "constant"):
        raise ValueError(f"envelope={envelope!r} must be one of: gaussian, constant")
    if math.isinf(samples):
        return np.asarray((variance + power <= level) * 1.0)
    if envelope == "gaussian":
        return np.asarray(special.gammainc(samples, samples * level / (variance + power)))
    scale = 2 * samples / variance
    return np.asarray(special.chndtr(scale * level, 2 * samples, scale * power))


def least_error_sum(
    noise: ArrayLike, signal: ArrayLike, *, samples: float, envelope: str = "gaussian"
) -> Float[Array, " *shape"]:
    """ξ* of a radiometer that knows noise and signal power, at n samples.

    Raises:
        ValueError: as `missed_detection`.
    """
    level = best_threshold(noise, signal, samples=samples, envelope=envelope)
    missed = missed_detection(level, noise, signal, samples=samples, envelope=envelope)
    # Without a signal, any threshold has the sum 1; at infinite n the two steps of the closed form meet in one point.
    return np.where(np.asarray(signal) == 0, 1.0, false_alarm(level, noise, samples=samples) + missed)


def best_threshold(
    noise: ArrayLike, signal: ArrayLike, *, samples: float, envelope: str = "gaussian"
) -> Float[Array, " *shape"]:
    """The threshold of `least_error_sum`, where T is as likely under H0 as under H1.

    For a Gaussian signal, v0 = noise and v1 = noise + signal, that is v0 v1 ln(v1/v0) / (v1 - v0), whatever n. For one
    of constant envelope it is where the two densities of χ² cross, ln 0F1(n, λx/4) = λ/2.

    Raises:
        ValueError: as `missed_detection`.
    """
    missed_detection(0.0, noise, signal, samples=samples, envelope=envelope)  # what it refuses
    v0, power = np.broadcast_arrays(np.asarray(noise, dtype=float), np.asarray(signal, dtype=float))
    ratio = power / v0
    if envelope == "gaussian" or math.isinf(samples):
        return np.asarray(v0 * (1 + ratio) * _log1p_over(ratio))
    return np.asarray(v0 * np.vectorize(lambda x: _crossing(x, samples), otypes=[float])(ratio))


def rayleigh_error_sum(threshold: ArrayLike, signal: float, jamming: float) -> Float[Array, " *shape"]:
    """ξ(x) where both links to the warden fade (Rayleigh), n is infinite and x = τ - noise is her threshold above it.

    H0: T - noise is exponential of mean j, so P_FA = e^(-x/j). H1: it is a sum of exponentials of means a and j, and
    P_MD = 1 - (a e^(-x/a) - j e^(-x/j)) / (a - j). Together ξ(x) = 1 - a (e^(-x/a) - e^(-x/j)) / (a - j); in the
    limit a = j, 1 - (x/a) e^(-x/a).

    Args:
        threshold: x, from 0.
        signal: a, the mean power that she gets of the transmitter.
        jamming: j, the mean power that she gets of the jammer.

    Raises:
        ValueError: a threshold, signal or jamming that is negative, or no jamming.
    """
    x, a, j = _powers("threshold", threshold), float(_powers("signal", signal)), float(_positive("jamming", jamming))
    if a == 0:
        return np.ones_like(x)
    # (e^(-x/a) - e^(-x/j)) / (a - j) = (x/(a j)) e^(-x/j) expm1(u)/u, u = x (a - j)/(a j): no 0/0 at a = j; from the
    # larger mean, so that u is never positive.
    far, near = max(a, j), min(a, j)
    u = -x * (far - near) / (far * near)
    return np.asarray(1 - x / j * np.exp(-x / far) * np.where(u == 0, 1.0, np.expm1(u) / np.where(u == 0, 1.0, u)))


def rayleigh_threshold(signal: float, jamming: float) -> float:
    """The x of the least `rayleigh_error_sum`, a j ln(a/j) / (a - j); a where the means are equal.

    Raises:
        ValueError: a power that is not positive.
    """
    a, j = float(_positive("signal", signal)), float(_positive("jamming", jamming))
    return float(a * _log1p_over(np.asarray(a / j - 1)))


def rayleigh_least_error_sum(ratio: ArrayLike) -> Float[Array, " *shape"]:
    """ξ* = 1 - r^(-1/(r-1)) of a warden with infinite n, both links to whom fade (Rayleigh): the noise drops out.

    Derivation: of ξ(x) = 1 - a (e^(-x/a) - e^(-x/j)) / (a - j), as in `rayleigh_error_sum`, the derivative vanishes
    where e^(-x/a) / a = e^(-x/j) / j, that is at x* = a j ln(a/j) / (a - j). There e^(-x*/j) = (j/a) e^(-x*/a), so
    ξ* = 1 - a (1 - j/a) e^(-x*/a) / (a - j) = 1 - e^(-x*/a), and x*/a = ln(r) / (r - 1) with r = a/j. At r = 1 the
    exponent tends to 1: ξ* = 1 - 1/e. It falls from 1 (r = 0) to 0 (r → ∞).

    Args:
        ratio: r = a/j, mean power that the warden gets of the transmitter over that of the jammer; from 0.

    Raises:
        ValueError: a negative ratio.
    """
    r = _powers("ratio", ratio)
    return np.asarray(-np.expm1(-_log1p_over(r - 1, logarithm=np.log(np.maximum(r, 1e-300)))))


def rayleigh_ratio(epsilon: float) -> float:
    """The largest r of which `rayleigh_least_error_sum` is at least 1 - ε: how strong a covert transmitter may be.

    Raises:
        ValueError: ε outside of (0, 1).
    """
    check_epsilon(epsilon)
    excess = lambda log_r: float(rayleigh_least_error_sum(math.exp(log_r))) - (1 - epsilon)  # noqa: E731
    return math.exp(_root(excess, -690.0, 690.0, xtol=1e-13))


def uniform_jamming_least_error_sum(ratio: ArrayLike) -> Float[Array, " *shape"]:
    """ξ* = max(0, 1 - P_A/P_max): no fading, infinite n, a jammer whose power is uniform in [0, P_max].

    H0: T - noise is uniform in [0, P_max], H1: in [P_A, P_A + P_max]. Between P_A and P_max every threshold has
    P_FA + P_MD = (1 - x/P_max) + (x - P_A)/P_max; for P_A ≥ P_max one parts the two.

    Args:
        ratio: P_A/P_max, both as the warden gets them.

    Raises:
        ValueError: a negative ratio.

    Source: T. V. Sobers, B. A. Bash, S. Guha, D. Towsley and D. Goeckel, "Covert communication in the presence of an
    uninformed jammer", IEEE Trans. Wireless Commun. 16 (2017) 6193-6206, for such a jammer.
    """
    return np.asarray(np.maximum(0.0, 1 - _powers("ratio", ratio)))


def noise_uncertainty_least_error_sum(snr: ArrayLike, uncertainty_db: float) -> Float[Array, " *shape"]:
    """ξ* of infinite n where the warden's noise is uniform in dB within ± `uncertainty_db` of what she believes.

    With ρ the uncertainty as a factor, P_FA + P_MD = 1 - ln(τ/(τ - P)) / (2 ln ρ) for thresholds within the spread; the
    lowest of these, τ = P + noise/ρ, gives ξ* = 1 - ln(1 + ρ snr) / (2 ln ρ), and 0 where P ≥ noise (ρ - 1/ρ).

    Args:
        snr: P over the noise in the middle.
        uncertainty_db: 10 lg ρ, above 0.

    Raises:
        ValueError: a negative power or an uncertainty that is not positive.

    Source: B. He, S. Yan, X. Zhou and V. K. N. Lau, "On covert communication with noise uncertainty", IEEE Commun.
    Lett. 21 (2017) 941-944.
    """
    power = _powers("snr", snr)
    log_rho = float(_positive("uncertainty_db", uncertainty_db)) * math.log(10) / 10
    return np.asarray(np.maximum(0.0, 1 - np.log1p(math.exp(log_rho) * power) / (2 * log_rho)))


def covert_power(epsilon: float, *, samples: float, noise: float = 1.0) -> float:
    """The largest power of a Gaussian signal at which a warden of n samples has ξ* ≥ 1 - ε and knows her noise.

    It falls as 2 Φ⁻¹((1 + ε)/2) noise/√n, for T has a standard deviation of noise/√n: the square-root law.

    Raises:
        ValueError: ε outside of (0, 1), no finite number of samples from 1, or noise that is not positive.

    Source: B. A. Bash, D. Goeckel and D. Towsley, "Limits of reliable communication with low probability of detection
    on AWGN channels", IEEE J. Sel. Areas Commun. 31 (2013) 1921-1930.
    """
    check_epsilon(epsilon)
    _check_samples(samples)
    if math.isinf(samples):
        raise ValueError("samples=inf: a warden who knows her noise and listens forever finds any power")
    excess = lambda log_p: float(least_error_sum(1.0, math.exp(log_p), samples=samples)) - (1 - epsilon)  # noqa: E731
    return float(_positive("noise", noise)) * math.exp(_root(excess, -80.0, 80.0, xtol=1e-12))


def covert_bits(epsilon: float, *, samples: float, noise: float = 1.0, receiver_noise: float = 1.0) -> float:
    """Most bits of n channel uses that stay covert to ε: n log2(1 + P/receiver_noise) at `covert_power`.

    They grow as √n, by `covert_bits_slope`.

    Raises:
        ValueError: as `covert_power`, or a receiver's noise that is not positive.
    """
    power = covert_power(epsilon, samples=samples, noise=noise)
    return samples * math.log1p(power / float(_positive("receiver_noise", receiver_noise))) / math.log(2)


def covert_bits_slope(epsilon: float, *, noise: float = 1.0, receiver_noise: float = 1.0) -> float:
    """What `covert_bits` over √n tends to: 2 Φ⁻¹((1 + ε)/2) noise / (receiver_noise ln 2).

    Raises:
        ValueError: ε outside of (0, 1), or noise that is not positive.
    """
    check_epsilon(epsilon)
    ratio = float(_positive("noise", noise)) / float(_positive("receiver_noise", receiver_noise))
    return 2 * float(special.ndtri((1 + epsilon) / 2)) * ratio / math.log(2)


def covert_sinr(
    epsilon: float, jamming: ArrayLike, *, advantage: float = 1.0, leakage: float = 1.0, noise: float = 1.0
) -> Float[Array, " *shape"]:
    """Most signal over noise and jamming that a receiver has while ξ* ≥ 1 - ε, all links to the warden Rayleigh.

    Only the ratio of the powers decides ξ* (`rayleigh_least_error_sum`), so the transmitter may have r(ε) · advantage
    times the jammer's power, and the receiver gets that over leakage · jamming + noise. More jamming never harms, and
    in the end brings nothing: the limit is r(ε) · advantage / leakage. log2(1 + it) is the covert rate in bits a use.

    Args:
        epsilon: ε.
        jamming: power of the jammer, over that in which the noise is counted.
        advantage: mean gain from jammer to warden over that from transmitter to warden.
        leakage: mean gain from jammer to receiver over that from transmitter to receiver.
        noise: of the receiver, over the gain from the transmitter.

    Raises:
        ValueError: ε outside of (0, 1), a negative power, or noise or advantage that is not positive.
    """
    power = rayleigh_ratio(epsilon) * float(_positive("advantage", advantage)) * _powers("jamming", jamming)
    disturbance = float(_powers("leakage", leakage)) * np.asarray(jamming) + float(_positive("noise", noise))
    return np.asarray(power / disturbance)


def check_epsilon(epsilon: float) -> None:
    """Raise ValueError unless ε, by how much ξ* may stay below 1, lies between 0 and 1."""
    if not isinstance(epsilon, Real) or isinstance(epsilon, bool) or not 0 < epsilon < 1:
        raise ValueError(f"epsilon={epsilon!r} must lie between 0 and 1, both excluded")


def _log1p_over(d: Array, *, logarithm: Array | None = None) -> Array:
    """ln(1 + d) / d, 1 at d = 0; `logarithm` is ln(1 + d) where d is too close to -1 to tell it."""
    near = np.abs(d) < 0.5
    logs = np.log1p(d) if logarithm is None else np.where(near, np.log1p(np.where(near, d, 0.0)), logarithm)
    return np.where(d == 0, 1.0, logs / np.where(d == 0, 1.0, d))


def _root(function: Callable[[float], float], low: float, high: float, *, xtol: float) -> float:
    from scipy.optimize import brentq  # a quarter of a second, of every program that uses a channel

    return float(brentq(function, low, high, xtol=xtol))


def _crossing(snr: float, samples: float) -> float:
    """Threshold over the noise at which χ² of 2n degrees and its non-central form of λ = 2n·snr are as dense."""
    if snr == 0:
        return 1.0
    half = samples * snr  # λ/2
    return _root(lambda t: _log_0f1(samples, samples * half * t) - half, 0.0, 2 + 2 * snr, xtol=1e-14)


def _log_0f1(n: float, z: float) -> float:
    """ln 0F1(; n; z), from I_{n-1}(2√z) = z^((n-1)/2) 0F1(n, z) / Γ(n), by the uniform expansion where n is large.

    Source: NIST Digital Library of Mathematical Functions, 10.39.9 and 10.41.3.
    """
    if z == 0:
        return 0.0
    order, x = n - 1, 2 * math.sqrt(z)
    if order < 60:
        log_bessel = math.log(special.ive(order, x)) + x
    else:
        root = math.hypot(order, x)
        p = order / root
        u1 = (3 * p - 5 * p**3) / 24
        u2 = (81 * p**2 - 462 * p**4 + 385 * p**6) / 1152
        log_bessel = root + order * math.log(x / (order + root)) - 0.5 * math.log(2 * math.pi * root)
        log_bessel += math.log1p(u1 / order + u2 / order**2)
    return float(log_bessel + special.gammaln(n) - order * math.log(x / 2))


def _powers(name: str, given: ArrayLike) -> Array:
    values = np.asarray(given, dtype=np.float64)
    if not (values >= 0).all():
        raise ValueError(f"{name}={given!r} must not be negative: it is a power, linear")
    return values


def _positive(name: str, given: ArrayLike) -> Array:
    values = np.asarray(given, dtype=np.float64)
    if not (values > 0).all():
        raise ValueError(f"{name}={given!r} must be above 0")
    return values


def _check_samples(samples: float) -> None:
    if not isinstance(samples, Real) or isinstance(samples, bool) or not samples >= 1:
        raise ValueError(f"samples={samples!r} must be at least 1, or inf")
