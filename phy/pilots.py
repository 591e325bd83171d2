"""Channel estimation from pilots: linear estimators of gains at some places from noisy ones at others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

Array = np.ndarray
Correlation = Callable[[Float[Array, "*s"]], Float[Array, "*s"] | Complex[Array, "*s"]]
"""E[h(x + d) h(x)*] of gains of unit mean power, by the difference d of their places."""

Estimator = Literal["ls", "mmse"]
TAPS = 8
"""Pilots that an MMSE estimate is made of, the nearest ones."""


@dataclass(frozen=True)
class Interpolator:
    """Estimates ĥ = Σ_i weights[m, i] observed[index[m, i]], and what its error is made of, for each of m places.

    With noise of variance σ² on each observation, E|ĥ - h|² = 1 - 2 Re(cross) + spread + σ²·noise_gain. Of estimators
    applied one after the other along two axes whose correlation is a product, each of the three is a product too.

    Attributes:
        index: the observations that are used, (m, taps).
        weights: (m, taps).
        cross: Σ_i weights_i R(pilot_i - place), (m,): E[ĥ h*].
        spread: weights R weights^H, (m,): E|ĥ|² without noise.
        noise_gain: Σ|weights_i|², (m,).
    """

    index: Int[Array, "m t"]
    weights: Complex[Array, "m t"]
    cross: Complex[Array, " m"]
    spread: Float[Array, " m"]
    noise_gain: Float[Array, " m"]

    def __call__(self, observed: Complex[Tensor, "*b p"]) -> Complex[Tensor, "*b m"]:
        """Gains at the m places, from the p observed ones."""
        weights = torch.from_numpy(self.weights).to(observed)
        return (observed[..., torch.from_numpy(self.index)] * weights).sum(dim=-1)

    def error(self, noise: float) -> Float[Array, " m"]:
        """Mean squared error at each place, for observations with this noise variance."""
        error = 1 - 2 * self.cross.real + self.spread + noise * self.noise_gain
        return np.asarray(np.maximum(0.0, error))


def make_interpolator(
    pilots: Float[Array, " p"],
    places: Float[Array, " m"],
    correlation: Correlation,
    noise: float,
    *,
    estimator: Estimator,
    taps: int = TAPS,
) -> Interpolator:
    """An estimator of gains at `places` from observations at `pilots` (rising), each with this noise variance.

    "ls" takes the observations as they are (least squares) and draws straight lines between them, level beyond the
    first and the last. "mmse" is the linear estimate of least mean squared error (Wiener) from the `taps` nearest
    pilots, for a receiver that knows the correlation and the noise.

    Raises:
        ValueError: no pilot, or an unknown estimator.
    """
    if not len(pilots):
        raise ValueError("pilots=0: estimation needs at least one")
    if estimator == "ls":
        index, weights = _lines(pilots, places)
    elif estimator == "mmse":
        index = _nearest(pilots, places, min(taps, len(pilots)))
        weights = _wiener(pilots[index], places, correlation, noise)
    else:
        raise ValueError(f"estimator={estimator!r} must be one of: ls, mmse")
    near = pilots[index]
    between = correlation(near[:, :, None] - near[:, None, :])  # (m, t, t)
    cross = np.einsum("mt,mt->m", weights, correlation(near - places[:, None]))
    spread = np.einsum("ms,mst,mt->m", weights, between, weights.conj()).real
    return Interpolator(index, weights, cross, spread, np.square(np.abs(weights)).sum(axis=1))


def _wiener(
    near: Float[Array, "m t"], places: Float[Array, " m"], correlation: Correlation, noise: float
) -> Complex[Array, "m t"]:
    """w = r^H (R + σ² I)^-1, where r is between the observations and the place; one solution for each pattern."""
    # Patterns repeat along a regular grid. Rounding makes equal what the grid made equal.
    patterns = np.round(near - places[:, None], 9)
    unique, inverse = np.unique(patterns, axis=0, return_inverse=True)
    covariance = correlation(unique[:, :, None] - unique[:, None, :]) + max(noise, 1e-9) * np.eye(near.shape[1])
    r = correlation(unique)
    solved = np.linalg.solve(covariance.conj().swapaxes(1, 2), r[:, :, None].astype(np.complex128))
    return np.asarray(solved[:, :, 0].conj()[inverse.ravel()])


def _nearest(pilots: Float[Array, " p"], places: Float[Array, " m"], taps: int) -> Int[Array, "m t"]:
    """Indices of `taps` neighbouring pilots around each place, as many to its left as to its right where there are."""
    right = np.searchsorted(pilots, places)
    first = np.clip(right - taps // 2, 0, len(pilots) - taps)
    return first[:, None] + np.arange(taps)


def _lines(pilots: Float[Array, " p"], places: Float[Array, " m"]) -> tuple[Int[Array, "m t"], Complex[Array, "m t"]]:
    right = np.clip(np.searchsorted(pilots, places), 0, len(pilots) - 1)
    left = np.maximum(right - 1, 0)
    gap = np.where(right > left, pilots[right] - pilots[left], 1.0)
    share = np.clip((places - pilots[left]) / gap, 0.0, 1.0) * (right > left)
    return np.stack([left, right], axis=1), np.stack([1 - share, share], axis=1).astype(np.complex128)
