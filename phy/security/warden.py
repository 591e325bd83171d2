"""A warden: a radiometer that asks whether anybody sends, by simulation and by the laws of what it measures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import special

from semlink.phy.metrics import Estimate, error_rate
from semlink.phy.parameters import check_choice, check_number
from semlink.phy.security import theory
from semlink.phy.security.jammer import FriendlyJammer, Path

Array = np.ndarray
Envelope = Literal["gaussian", "constant"]
"""Of a transmission's samples: as of a neural code or OFDM, or of one magnitude, as of PSK."""
NODES = 400
"""Quantiles that stand for a spread of noise or jamming power in `Warden.error_sum`, where it has no closed form."""


@dataclass(frozen=True)
class Warden:
    """Averages the energy of n complex samples and compares it with a threshold: T = Σ|y|²/n > τ.

    She knows the laws of everything and the threshold that serves her best, the worst case for those who hide; what she
    does not know is what is drawn for each time she listens. Powers are linear, as she gets them, in the unit of her
    noise; a jammer's `jsr_db` is its power in this unit.

    Attributes:
        samples: n; `math.inf` for one who measures the mean energy exactly (closed forms alone).
        noise: mean energy of her noise in a sample.
        noise_uncertainty_db: her noise is uniform in dB within ± this of `noise`, anew each time; 0 if she knows it.
        fading: of the transmitter's signal: "none" (she knows the gain), or "rayleigh" (unknown, of mean power 1, one
            for all n samples).

    Raises:
        ValueError: less than one sample, noise that is not positive, an uncertainty outside of 0 … 30 dB, another word.
    """

    samples: float
    noise: float = 1.0
    noise_uncertainty_db: float = 0.0
    fading: Path = "none"

    def __post_init__(self) -> None:
        theory.false_alarm(0.0, self.noise, samples=self.samples)  # what it refuses
        if math.isfinite(self.samples) and self.samples != int(self.samples):
            raise ValueError(f"samples={self.samples!r} must be a whole number, or inf")
        check_number("noise_uncertainty_db", self.noise_uncertainty_db, 0, 30, "dB")
        check_choice("fading", self.fading, get_args(Path))

    def error_sum(
        self, threshold: ArrayLike, signal: float, jammer: FriendlyJammer | None = None
    ) -> Float[Array, " *shape"]:
        """P_FA + P_MD at thresholds τ, for a Gaussian signal of mean power `signal`, by the laws of all that is drawn.

        T is V·G, V the mean energy given all powers and gains and G of χ² of 2n degrees over 2n; what is averaged over
        by quantiles, `NODES` of each spread, is off by 1/NODES at most.

        Raises:
            ValueError: a negative power or threshold.
        """
        levels, _ = np.broadcast_arrays(np.asarray(threshold, dtype=float), _check_signal(signal, threshold))
        silent = self._below(levels, 0.0, jammer)
        return np.asarray(1 - silent + self._below(levels, signal, jammer))

    def least_error_sum(self, signal: float, jammer: FriendlyJammer | None = None) -> float:
        """ξ*, the least of `error_sum`: how far from detected they are who send at this power, 1 for not at all.

        Raises:
            ValueError: a negative power.
        """
        if _check_signal(signal) == 0:
            return 1.0
        from scipy import optimize  # a quarter of a second, of every program that uses a channel

        top = 2 * self.noise * 10 ** (self.noise_uncertainty_db / 10) + 20 * (signal + _mean_power(jammer))
        grid = np.geomspace(self.noise * 1e-3, top, 501) if self.samples < 100 else self._fine_grid(top)
        sums = self.error_sum(grid, signal, jammer)
        best = int(sums.argmin())
        near = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
        found = optimize.minimize_scalar(
            lambda level: float(self.error_sum(level, signal, jammer)), bounds=near, method="bounded"
        )
        return float(min(found.fun, sums[best]))

    def watch(
        self,
        signal: float,
        jammer: FriendlyJammer | None = None,
        *,
        trials: int,
        rng: np.random.Generator,
        envelope: Envelope = "gaussian",
    ) -> Watched:
        """Listen `trials` times in silence and as many times to a transmission, every sample drawn.

        Args:
            signal: mean power of the transmission as she gets it.
            jammer: on the air both times; None for none.
            trials: independent of each other, in noise, powers, gains and samples.
            rng: of all of it.
            envelope: of the transmission.

        Raises:
            ValueError: a negative power, no trial, another envelope, or infinitely many samples.
        """
        _check_signal(signal)
        check_choice("envelope", envelope, get_args(Envelope))
        if trials < 1 or math.isinf(self.samples):
            raise ValueError(f"trials={trials}, samples={self.samples}: give at least one trial of finitely many")
        silence = self._energies(np.zeros(trials), jammer, rng, envelope)
        gains = rng.exponential(size=trials) if self.fading == "rayleigh" else np.ones(trials)
        return Watched(silence, self._energies(signal * gains, jammer, rng, envelope))

    def _energies(
        self, power: Float[Array, " t"], jammer: FriendlyJammer | None, rng: np.random.Generator, envelope: Envelope
    ) -> Float[Array, " t"]:
        from semlink.phy.security.radiometer_kernel import constant_energies, gaussian_energies

        trials = len(power)
        spread = self.noise_uncertainty_db * rng.uniform(-1, 1, trials)
        variance = self.noise * 10 ** (spread / 10) + (0 if jammer is None else jammer.powers(trials, rng))
        keys, energies = rng.integers(0, 2**64, trials, dtype=np.uint64), np.empty(trials)
        if envelope == "gaussian":
            gaussian_energies(variance + power, int(self.samples), keys, energies)
        else:
            constant_energies(variance, power, int(self.samples), keys, energies)
        return energies

    def _fine_grid(self, top: float) -> Float[Array, " levels"]:
        """Thresholds that lie dense about the noise, where those of many samples are."""
        width = max(self.noise / math.sqrt(self.samples), 1e-9)
        near = self.noise * (1 + np.sinh(np.linspace(-3, 12, 601)) * width / 10)
        return np.unique(np.concatenate([near[near > 0], np.geomspace(self.noise * 1e-3, top, 301)]))

    def _below(self, levels: Array, signal: float, jammer: FriendlyJammer | None) -> Array:
        """P(T ≤ τ), averaged over the noise and, where it neither fades nor is fixed, the jamming."""
        spread = self.noise_uncertainty_db * (2 * _quantiles() - 1) if self.noise_uncertainty_db else np.zeros(1)
        floors = self.noise * 10 ** (spread / 10)
        scales, weights = _chi_square_nodes(self.samples)
        if _is_step(self.fading if signal else "none", jammer):
            steady = signal + (0.0 if jammer is None else 10 ** (jammer.jsr_db / 10))
            missed = [1 - theory.false_alarm(levels, floor + steady, samples=self.samples) for floor in floors]
            return np.asarray(np.mean(missed, axis=0))
        excess = levels[..., None, None] / scales[:, None] - floors
        return np.asarray((_excess_cdf(excess, signal, self.fading, jammer).mean(axis=-1) * weights).sum(axis=-1))


