from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from skimage.metrics import structural_similarity
from torch.nn import functional as F

from semlink.phy import metrics
from semlink.phy.sources import sample_images


def test_psnr_is_on_8_bits_and_from_the_mean_over_images() -> None:
    reference = torch.full((2, 3, 8, 8), 100 / 255)
    image = reference.clone()
    image[0] += 2 / 255 + 0.4 / 255  # rounds to 2 levels
    image[1] += 6 / 255
    assert metrics.psnr(image, reference) == pytest.approx(10 * math.log10(255**2 / 20), abs=1e-6)
    own = [10 * math.log10(255**2 / 4), 10 * math.log10(255**2 / 36)]
    assert metrics.psnr_mean(image, reference) == pytest.approx(np.mean(own), abs=1e-6)


def test_psnr_clips_first_and_is_infinite_for_equal_images() -> None:
    reference = torch.ones(1, 1, 4, 4)
    assert metrics.psnr(reference + 0.9, reference) == math.inf


def test_psnr_agrees_with_scikit_image_formula() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 1, 3, 20, 30), dtype=np.uint8)
    mse = ((a.astype(float) - b.astype(float)) ** 2).mean()
    image, reference = (torch.from_numpy(x).float() / 255 for x in (a, b))
    assert metrics.psnr(image, reference) == pytest.approx(10 * math.log10(255**2 / mse), abs=1e-9)


def test_ssim_of_shifted_grey_is_its_closed_form() -> None:
    """Constant images: the structure term is 1 and (2ab + c1) / (a² + b² + c1) is left, c1 = 0.01²."""
    a, b = 100 / 255, 150 / 255
    x, y = torch.full((1, 3, 32, 32), a), torch.full((1, 3, 32, 32), b)
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    assert metrics.ssim(x, y) == pytest.approx(expected, abs=1e-5)
    assert metrics.ssim(x, x) == pytest.approx(1.0)


def noisy_pair() -> tuple[torch.Tensor, torch.Tensor]:
    image = sample_images()[:1, :, :190, :170]
    noise = 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    return image, metrics.to_levels(image + noise) / 255


def reference_ms_ssim(x: torch.Tensor, y: torch.Tensor) -> float:
    """Wang et al. 2003: contrast and structure at scales 1 to 5, luminance at the last, with their exponents."""
    x, y, product = metrics.to_levels(x).double() / 255, metrics.to_levels(y).double() / 255, torch.ones(1).double()
    taps = torch.exp(-((torch.arange(11.0).double() - 5) ** 2) / 4.5)
    taps /= taps.sum()
    c = x.shape[1]
    window = torch.outer(taps, taps).expand(c, 1, 11, 11)
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mx, my, xx, yy, xy = (F.conv2d(z, window, groups=c) for z in (x, y, x * x, y * y, x * y))
        contrast = (2 * (xy - mx * my) + 0.03**2) / (xx - mx**2 + yy - my**2 + 0.03**2)
        luminance = (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2) if scale == 4 else 1
        product = product * (contrast * luminance).mean(dim=(2, 3)).clamp(min=0) ** weight
        x, y = (F.avg_pool2d(z, 2, padding=[s % 2 for s in z.shape[2:]]) for z in (x, y))
    return float(product.mean())


def test_ssim_is_that_of_scikit_image() -> None:
    """Its implementation of Wang et al., which also averages where the window lies inside the image."""
    image, noisy = noisy_pair()
    a, b = (metrics.to_levels(x)[0].permute(1, 2, 0).double().numpy() for x in (image, noisy))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
    expected = structural_similarity(a, b, channel_axis=2, **options)
    assert metrics.ssim(noisy, image) == pytest.approx(expected, abs=1e-9)
    assert expected < 0.9


def test_ms_ssim_is_the_product_over_five_scales() -> None:
    image, noisy = noisy_pair()
    for h, w in ((190, 170), (161, 163), (188, 161)):  # odd sides at several scales
        part = image[:, :, :h, :w], noisy[:, :, :h, :w]
        assert metrics.ms_ssim(*part) == pytest.approx(reference_ms_ssim(*part), abs=1e-9)
    assert metrics.ms_ssim(noisy, image) == pytest.approx(metrics.ms_ssim(image, noisy), abs=1e-12)
    assert metrics.ms_ssim(image, image) == pytest.approx(1.0)
    assert metrics.ms_ssim(1 - image, image) == pytest.approx(reference_ms_ssim(1 - image, image), abs=1e-9)


def test_structure_of_bright_flat_images_survives_the_difference_of_squares() -> None:
    """Variances of a fraction of a level, of levels near 255: float32 would lose them."""
    rng = torch.Generator().manual_seed(2)
    image, other = (250 / 255 + torch.randint(0, 2, (1, 1, 176, 176), generator=rng) / 255 for _ in range(2))
    a, b = (metrics.to_levels(x)[0, 0].double().numpy() for x in (image, other))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255.0}
    assert metrics.ssim(image, other) == pytest.approx(structural_similarity(a, b, **options), abs=1e-9)
    assert metrics.ms_ssim(image, other) == pytest.approx(reference_ms_ssim(image, other), abs=1e-9)


