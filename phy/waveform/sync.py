"""Synchronisation of bursts: finding them, their carrier frequency, and what drifts while they last. NumPy alone."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Reals, Samples


@lru_cache(maxsize=64)
def cfar_threshold(references: int, observations: int, false_alarm: float) -> float:
    """Threshold on the share of the energy of `observations` that lies in the space of `references` in them.

    Of white Gaussian noise the share has the distribution Beta(M, N - M) whatever its level, hence a constant
    false-alarm rate: P(share > t) is the probability of fewer than M successes in N - 1 trials of probability t.

    Source: S. M. Kay, "Fundamentals of Statistical Signal Processing: Detection Theory", 1998, clause 9.4.

    Args:
        references: M orthogonal references.
        observations: N complex observations.
        false_alarm: probability wanted, at each place where the statistic is looked at.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        terms = (
            math.comb(observations - 1, j) * middle**j * (1 - middle) ** (observations - 1 - j)
            for j in range(references)
        )
        low, high = (middle, high) if sum(terms) > false_alarm else (low, middle)
    return high


@lru_cache(maxsize=64)
def tone_threshold(observations: int, width: float, false_alarm: float, *, pieces: int = 1) -> float:
    """Threshold on the largest share of the energy of N observations that a tone of any frequency explains.

    At one frequency the share of white Gaussian noise is Beta(1, N - 1) whatever its level, and P(share > t) is
    (1 - t)^(N - 1). Over all frequencies P(largest share > t) is at most that plus how often, on average, the share
    crosses t upwards, by Rice's formula on the sphere κ · width · √(t / π) · (1 - t)^(N - 3/2) · Γ(N) / Γ(N - 1/2)
    with κ = 2π · √((N² - 1) / 12). At the small probabilities of detection the bound is the probability itself.

    Source: S. O. Rice, Bell Syst. Tech. J. 24 (1945) 46-156; R. B. Davies, Biometrika 74 (1987) 33-43.

    Args:
        observations: N, complex, at equal distances.
        width: of all frequencies together in cycles per observation.
        false_alarm: probability wanted.
        pieces: number of intervals of frequencies.
    """
    n = observations
    crossings = 2 * math.pi * math.sqrt((n**2 - 1) / 12 / math.pi) * width
    crossings *= math.exp(math.lgamma(n) - math.lgamma(n - 0.5))
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        bound = pieces * (1 - middle) ** (n - 1) + crossings * math.sqrt(middle) * (1 - middle) ** (n - 1.5)
        low, high = (middle, high) if bound > false_alarm else (low, middle)
    return high


def frequency(known: Samples, places: Reals, *, centre: float, reach: float, points: int = 129) -> float:
    """Frequency in cycles per unit of `places` at which Σ known · exp(-j2πf·places) is largest: maximum likelihood.

    Args:
        known: received times the conjugates of the symbols that were sent, (n,).
        places: where they lie, (n,).
        centre: middle of the frequencies that are tried.
        reach: how far they go to either side.
        points: how many; a parabola through the best three gives the result.
    """
    grid = centre + np.linspace(-reach, reach, points)
    power = np.abs(np.exp(-2j * np.pi * np.outer(grid, places - np.mean(places))) @ known) ** 2
    best = int(np.clip(np.argmax(power), 1, points - 2))
    return float(grid[best] + parabola_peak(power[best - 1 : best + 2]) * (grid[1] - grid[0]))


class Fit(NamedTuple):
    """How much coefficients are to change, (p,), and the covariance of what they are then, (p, p)."""

    change: Reals
    covariance: Reals


