"""Intervals of what shares a fade: blocks of one transmission, and errors that are rare and large.

A transmission is one image in one realisation: its blocks meet one fade, and fail together or not at all. It is the
unit that is drawn, a cluster; blocks are not. Both intervals below are Clopper and Pearson's of as many independent
trials as would spread as the clusters do (Korn and Graubard, Survey Methodology 24, 1998), with one more cluster put to
those that were seen, as odd as any: without it a fade that comes once in fifty times is not reckoned with by who has
seen fifty. Where all blocks of a cluster fail together, or images arrive or are lost, they are the exact binomial
interval of the clusters; none seen of m is bounded by 1 - 0.025^(1/m), the rule of three at 95 % on both sides.
Clusters of other sizes are worth fewer of one size, (Σ size)² / Σ size² (L. Kish, Survey Sampling, 1965), and the one
that is put to them is as large as any and as far from the rate as any.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from semlink.phy.metrics.image import Estimate, Rate, check_confidence, check_errors, to_db

FEW = 10
"""Transmissions below which no interval of a mean is told on a channel that fades: none would hold."""


def shared_error_rate(
    errors: Int[np.ndarray, " clusters"], trials: Int[np.ndarray, " clusters"], *, confidence: float = 0.95
) -> Rate:
    """Errors out of trials with the interval of trials that share their luck within a cluster.

    Args:
        errors: of each cluster, such as the blocks of an image that failed.
        trials: of each, at least 1.
        confidence: of the interval.

    Raises:
        ValueError: other shapes, no cluster, a cluster without trials or with more errors than trials, or a confidence
            that is not between 0 and 1.
    """
    check_confidence(confidence)
    errors, trials = np.asarray(errors), np.asarray(trials)
    if errors.ndim != 1 or errors.shape != trials.shape or not errors.size:
        raise ValueError(f"errors {errors.shape}, trials {trials.shape}: there must be one of each for every cluster")
    if (trials < 1).any() or (errors < 0).any() or (errors > trials).any():
        raise ValueError("each cluster must have at least one trial and 0 ≤ errors ≤ trials")
    wrong, count = int(errors.sum()), int(trials.sum())
    rate, clusters = wrong / count, len(errors)
    shares, residuals = errors / trials, errors - rate * trials  # of the ratio estimator: clusters may differ in size
    whole = count**2 / float(np.square(trials, dtype=np.float64).sum())  # trials, where clusters fail whole (Kish)
    independent = whole
    if 0 < wrong < count and clusters > 1:
        unseen = max(shares.max() - rate, rate - shares.min()) * trials.max()
        spread = float(np.square(residuals).sum() + unseen**2)
        variance = spread * clusters / (clusters - 1) / count**2
        few = special.stdtrit(clusters - 1, 0.5 + confidence / 2) / special.ndtri(0.5 + confidence / 2)
        alike = rate * (1 - rate) / variance / few**2 if variance else math.inf
        independent = float(min(max(alike, whole), count))
    low, high = _beta_ends(rate, independent, confidence)
    return Rate(rate, low, high, wrong, count)


def bounded_mean(
    values: Float[np.ndarray, "images realisations"], *, worst: float | None = None, confidence: float = 0.95
) -> Estimate:
    """The mean of what is rarely bad and then very bad, as squared errors are on a channel that fades.

    Every value is a cluster. The interval is for these very images, and on the safe side by their differences; with one
    realisation, for images drawn like these. It is unknown (NaN) for fewer than `FEW` values, where one is infinite or
    unknown, and where all are equal and the worst is not known.

    Args:
        values: large ones being bad.
        worst: what a value may become, such as the error of an image of which nothing arrived, of which one more is
            put to those that were seen. None: not known, so that what has not been seen is not reckoned with, and the
            farther of the two ends that were seen is put to them.
        confidence: of the interval.

    Raises:
        ValueError: other than two axes, an empty one, or a confidence that is not between 0 and 1.
    """
    check_confidence(confidence)
    if np.ndim(values) != 2 or not np.size(values):
        raise ValueError(f"values has shape {np.shape(values)}; it must be (images, realisations), neither of them 0")
    mean, count = float(values.mean()), values.size
    if count < FEW or not np.isfinite(values).all():
        return Estimate(mean, math.nan, math.nan)
    least, most = float(values.min()), float(values.max())
    further = most if most - mean >= mean - least else least
    if worst is not None:
        further = most = max(most, worst)
    if most == least:
        return Estimate(mean, math.nan, math.nan)
    share, reach = (mean - least) / (most - least), most - least
    variance = float(np.square(values - mean).sum() + (further - mean) ** 2) / (count - 1) / count / reach**2
    independent = max(share * (1 - share) / variance, count) if share else float(count)
    low, high = _beta_ends(share, independent, confidence)
    return Estimate(mean, least + reach * low, least + reach * high)


def bounded_psnr(
    errors: Float[np.ndarray, "images realisations"], *, worst: float | None = None, confidence: float = 0.95
) -> Estimate:
    """PSNR in dB from the mean of squared errors, with the interval of `bounded_mean`: of the same mean in dB.

    Raises:
        ValueError: as `bounded_mean`, or an error outside [0, 1], where no image in [0, 1] is from another.
    """
    check_errors(errors)
    mean = bounded_mean(errors, worst=worst, confidence=confidence)
    if math.isnan(mean.low):
        return Estimate(to_db(mean.value), math.nan, math.nan)
    return Estimate(to_db(mean.value), to_db(min(1.0, mean.high)), to_db(max(0.0, mean.low)))


def _beta_ends(share: float, trials: float, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share of so many trials, which need not be whole."""
    tail, hits = (1 - confidence) / 2, share * trials
    low = float(special.betaincinv(hits, trials - hits + 1, tail)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return low, high
