"""How far one codec is ahead of another over the same images, fades and noise.

Paired: what the two share drops out. By the delta method, to first order a figure moves with each image by its
influence, whose mean has the interval of `semlink.phy.metrics.mean_estimate`. On a channel that fades, where a few
receptions decide it, each end is that of `semlink.phy.metrics.bounded_mean`, with one more reception put to those that
were seen, as bad for that end as any may be: one in which nothing arrives of either, or where links with code blocks
are among the two, of one of them alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from semlink.phy.metrics import Estimate, bounded_mean, mean_estimate

Values = Float[np.ndarray, "images realisations"]
FAR = 1.0
"""A perceptual distance of images that have nothing in common."""


def psnr_margin(
    errors: Values, others: Values, *, fades: bool = False, worst: float | None = None, alone: bool = False
) -> Estimate:
    """PSNR (from the mean squared error) above another codec's in dB, with its 95 % interval.

    Args:
        errors: squared errors of the one, by image and realisation.
        others: of the other one, over the very same.
        fades: whether a transmission may be bad as a whole, as `Luck.fades`.
        worst: with it, the squared error of an image of which nothing arrives; None for the largest that was seen.
        alone: whether one of the two may lose an image that the other shows, as links with code blocks do.

    Raises:
        ValueError: the shapes differ.
    """
    _check(errors, others)
    mean, other = float(errors.mean()), float(others.mean())
    if mean == 0 or other == 0:
        value = 0.0 if mean == other else math.copysign(math.inf, other - mean)
        return Estimate(value, math.nan, math.nan)
    influence = 10 / math.log(10) * (others / other - errors / mean)
    more = [10 / math.log(10) * (b / other - a / mean) for a, b in _unseen(errors, others, worst, alone)]
    return _around(10 * math.log10(other / mean), influence, more if fades else None)


def mean_psnr_margin(
    errors: Values, others: Values, *, fades: bool = False, worst: float | None = None, alone: bool = False
) -> Estimate:
    """The mean of the images' PSNR above another codec's in dB, with its 95 % interval.

    Images that one of the two received exactly, whose PSNR is infinite, make it unknown or infinite.

    Args:
        errors: squared errors of the one, by image and realisation.
        others: of the other one, over the very same.
        fades: whether a transmission may be bad as a whole, as `Luck.fades`.
        worst: with it, the squared error of an image of which nothing arrives; None for the largest that was seen.
        alone: whether one of the two may lose an image that the other shows, as links with code blocks do.

    Raises:
        ValueError: the shapes differ.
    """
    _check(errors, others)
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = np.where(errors == others, 0.0, 10 * np.log10(others / errors))
    if not np.isfinite(gains).all():
        return Estimate(float(gains.mean()), math.nan, math.nan)
    unseen = _unseen(errors, others, worst, alone)
    if fades and not all(a > 0 and b > 0 for a, b in unseen):
        return Estimate(float(gains.mean()), math.nan, math.nan)
    more = [10 * math.log10(b / a) - float(gains.mean()) for a, b in unseen] if fades else None
    return _around(float(gains.mean()), gains - gains.mean(), more)


def change_percent(values: Values, others: Values, *, fades: bool = False, alone: bool = False) -> Estimate:
    """The mean perceptual distance against another codec's, in per cent of the latter, with its 95 % interval.

    Args:
        values: of the one, by image and realisation.
        others: of the other one, over the very same.
        fades: whether a transmission may be bad as a whole, as `Luck.fades`; its distance is then `FAR`.
        alone: as of `psnr_margin`.

    Raises:
        ValueError: the shapes differ.
    """
    _check(values, others)
    mean, other = float(values.mean()), float(others.mean())
    if other == 0:
        return Estimate(math.nan, math.nan, math.nan)
    ratio = mean / other
    more = [100 / other * (a - ratio * b) for a, b in _unseen(values, others, FAR, alone)]
    return _around(100 * (ratio - 1), 100 / other * (values - ratio * others), more if fades else None)


def _unseen(errors: Values, others: Values, worst: float | None, alone: bool) -> list[tuple[float, float]]:
    """What the two may show of a reception that was not met."""
    most = max(float(errors.max()), float(others.max()), worst or 0.0)
    lost_alone = [(most, float(others.min())), (float(errors.min()), most)]
    return [(most, most), *(lost_alone if alone else [])]


def _around(value: float, influence: Values, unseen: Sequence[float] | None) -> Estimate:
    """The interval of a margin by the influence of each reception, and of those that were not met."""
    if unseen is None:
        spread = mean_estimate(influence)
        return Estimate(value, value + spread.low - spread.value, value + spread.high - spread.value)
    above, below = bounded_mean(influence, worst=max(unseen)), bounded_mean(-influence, worst=-min(unseen))
    return Estimate(value, value - (below.high - below.value), value + above.high - above.value)


def _check(values: Values, others: Values) -> None:
    if values.shape != others.shape:
        raise ValueError(f"shapes differ: {values.shape} against {others.shape}; a margin is over the same receptions")