@dataclass(frozen=True)
class Watched:
    """What a warden measured.

    Attributes:
        silent: T of each trial without a transmission.
        sending: T of each trial with one.
    """

    silent: Float[Array, " trials"]
    sending: Float[Array, " trials"]

    def error_sum(self, threshold: float) -> Estimate:
        """P_FA + P_MD at a threshold, with a 95 % interval: both ends of the exact intervals of the two counts."""
        alarms = error_rate(int((self.silent > threshold).sum()), len(self.silent))
        misses = error_rate(int((self.sending <= threshold).sum()), len(self.sending))
        return Estimate(alarms.value + misses.value, alarms.low + misses.low, alarms.high + misses.high)

    def least_error_sum(self) -> Estimate:
        """ξ* as she would find it: the threshold from every second trial, the errors from the others.

        On the same trials the least sum would be too low, for it would fit their noise.
        """
        levels = np.sort(np.concatenate([self.silent[::2], self.sending[::2]]))
        alarms = 1 - np.searchsorted(np.sort(self.silent[::2]), levels, side="right") / len(self.silent[::2])
        misses = np.searchsorted(np.sort(self.sending[::2]), levels, side="right") / len(self.sending[::2])
        return Watched(self.silent[1::2], self.sending[1::2]).error_sum(float(levels[(alarms + misses).argmin()]))


def _is_step(fading: Path, jammer: FriendlyJammer | None) -> bool:
    """Whether the mean energy is certain, but for the noise."""
    return fading == "none" and (jammer is None or (jammer.power == "fixed" and jammer.fading == "none"))


def _excess_cdf(x: Array, signal: float, fading: Path, jammer: FriendlyJammer | None) -> Array:
    """P(J + S ≤ x) of jamming and signal as they arrive, where one of them at least is drawn."""
    peak = 0.0 if jammer is None else 10 ** (jammer.jsr_db / 10)
    drawn = jammer is not None and jammer.power == "uniform"
    if jammer is None or jammer.fading == "none":
        if not drawn:
            return _exponential_cdf(x - peak, signal)
        if fading == "none" or signal == 0:
            return np.asarray(np.clip((x - signal) / peak, 0.0, 1.0))
        # ∫ F(x - u) du over [0, P_max] of an exponential F: its own integral at both ends.
        return np.asarray((_exponential_integral(x, signal) - _exponential_integral(x - peak, signal)) / peak)
    powers = peak * (_quantiles(40) if drawn else np.ones(1))
    if fading == "none" or signal == 0:
        return np.asarray(np.mean([_exponential_cdf(x - signal, one) for one in powers], axis=0))
    return np.asarray(np.mean([_sum_cdf(x, signal, one) for one in powers], axis=0))


def _exponential_cdf(x: Array, mean: float) -> Array:
    return np.asarray(-np.expm1(-np.maximum(x, 0.0) / mean))


def _exponential_integral(x: Array, mean: float) -> Array:
    """Of its distribution function, from 0."""
    up = np.maximum(x, 0.0)
    return np.asarray(up + mean * np.expm1(-up / mean))


def _sum_cdf(x: Array, a: float, j: float) -> Array:
    """Of a sum of exponentials of means a and j."""
    up = np.maximum(x, 0.0)
    return np.asarray(theory.rayleigh_error_sum(up, a, j) - np.exp(-up / j))


def _chi_square_nodes(samples: float) -> tuple[Array, Array]:
    """Values and weights of G, of χ² of 2n degrees over 2n, for means over its law."""
    if math.isinf(samples):
        return np.ones(1), np.ones(1)
    u, weight = np.polynomial.legendre.leggauss(128)
    return np.asarray(special.gammaincinv(samples, (u + 1) / 2) / samples), weight / 2


def _quantiles(count: int = NODES) -> Array:
    """Of a uniform law on [0, 1]."""
    return (np.arange(count) + 0.5) / count


def _mean_power(jammer: FriendlyJammer | None) -> float:
    return 0.0 if jammer is None else float(10 ** (jammer.jsr_db / 10))


def _check_signal(signal: float, threshold: ArrayLike = 0.0) -> float:
    theory.missed_detection(threshold, 1.0, signal, samples=1)  # what it refuses
    return signal