def fit_polynomial(
    places: Reals, weights: Reals, moments: Reals, variance: float, before: Reals, deviations: Reals
) -> Fit:
    """Coefficients, constant first, of a polynomial through what is left of values when `before` was taken out.

    Bayesian least squares (S. M. Kay, "Fundamentals of Statistical Signal Processing: Estimation Theory", 1993, clause
    11.6): each coefficient has mean 0 and a standard deviation a priori.

    Args:
        places: of the values, (n,).
        weights: inverse variance of each up to a factor, (n,).
        moments: weight times value, (n,).
        variance: of a value of weight 1.
        before: coefficients so far, with the sign that makes values zero when they are right, (p,).
        deviations: a priori, infinite where nothing is known, (p,).
    """
    scale = max(float(np.max(np.abs(places))), 1.0)
    powers = np.vander(np.asarray(places) / scale, len(before), increasing=True)
    units = scale ** np.arange(len(before))
    prior = 1 / (np.asarray(deviations) * units) ** 2
    information = (powers * weights[:, None]).T @ powers / variance + np.diag(prior)
    covariance = np.linalg.inv(information)
    change = covariance @ (moments @ powers / variance + prior * before * units)
    return Fit(change / units, covariance / np.outer(units, units))


def polynomial(coefficients: Reals, places: Reals) -> Reals:
    """Its values at `places`, (n,), constant coefficient first."""
    at, values = np.asarray(places, dtype=np.float64), np.zeros(len(places))
    for one in coefficients[::-1].tolist():
        values *= at
        values += one
    return values


def parabola_peak(values: Reals) -> float:
    """Where the parabola through three equidistant values peaks: from -1 to 1, 0 at the middle one."""
    curvature = values[0] - 2 * values[1] + values[2]
    if curvature >= 0:
        return 0.0
    return float(np.clip((values[0] - values[2]) / (2 * curvature), -1, 1))


