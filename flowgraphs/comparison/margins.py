"""How far one codec is ahead of another over the same images, fades and noise.

Paired: what the two share drops out. By the delta method, to first order a figure moves with each image by its
influence, whose mean has the interval of `semlink.phy.metrics.mean_estimate`, or on a channel that fades, where a few
receptions decide it, of `semlink.phy.metrics.bounded_mean`. That reckons with what was seen alone: how far apart two
codecs are in a fade that was not met is not known.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from semlink.phy.metrics import Estimate, bounded_mean, mean_estimate

Values = Float[np.ndarray, "images realisations"]


def psnr_margin(errors: Values, others: Values, *, fades: bool = False) -> Estimate:
    """PSNR (from the mean squared error) above another codec's in dB, with its 95 % interval.

    Args:
        errors: squared errors of the one, by image and realisation.
        others: of the other one, over the very same.
        fades: whether a transmission may be bad as a whole, as `Luck.fades`.

    Raises:
        ValueError: the shapes differ.
    """
    _check(errors, others)
    mean, other = float(errors.mean()), float(others.mean())
    if mean == 0 or other == 0:
        value = 0.0 if mean == other else math.copysign(math.inf, other - mean)
        return Estimate(value, math.nan, math.nan)
    influence = 10 / math.log(10) * (others / other - errors / mean)
    return _around(10 * math.log10(other / mean), influence, fades)


def mean_psnr_margin(errors: Values, others: Values, *, fades: bool = False) -> Estimate:
    """The mean of the images' PSNR above another codec's in dB, with its 95 % interval.

    Images that one of the two received exactly, whose PSNR is infinite, make it unknown or infinite.

    Args:
        errors: squared errors of the one, by image and realisation.
        others: of the other one, over the very same.
        fades: whether a transmission may be bad as a whole, as `Luck.fades`.

    Raises:
        ValueError: the shapes differ.
    """
    _check(errors, others)
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = np.where(errors == others, 0.0, 10 * np.log10(others / errors))
    if not np.isfinite(gains).all():
        return Estimate(float(gains.mean()), math.nan, math.nan)
    return _around(float(gains.mean()), gains - gains.mean(), fades)


def change_percent(values: Values, others: Values, *, fades: bool = False) -> Estimate:
    """The mean of a figure against another codec's, in per cent of the latter, with its 95 % interval.

    Args:
        values: of the one, by image and realisation.
        others: of the other one, over the very same.
        fades: whether a transmission may be bad as a whole, as `Luck.fades`.

    Raises:
        ValueError: the shapes differ.
    """
    _check(values, others)
    mean, other = float(values.mean()), float(others.mean())
    if other == 0:
        return Estimate(math.nan, math.nan, math.nan)
    ratio = mean / other
    return _around(100 * (ratio - 1), 100 / other * (values - ratio * others), fades)


def _around(value: float, influence: Values, fades: bool) -> Estimate:
    spread = bounded_mean(influence) if fades else mean_estimate(influence)
    return Estimate(value, value + spread.low - spread.value, value + spread.high - spread.value)


def _check(values: Values, others: Values) -> None:
    if values.shape != others.shape:
        raise ValueError(f"shapes differ: {values.shape} against {others.shape}; a margin is over the same receptions")
