"""Image and bit-error metrics, with confidence intervals.

PSNR is taken on 8-bit images (clip and round first) and from the mean squared error over all images; the mean of
per-image PSNR is always at least as high, and both are reported wherever a sweep is written down.

Images are floating point in [0, 1], or uint8 for 0 … 255; bits are 0 and 1. What is neither is refused
(`semlink.phy.metrics.checks`), for a figure of something else is worse than none.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Num
from scipy import special
from torch import Tensor

from semlink.phy.metrics.checks import check_images, check_levels, check_words
from semlink.phy.metrics.perceptual import METRICS

SSIM_MIN_SIDE = 11  # of its Gaussian window, which must lie inside the image
MS_SSIM_MIN_SIDE = 161  # five scales of an 11×11 window: (11 - 1)·2⁴ + 1
CHUNK_PIXELS = 1 << 16  # that go through a perceptual network at once: its features stay near the caches
KEEP_BYTES = 1 << 29  # of a perceptual metric's features of references: some 2,500 images of 32×32, 8 of 512×768


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval, which `float()` reduces to the value."""

    value: float
    low: float
    high: float

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class Rate(Estimate):
    """An error rate: errors out of trials, with its exact (Clopper-Pearson) interval."""

    errors: int
    trials: int


def to_levels(image: Tensor) -> Tensor:
    """Clip to [0, 1] and round to whole levels, 0 … 255, in floating point; those of uint8 are taken as they are.

    Raises:
        ValueError: neither floating point nor uint8.
    """
    check_levels(image)
    exact = image if image.dtype in (torch.float32, torch.float64) else image.float()  # half precision has no 255 steps
    return exact if image.dtype == torch.uint8 else (exact.clamp(0, 1) * 255).round()