def turn(samples: Samples, cfo: float) -> NDArray[np.complex64]:
    """Samples (n,) times exp(j2π·cfo·i)."""
    # The product of a coarse and a fine phasor saves most of the exponentials.
    fine = np.exp(2j * np.pi * cfo * np.arange(256)).astype(np.complex64)
    coarse = np.exp(2j * np.pi * cfo * 256 * np.arange(-(-len(samples) // 256))).astype(np.complex64)
    turned: NDArray[np.complex64] = samples * np.outer(coarse, fine).ravel()[: len(samples)]
    return turned


def energy(values: Any) -> Any:  # noqa: ANN401 - real or complex, of any precision
    """|values|², without the root that `abs` takes."""
    return values.real**2 + values.imag**2


def window_sum(values: Samples, length: int, stride: int = 1) -> Samples:
    """Σ_i values[n + i·stride] over i = 0 … length - 1 for every n that has them all; by cumulative sums."""
    count = len(values) - (length - 1) * stride
    rows = -(-len(values) // stride)
    padded = np.zeros(rows * stride, dtype=np.result_type(values, np.float64))
    padded[: len(values)] = values
    total = np.cumsum(np.concatenate([np.zeros((1, stride)), padded.reshape(rows, stride)]), axis=0).ravel()
    sums: Samples = total[length * stride :][:count] - total[:count]
    return sums


def without_constant(samples: Samples, length: int) -> Samples:
    """Samples (n,) less the mean of some `length` around each, an eighth of it at a time: what is there as DC.

    At either end the mean is that of the first or last so many. n must be `length` or more.
    """
    step = length // 8
    rows = len(samples) // step
    means = samples[: rows * step].reshape(rows, step).mean(axis=1)
    around = np.pad(np.asarray(window_sum(means, 8)) / 8, (4, 3), mode="edge").astype(np.complex64)
    less = samples.copy()
    less[: rows * step].reshape(rows, step)[...] -= around[:, None]
    less[rows * step :] -= around[-1]
    return less


def share(part: Reals, whole: Reals) -> Reals:
    """part / whole, and 0 where there is next to nothing: of digital silence, rounding alone would be left."""
    floor = 1e-10 * float(np.max(whole, initial=0.0)) + 1e-30
    return np.where(whole > floor, part / np.maximum(whole, floor), 0.0)


class Tracker:
    """Smooths what known symbols tell of a quantity that changes slowly: straight lines fitted within a window.

    Local linear regression (W. S. Cleveland, J. Am. Stat. Assoc. 74 (1979) 829-836) with Epanechnikov's kernel, at
    the places of the observations; straight lines between those.

    Args:
        places: of the observations, ascending, (n,).
        weights: inverse variance of each up to a factor, (n,).
        width: the kernel reaches so far to either side; wider where it would hold fewer than three observations.
    """

    def __init__(self, places: Reals, weights: Reals, width: float) -> None:
        self.places = np.asarray(places, dtype=np.float64)
        away = self.places[None] - self.places[:, None]
        reach = np.maximum(width, 1.5 * _third(self.places) + 1e-9)[:, None]
        kernel = np.maximum(1 - (away / reach) ** 2, 0) * weights
        total, first = kernel.sum(axis=1, keepdims=True), (kernel * away).sum(axis=1, keepdims=True)
        second = (kernel * away**2).sum(axis=1, keepdims=True)
        determinant = total * second - first**2
        line = (second - first * away) / np.where(determinant > 1e-9 * total * second, determinant, 1)
        # With all weight at one place there is no line to fit, and the mean does.
        self._matrix = kernel * np.where(determinant > 1e-9 * total * second, line, 1 / total)
        self.parameters = float(np.trace(self._matrix))
        """How many free parameters the smoothing comes to."""
        self.error = (self._matrix**2 / np.asarray(weights)).sum(axis=1)
        """Variance of each smoothed observation, for a variance of 1 / weight of each observation, (n,)."""

    def smooth(self, values: Samples) -> Samples:
        """Smoothed observations, (n,)."""
        smoothed: Samples = self._matrix @ values
        return smoothed

    def at(self, smoothed: Samples, places: Reals) -> Samples:
        """Smoothed values between and, constant, beyond the observations."""
        return np.interp(places, self.places, smoothed)


def _third(places: Reals) -> Reals:
    """Distance from each of `places`, ascending, to the nearest but one of the others."""
    padded = np.concatenate([[-2e18, -1e18], places, [1e18, 2e18]])
    step = np.diff(padded)
    distance = np.minimum(step[:-3] + step[1:-2], step[2:-1] + step[3:])
    distance = np.minimum(distance, np.maximum(step[1:-2], step[2:-1]))
    # Fewer than three have none; then the whole range does.
    third: Reals = np.where(distance < 1e17, distance, np.ptp(places))
    return third


def local_variance(squares: Reals, places: Reals, width: float, *, lost: float, prior: float = 8.0) -> Reals:
    """Variance around each of `places` of residuals whose squared magnitudes are given, (n,).

    The mean of the squares within `width`, drawn towards that of all by the weight of `prior` observations.

    Args:
        squares: |residual|², (n,).
        places: of them, ascending, (n,).
        width: half of the window.
        lost: degrees of freedom that fitting has taken from all of them.
    """
    total = np.concatenate([[0.0], np.cumsum(squares)])
    first = np.searchsorted(places, places - width, side="left")
    last = np.searchsorted(places, places + width, side="right")
    correction = len(squares) / max(len(squares) - lost, 1.0)
    mean = total[-1] / len(squares)
    local: Reals = correction * (total[last] - total[first] + prior * mean) / (last - first + prior)
    return local


def last_alive(values: Reals, noise: Reals) -> int:
    """Index of the last observation before a signal ends, given what should be 1 while it lasts and 0 after, (n,).

    The most likely end is where Σ (values - 1/2) is largest. It counts only if what follows falls short by more than
    the noise would explain: at most one burst in thousands is cut short by error.

    Args:
        values: real, (n,).
        noise: standard deviation of each, (n,).
    """
    total = np.cumsum(values - 0.5)
    best = int(np.argmax(total))
    short = float(total[best] - total[-1])
    return best if short > 0.25 + 3.5 * float(np.mean(noise)) else len(values) - 1
