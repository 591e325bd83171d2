"""Channel estimation on a resource grid: along frequency in each OFDM symbol with pilots, then along time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.phy.ofdm.delay_profile import Paths, frequency_correlation, time_correlation
from semlink.phy.ofdm.grid import Grid, Numerology
from semlink.phy.pilots import Correlation, Estimator, Interpolator, make_interpolator

Array = np.ndarray


@dataclass(frozen=True)
class Axis:
    """An interpolator along one axis, and what its error is made of, for each component of the channel.

    Attributes:
        line: the interpolator.
        cross: E[ĥ h*] of each component, whose power is shared out to the axes as the caller likes, (k, m).
        spread: E|ĥ|² of each component without noise, (k, m).
    """

    line: Interpolator
    cross: Complex[Array, "k m"]
    spread: Float[Array, "k m"]

    def matrix(self, first: int, end: int) -> tuple[int, Complex[Tensor, "m p"]]:
        """Weights for the places `first` to `end`, from as few neighbouring pilots as they need, and the first one."""
        index, weights = self.line.index[first:end], self.line.weights[first:end]
        low = int(index.min())
        dense = np.zeros((len(index), int(index.max()) + 1 - low), dtype=np.complex64)
        np.add.at(dense, (np.arange(len(index))[:, None], index - low), weights)
        return low, torch.from_numpy(dense)


@dataclass(frozen=True)
class Plan:
    """How the channel of one transmit antenna is estimated.

    Attributes:
        frequency: along the used carriers.
        time: along OFDM symbols.
        error: mean squared error at each element of the grid, (s, u).
    """

    frequency: Axis
    time: Axis
    error: Float[Tensor, "s u"]


@dataclass(frozen=True)
class Estimate:
    """What a receiver knows of the channel from its pilots.

    Attributes:
        plans: of each transmit antenna.
        seen: the channel of each transmit antenna along frequency, in the OFDM symbols that have its pilots.
        error: mean squared error at each element, summed over transmit antennas weighted by their energy, (s, u).
    """

    plans: Sequence[Plan]
    seen: Sequence[Complex[Tensor, "b p u rx"]]
    error: Float[Tensor, "s u"]

    def response(self, first: int, end: int) -> Complex[Tensor, "b s u rx tx"]:
        """The channel in the OFDM symbols `first` to `end`."""
        parts = []
        for plan, seen in zip(self.plans, self.seen, strict=True):
            low, weights = plan.time.matrix(first, end)
            near = seen[:, low : low + weights.shape[1]]
            parts.append((weights.to(near) @ near.flatten(2)).reshape(len(near), -1, *near.shape[2:]))
        return torch.stack(parts, dim=4)


def estimate(
    observed: Complex[Tensor, "b s u rx"],
    grid: Grid,
    paths: Paths,
    numerology: Numerology,
    noise: float,
    energy: Sequence[float],
    *,
    estimator: Estimator,
) -> Estimate:
    """Estimate the channel between all antennas from the pilots in what arrived.

    `noise` is the variance at each pilot for channels of unit mean power, and `energy` that of each transmit antenna on
    an element of the payload.
    """
    plans = [make_plan(grid, antenna, paths, numerology, noise, estimator) for antenna in range(len(energy))]
    seen = []
    for antenna, plan in enumerate(plans):
        pilots = grid.observed_pilots(observed, antenna)
        _, weights = plan.frequency.matrix(0, grid.used)  # from the first pilot to the last
        seen.append(weights.to(pilots) @ pilots)
    error = sum((share * plan.error for share, plan in zip(energy, plans, strict=True)), torch.zeros(()))
    return Estimate(plans, seen, error)


@lru_cache(maxsize=64)
def make_plan(
    grid: Grid, antenna: int, paths: Paths, numerology: Numerology, noise: float, estimator: Estimator
) -> Plan:
    """Interpolators for one transmit antenna, and the error that they make.

    A channel of several `components` has no correlation that is a product of one along frequency and one along time,
    but those of its components are: the error's terms are summed over them.
    """
    rows, columns = grid.pilots[antenna]
    parts, spacing, length = paths.components, numerology.spacing_hz, numerology.symbol_s
    along = [_each_once(part.frequency_correlation, spacing) for part in parts]
    across = [_each_once(part.time_correlation, length) for part in parts]
    whole = _each_once(partial(frequency_correlation, paths), spacing)
    frequency = _axis(columns, numerology.carriers, whole, along, noise, estimator)
    left = float(frequency.line.error(noise).mean())
    whole = _each_once(partial(time_correlation, paths), length)
    time = _axis(rows, np.arange(grid.symbols), whole, across, left, estimator)
    gain = np.outer(time.line.noise_gain, frequency.line.noise_gain)
    error = 1 - 2 * (time.cross.T @ frequency.cross).real + time.spread.T @ frequency.spread + noise * gain
    return Plan(frequency, time, torch.from_numpy(np.maximum(0.0, error)).float())


def _axis(
    pilots: Array,
    places: Array,
    correlation: Correlation,
    parts: Sequence[Correlation],
    noise: float,
    estimator: Estimator,
) -> Axis:
    """Along places, of which those at the indices `pilots` have pilots."""
    at, everywhere = places[pilots].astype(np.float64), places.astype(np.float64)
    line = make_interpolator(at, everywhere, correlation, noise, estimator=estimator)
    near = at[line.index]
    to_place, between = near - everywhere[:, None], near[:, :, None] - near[:, None, :]
    cross = [np.einsum("mt,mt->m", line.weights, part(to_place)) for part in parts]
    spread = [np.einsum("ms,mst,mt->m", line.weights, part(between), line.weights.conj()).real for part in parts]
    return Axis(line, np.stack(cross).astype(np.complex128), np.stack(spread))


def _each_once(correlation: Correlation, unit: float) -> Correlation:
    """The same correlation, in steps of `unit`, worked out once for each difference: a regular grid has few."""

    def evaluate(difference: Float[Array, "*s"]) -> Array:
        values, inverse = np.unique(difference, return_inverse=True)
        return np.asarray(correlation(values * unit)[inverse.reshape(np.shape(difference))])

    return evaluate