@pytest.mark.parametrize("threads", [1, 3])
def test_similarity_is_the_mean_over_images_however_they_are_stored(
    monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    images = sample_images()
    noise = 0.05 * torch.randn(images.shape, generator=torch.Generator().manual_seed(3))
    for measure in (metrics.ssim, metrics.ms_ssim):
        single = [measure(a[None], b[None]) for a, b in zip(images + noise, images, strict=True)]
        assert len({round(one, 3) for one in single}) == len(single)
        assert measure(images + noise, images) == pytest.approx(np.mean(single), abs=1e-12)
        grey = measure((images + noise)[:, 1:2], images[:, 1:2])  # not in one piece
        assert grey == pytest.approx(measure((images + noise)[:, 1:2].clone(), images[:, 1:2].clone()), abs=1e-15)
        assert measure((images + noise).double(), images.double()) == pytest.approx(np.mean(single), abs=1e-5)
        turned = measure((images + noise).mT, images.mT)
        assert turned == pytest.approx(np.mean(single), abs=1e-12)


def test_small_images_have_no_structural_similarity() -> None:
    with pytest.raises(ValueError, match="at least 161"):
        metrics.ms_ssim(torch.zeros(1, 3, 160, 200), torch.zeros(1, 3, 160, 200))
    with pytest.raises(ValueError, match="at least 11"):
        metrics.ssim(torch.zeros(1, 3, 10, 200), torch.zeros(1, 3, 10, 200))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        metrics.psnr(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 5))


def test_error_rates() -> None:
    sent = torch.zeros(4, 10)
    decided = sent.clone()
    decided[0, :3] = 1
    decided[2, 0] = 1
    bits, blocks = metrics.ber(decided, sent), metrics.bler(decided, sent)
    assert (bits.errors, bits.trials, float(bits)) == (4, 40, 0.1)
    assert (blocks.errors, blocks.trials, float(blocks)) == (2, 4, 0.5)


@pytest.mark.parametrize(("errors", "trials"), [(0, 50), (3, 100), (50, 50)])
def test_clopper_pearson_matches_scipy(errors: int, trials: int) -> None:
    exact = stats.binomtest(errors, trials).proportion_ci(method="exact")
    rate = metrics.error_rate(errors, trials)
    assert (rate.low, rate.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(("errors", "trials"), [(1, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(errors: int, trials: int) -> None:
    with pytest.raises(ValueError, match="trials="):
        metrics.error_rate(errors, trials)


def test_the_interval_covers_where_images_spread_unequally() -> None:
    """Welch and Satterthwaite: three images of which one varies ten times as much, four realisations."""
    rng = np.random.default_rng(1)
    values = 5 + np.array([1.0, 1.0, 10.0])[:, None] * rng.standard_normal((2000, 3, 4))
    share = np.mean([e.low <= 5 <= e.high for e in map(metrics.mean_estimate, values)])
    assert share >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / 2000)


def test_a_band_is_finite_at_any_spread() -> None:
    found = metrics.psnr_estimate(np.array([[0.001, 0.05], [0.001, 0.001], [0.001, 0.001]]))
    assert math.isfinite(found.low)
    assert math.isfinite(found.high)
    assert metrics.psnr_estimate(np.array([[0.001, 0.9]])).low == 0.0
    assert math.isnan(metrics.psnr_estimate(np.array([[0.01]])).low)


@pytest.mark.parametrize("realisations", [1, 4])
def test_the_interval_covers_the_mean_as_often_as_it_says(realisations: int) -> None:
    """1,000 experiments of 30 images: 95 % of the intervals hold the true mean, within 4 standard errors."""
    rng = np.random.default_rng(0)
    images = rng.gamma(20.0, 0.05, (1000, 30, 1)) if realisations == 1 else np.full((1000, 30, 1), 1.0)
    values = images * (1 + 0.2 * rng.standard_normal((1000, 30, realisations)))
    found = [metrics.mean_estimate(one) for one in values]
    share = np.mean([e.low <= 1.0 <= e.high for e in found])
    assert abs(share - 0.95) <= 4 * math.sqrt(0.95 * 0.05 / 1000)


def test_several_realisations_leave_the_spread_of_images_out() -> None:
    values = np.array([[1.0, 1.0, 1.0], [9.0, 9.0, 9.0]])
    assert metrics.mean_estimate(values) == metrics.Estimate(5.0, 5.0, 5.0)
    assert math.isnan(metrics.mean_estimate(np.array([[1.0, math.inf]])).low)
    assert math.isnan(metrics.mean_estimate(np.ones((1, 1))).low)


def test_psnr_interval_turns_round() -> None:
    found = metrics.psnr_estimate(np.array([[0.01], [0.02], [0.03]]))
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(-10 * math.log10(0.02))
