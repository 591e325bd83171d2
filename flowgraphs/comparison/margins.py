"""How far one codec is ahead of another over the same images, fades and noise.

Paired: what the two share drops out. By the delta method, to first order a figure moves with each image by its
influence, whose mean has the interval of `semlink.phy.metrics.mean_estimate`.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from semlink.phy.metrics import Estimate, mean_estimate

Values = Float[np.ndarray, "images realisations"]


def psnr_margin(errors: Values, others: Values) -> Estimate:
    """PSNR (from the mean squared error) above another codec's in dB, with its 95 % interval.

    Args:
        errors: squared errors of the one, by image and realisation.
        others: of the other one, over the very same.

    Raises:
        ValueError: the shapes differ.
    """
    _check(errors, others)
    mean, other = float(errors.mean()), float(others.mean())
    if mean == 0 or other == 0:
        value = 0.0 if mean == other else math.copysign(math.inf, other - mean)
        return Estimate(value, math.nan, math.nan)
    influence = 10 / math.log(10) * (others / other - errors / mean)
    return _around(10 * math.log10(other / mean), influence)


def mean_psnr_margin(errors: Values, others: Values) -> Estimate:
    """The mean of the images' PSNR above another codec's in dB, with its 95 % interval.

    Images that one of the two received exactly, whose PSNR is infinite, make it unknown or infinite.

    Args:
        errors: squared errors of the one, by image and realisation.
        others: of the other one, over the very same.

    Raises:
        ValueError: the shapes differ.
    """
    _check(errors, others)
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = np.where(errors == others, 0.0, 10 * np.log10(others / errors))
    if not np.isfinite(gains).all():
        return Estimate(float(gains.mean()), math.nan, math.nan)
    return mean_estimate(gains)


def change_percent(values: Values, others: Values) -> Estimate:
    """The mean of a figure against another codec's, in per cent of the latter, with its 95 % interval.

    Args:
        values: of the one, by image and realisation.
        others: of the other one, over the very same.

    Raises:
        ValueError: the shapes differ.
    """
    _check(values, others)
    mean, other = float(values.mean()), float(others.mean())
    if other == 0:
        return Estimate(math.nan, math.nan, math.nan)
    ratio = mean / other
    return _around(100 * (ratio - 1), 100 / other * (values - ratio * others))


def _around(value: float, influence: Values) -> Estimate:
    spread = mean_estimate(influence)
    return Estimate(value, value + spread.low - spread.value, value + spread.high - spread.value)


def _check(values: Values, others: Values) -> None:
    if values.shape != others.shape:
        raise ValueError(f"shapes differ: {values.shape} against {others.shape}; a margin is over the same receptions")
