"""A metric measures images and bits; of anything else it says by name what it is, and what is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy import metrics
from semlink.phy.metrics import psnr_estimate, st_lpips_distances, to_db
from semlink.phy.sources import sample_images

REFERENCE = sample_images()[:2, :, :161, :161].contiguous()
IMAGE = (REFERENCE + 0.05 * torch.randn(REFERENCE.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
LEVELS, SENT_LEVELS = ((255 * one).round().to(torch.uint8) for one in (IMAGE, REFERENCE))
MEASURES: list[Callable[[Tensor, Tensor], object]] = [
    metrics.psnr, metrics.psnr_mean, metrics.squared_error, metrics.ssim, metrics.ms_ssim, metrics.st_lpips,
    metrics.Perceptual("st-lpips"),
]  # fmt: skip
WANTED = r"it must be floating point in \[0, 1\], or uint8 for 0 … 255"


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("image", "reference", "said"),
    [
        (255 * IMAGE, 255 * REFERENCE, rf"reference spans \[0, 255\]; {WANTED}"),
        (2 * IMAGE - 1, 2 * REFERENCE - 1, rf"reference spans \[-1, 1\]; {WANTED}"),
        (255 * IMAGE, REFERENCE, rf"image spans \[0, 255\]; {WANTED}"),
        (2 * IMAGE - 1, REFERENCE, rf"image spans \[-1, 1\]; {WANTED}"),
        (IMAGE[0], REFERENCE[0], r"image has shape \(3, 161, 161\); it must be \(b, c, h, w\)"),
        (IMAGE[:0], REFERENCE[:0], r"image has shape \(0, 3, 161, 161\); it must be \(b, c, h, w\), none of them 0"),
        (IMAGE, REFERENCE[:1], r"shapes differ: image \(2, .* against reference \(1, "),
        (LEVELS.long(), SENT_LEVELS.long(), rf"image has dtype torch.int64; {WANTED}"),
        (IMAGE, SENT_LEVELS.int(), rf"reference has dtype torch.int32; {WANTED}"),
        (IMAGE.where(IMAGE > 0.1, math.nan), REFERENCE, rf"image holds NaN; {WANTED}"),
        (IMAGE, REFERENCE.where(REFERENCE > 0.1, math.nan), rf"reference holds NaN; {WANTED}"),
        (IMAGE.numpy(), REFERENCE.numpy(), r"image is a ndarray; it must be a tensor \(b, c, h, w\)"),
    ],
)  # fmt: skip
def test_what_is_no_pair_of_images_is_refused(
    measure: Callable[[Tensor, Tensor], object], image: Tensor, reference: Tensor, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        measure(image, reference)


@pytest.mark.parametrize("measure", [one for one in MEASURES if not isinstance(one, metrics.Perceptual)])
def test_levels_in_uint8_are_taken_as_such(measure: Callable[[Tensor, Tensor], float]) -> None:
    expected = torch.as_tensor(measure(IMAGE, REFERENCE))
    for image, reference in ((LEVELS, SENT_LEVELS), (IMAGE, SENT_LEVELS), (LEVELS, REFERENCE)):
        torch.testing.assert_close(torch.as_tensor(measure(image, reference)), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_to_levels_in_full(dtype: torch.dtype) -> None:
    steps = (torch.arange(256) / 255).to(dtype).reshape(1, 1, 16, 16)
    assert torch.equal(metrics.to_levels(steps), (255 * steps.double()).round().float())


def test_what_overshoots_a_little_is_clipped() -> None:
    assert metrics.psnr(IMAGE + 0.9 * (REFERENCE == 1), REFERENCE) > metrics.psnr(IMAGE, REFERENCE) - 1e-9


def test_a_learned_metric_wants_colours() -> None:
    with pytest.raises(ValueError, match=r"image has shape \(2, 1, 161, 161\); it must have 3 channels"):
        metrics.st_lpips(IMAGE[:, :1], REFERENCE[:, :1])


def test_a_loss_takes_any_image_but_no_other_reference() -> None:
    assert st_lpips_distances(3 * IMAGE - 1, REFERENCE).isfinite().all()
    with pytest.raises(ValueError, match=r"reference spans \[-1, 1\]; it must lie in \[0, 1\]"):
        st_lpips_distances(IMAGE, 2 * REFERENCE - 1)
    with pytest.raises(ValueError, match=r"image has dtype torch.uint8; it must be floating point"):
        st_lpips_distances(LEVELS, SENT_LEVELS)
    with pytest.raises(ValueError, match=r"reference has shape \(3, 161, 161\)"):
        st_lpips_distances(IMAGE, REFERENCE[0])


@pytest.mark.parametrize("measure", [metrics.ber, metrics.bler])
def test_what_is_no_bit_is_refused(measure: Callable[[Tensor, Tensor], float]) -> None:
    bits = torch.tensor([[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]])
    for wrong in (1 - 2 * bits, 7.5 * (1 - 2 * bits), bits.where(bits > 0, math.nan), 255 * bits):
        for pair, name in (((wrong, bits), "decided"), ((bits, wrong), "sent")):
            with pytest.raises(ValueError, match=rf"{name} holds .*, which is no bit; bits are 0 and 1: .*`x < 0`"):
                measure(*pair)
    with pytest.raises(ValueError, match="shapes differ: decided"):
        measure(bits, bits[:1])
    with pytest.raises(ValueError, match="decided is a list"):
        measure([0, 1], bits)  # type: ignore[arg-type]
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float64):
        assert float(measure(bits.to(dtype), 1 - bits)) == 1
    assert float(measure((1 - 2 * bits) < 0, bits)) == 0


def test_a_block_error_rate_is_over_blocks() -> None:
    with pytest.raises(ValueError, match=r"sent has shape \(4,\); it must be \(blocks, bits\)"):
        metrics.bler(torch.zeros(4), torch.zeros(4))


def test_figures_of_another_scale_are_refused() -> None:
    for wrong in (-1e-9, 65.0, math.nan):
        with pytest.raises(ValueError, match="mean_squared_error="):
            to_db(wrong)
        with pytest.raises(ValueError, match=r"errors spans .*; squared errors"):
            psnr_estimate(np.array([[0.01, wrong]]))
    for shape in ((3,), (0, 3), (2, 2, 2)):
        with pytest.raises(ValueError, match="it must be \\(images, realisations\\)"):
            metrics.mean_estimate(np.ones(shape))
    for confidence in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match=f"confidence={confidence} must be between 0 and 1"):
            metrics.error_rate(1, 10, confidence=confidence)