def squared_error(image: Num[Tensor, "b c h w"], reference: Num[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Mean squared error of each image after rounding both to 8 bits; in units of the [0, 1] range, squared.

    Raises:
        ValueError: no pair of images: see `check_images`.
    """
    check_images(image, reference)
    squares = (to_levels(image) - to_levels(reference)).square().flatten(1)  # whole numbers that float32 holds
    return squares.sum(dim=1, dtype=torch.float64) / squares.shape[1] / 255**2


def psnr(image: Num[Tensor, "b c h w"], reference: Num[Tensor, "b c h w"]) -> float:
    """PSNR in dB from the mean squared error over all images; infinite where they are equal.

    Raises:
        ValueError: as `squared_error`.
    """
    return to_db(squared_error(image, reference).mean().item())


def psnr_mean(image: Num[Tensor, "b c h w"], reference: Num[Tensor, "b c h w"]) -> float:
    """The mean of the images' own PSNR in dB; infinite where one image is equal to its reference.

    Raises:
        ValueError: as `squared_error`.
    """
    return float(np.mean([to_db(error) for error in squared_error(image, reference).tolist()]))


def ssim(image: Num[Tensor, "b c h w"], reference: Num[Tensor, "b c h w"]) -> float:
    """SSIM on 8-bit images, mean over images.

    Wang et al. 2004: 11×11 Gaussian window of σ = 1.5, mean over where it lies inside the image, and over channels.

    Raises:
        ValueError: as `squared_error`, or a side is below `SSIM_MIN_SIDE` pixels.
    """
    from semlink.phy.metrics.similarity import similarity  # here and not above: see there

    _check_sides("SSIM", SSIM_MIN_SIDE, image, reference)
    return float(similarity(to_levels(image), to_levels(reference))[0].mean())


def ms_ssim(image: Num[Tensor, "b c h w"], reference: Num[Tensor, "b c h w"]) -> float:
    """MS-SSIM (Wang et al. 2003, five scales) on 8-bit images, mean over images and channels.

    Raises:
        ValueError: as `squared_error`, or a side is below `MS_SSIM_MIN_SIDE` pixels.
    """
    from semlink.phy.metrics.similarity import SCALE_WEIGHTS, halve, similarity

    _check_sides("five-scale MS-SSIM", MS_SSIM_MIN_SIDE, image, reference)
    a, b, product = to_levels(image), to_levels(reference), np.ones(image.shape[:2])
    for weight in SCALE_WEIGHTS[:-1]:
        product *= similarity(a, b)[1].clip(min=0) ** weight
        a, b = halve(a), halve(b)
    return float((product * similarity(a, b)[0].clip(min=0) ** SCALE_WEIGHTS[-1]).mean())


def st_lpips(image: Num[Tensor, "b 3 h w"], reference: Num[Tensor, "b 3 h w"]) -> float:
    """ST-LPIPS (Ghildyal and Liu, ECCV 2022; AlexNet) on 8-bit images, mean over images; lower is better.

    Raises:
        ValueError: as `squared_error`, other than three channels, a side below 21 pixels, or the extra
            `semlink[st-lpips]` is not installed.
    """
    return float(Perceptual("st-lpips")(image, reference).mean())


def lpips(image: Num[Tensor, "b 3 h w"], reference: Num[Tensor, "b 3 h w"]) -> float:
    """LPIPS (Zhang et al., CVPR 2018; AlexNet, version 0.1) on 8-bit images, mean over images; lower is better.

    Raises:
        ValueError: as `squared_error`, other than three channels, a side below 31 pixels, the extra `semlink[lpips]`
            is not installed, or SEMLINK_LPIPS_TRUNK does not name torchvision's weights of AlexNet.
    """
    return float(Perceptual("lpips")(image, reference).mean())


class Perceptual:
    """A learned metric on 8-bit images: a distance for each; 0 for equal ones, lower is better.

    References that are met again and again under one key go through the network once: their features are kept, first
    come, as far as `keep_bytes` go. Threads may share one.

    Args:
        name: one of `semlink.phy.metrics.METRICS`.
        keep_bytes: for the features of references.

    Raises:
        ValueError: no such metric.
        MissingWeightsError: its weights are not to be had.
    """

    def __init__(self, name: str, *, keep_bytes: int = KEEP_BYTES) -> None:
        if name not in METRICS:
            raise ValueError(f"metric {name!r} must be one of: {', '.join(METRICS)}")
        self._metric = METRICS[name]
        self._metric.load()
        self._room = keep_bytes
        self._kept: dict[Hashable, list[Tensor]] = {}
        self._lock = threading.Lock()

    @torch.no_grad()
    def __call__(
        self, image: Num[Tensor, "b 3 h w"], reference: Num[Tensor, "b 3 h w"], *, key: Hashable = None
    ) -> Float[Tensor, " b"]:
        """The distance of each image from its reference.

        Args:
            image: clipped to [0, 1] and rounded to 8 bits first.
            reference: likewise.
            key: names this very reference for later calls; None for one that will not be met again.

        Raises:
            ValueError: as `squared_error`, other than three channels, or a side below `least_side`.
        """
        check_images(image, reference, channels=3)
        count = max(1, CHUNK_PIXELS // (image.shape[-2] * image.shape[-1]))
        pairs = zip(torch.split(image, count), torch.split(reference, count), strict=True)
        parts = [
            self._metric.between(self._features(a), self._reference_features(b, None if key is None else (key, i)))
            for i, (a, b) in enumerate(pairs)
        ]
        return torch.cat(parts)

    @property
    def least_side(self) -> int:
        """Pixels that an image must have on both sides."""
        return self._metric.least_side

    def _features(self, image: Tensor) -> list[Tensor]:
        return self._metric.features(to_levels(image) / 255)

    def _reference_features(self, reference: Tensor, key: Hashable) -> list[Tensor]:
        features = self._kept.get(key)
        if features is not None:
            return features
        features = self._features(reference)
        size = sum(x.nbytes for x in features)
        with self._lock:
            if key is not None and key not in self._kept and size <= self._room:
                self._kept[key] = features
                self._room -= size
        return features


def _check_sides(name: str, side: int, image: Tensor, reference: Tensor) -> None:
    check_images(image, reference)
    if min(image.shape[-2:]) < side:
        size = "x".join(map(str, image.shape[-2:]))
        raise ValueError(f"image of {size}: {name} needs at least {side} pixels a side")


def ber(decided: Tensor, sent: Tensor, *, confidence: float = 0.95) -> Rate:
    """Bit error rate of decided against sent bits, 0 and 1, of one shape.

    Raises:
        ValueError: other values, shapes that differ, or no bits.
    """
    check_words(decided, sent)
    return error_rate(int((decided.bool() != sent.bool()).sum()), sent.numel(), confidence=confidence)


def bler(decided: Tensor, sent: Tensor, *, confidence: float = 0.95) -> Rate:
    """Block error rate: rows of (blocks, bits), bits 0 and 1, with at least one wrong bit.

    Raises:
        ValueError: as `ber`, or a single axis.
    """
    check_words(decided, sent)
    if sent.ndim < 2:
        raise ValueError(f"sent has shape {tuple(sent.shape)}; it must be (blocks, bits)")
    wrong = (decided.bool() != sent.bool()).any(dim=-1)
    return error_rate(int(wrong.sum()), wrong.numel(), confidence=confidence)


def error_rate(errors: int, trials: int, *, confidence: float = 0.95) -> Rate:
    """Errors out of trials with the exact binomial interval (Clopper and Pearson 1934).

    Raises:
        ValueError: no trials, more errors than trials, or a confidence that is not between 0 and 1.
    """
    check_confidence(confidence)
    if not 0 <= errors <= trials or trials == 0:
        raise ValueError(
            f"errors={errors} of trials={trials}: there must be at least one trial and 0 ≤ errors ≤ trials"
        )
    tail = (1 - confidence) / 2
    low = float(special.betaincinv(errors, trials - errors + 1, tail)) if errors else 0.0
    high = float(special.betaincinv(errors + 1, trials - errors, 1 - tail)) if errors < trials else 1.0
    return Rate(errors / trials, low, high, errors, trials)


def mean_estimate(values: Float[np.ndarray, "images realisations"], *, confidence: float = 0.95) -> Estimate:
    """The mean with its interval: Student's t, the degrees of freedom by Welch and Satterthwaite.

    With several realisations the interval is over the channel, for these very images. With one it is over images drawn
    like these (CIFAR-10, say). It is unknown (NaN) for a single value and where a value is infinite. It takes values
    for normal, as noise alone makes the errors of a code that spreads; where a fade or a cliff makes one in many very
    bad, `semlink.phy.metrics.bounded_mean` holds and this does not.

    Raises:
        ValueError: other than two axes, an empty one, or a confidence that is not between 0 and 1.
    """
    check_confidence(confidence)
    if np.ndim(values) != 2 or not np.size(values):
        raise ValueError(f"values has shape {np.shape(values)}; it must be (images, realisations), neither of them 0")
    images, realisations = values.shape
    mean = float(values.mean())
    if values.size == 1 or not np.isfinite(values).all():
        return Estimate(mean, math.nan, math.nan)
    if realisations > 1:
        parts, freedom_of_part = values.var(axis=1, ddof=1) / (images**2 * realisations), realisations - 1
    else:
        parts, freedom_of_part = values.var(axis=0, ddof=1) / images, images - 1
    variance = float(parts.sum())
    if variance == 0.0:
        return Estimate(mean, mean, mean)
    freedom = variance**2 * freedom_of_part / float((parts**2).sum())
    half = float(special.stdtrit(freedom, 0.5 + confidence / 2)) * math.sqrt(variance)
    return Estimate(mean, mean - half, mean + half)


def psnr_estimate(errors: Float[np.ndarray, "images realisations"], *, confidence: float = 0.95) -> Estimate:
    """PSNR in dB from the mean of squared errors, with the interval of `mean_estimate` carried over to dB.

    Carried over to first order (the delta method), so that it is finite at any spread.

    Raises:
        ValueError: as `mean_estimate`, or an error outside [0, 1], where no image in [0, 1] is from another.
    """
    check_errors(errors)
    mean = mean_estimate(errors, confidence=confidence)
    if mean.value == 0.0:
        return Estimate(math.inf, math.inf, math.inf)
    half_db = 10 / math.log(10) * (mean.high - mean.value) / mean.value
    # No image in [0, 1] is further than 1 from another. NumPy's maximum keeps an unknown bound (NaN) unknown.
    low = float(np.maximum(0.0, to_db(mean.value) - half_db))
    return Estimate(to_db(mean.value), low, to_db(mean.value) + half_db)


def to_db(mean_squared_error: float) -> float:
    """PSNR in dB of a mean squared error on the [0, 1] scale; infinite of 0.

    Raises:
        ValueError: outside [0, 1].
    """
    if not 0 <= mean_squared_error <= 1:
        raise ValueError(f"mean_squared_error={mean_squared_error:g} must lie in [0, 1], that of values in [0, 1]")
    return math.inf if mean_squared_error == 0 else -10 * math.log10(mean_squared_error)


def check_errors(errors: Float[np.ndarray, "images realisations"]) -> None:
    """Raise ValueError where a squared error lies outside [0, 1]."""
    if np.size(errors) and not (np.min(errors) >= 0 and np.max(errors) <= 1):
        span = f"[{np.min(errors):g}, {np.max(errors):g}]"
        raise ValueError(f"errors spans {span}; squared errors on the scale of [0, 1] lie in [0, 1]")


def check_confidence(confidence: float) -> None:
    """Raise ValueError unless it lies between 0 and 1."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence} must be between 0 and 1")
