from __future__ import annotations

import math

import pytest
import pytorch_msssim
import torch

from semlink.neural import losses
from semlink.neural.losses import image_errors, importance, in_one_row, structural_errors, transmit
from semlink.phy.metrics import ssim
from semlink.phy.sources import sample_images


def pair(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = sample_images()[:, :, :side, :side]
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(0))
    return (image + 0.05 * noise).clamp(0, 1), image


@pytest.mark.parametrize("side", [256, 181, 176])
def test_ms_ssim_is_that_of_pytorch_msssim(side: int) -> None:
    image, reference = pair(side)
    expected = pytorch_msssim.ms_ssim(image, reference, data_range=1.0, size_average=False)
    torch.testing.assert_close(1 - structural_errors(image, reference), expected, rtol=0, atol=2e-5)


def test_of_a_small_image_it_is_ssim() -> None:
    image, reference = pair(16)
    got = 1 - structural_errors(image, reference).mean().item()
    expected = pytorch_msssim.ssim(image, reference, data_range=1.0).item()
    assert got == pytest.approx(expected, abs=2e-5)
    assert got == pytest.approx(ssim(image, reference), abs=0.01)  # on 8 bits


def test_two_scales_of_32_pixels_with_a_gradient() -> None:
    image, reference = pair(32)
    image.requires_grad_()
    structural_errors(image, reference).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    with pytest.raises(ValueError, match="11 pixels a side"):
        structural_errors(image[:, :, :10], reference[:, :, :10])


def test_errors_are_weighted_sums() -> None:
    image, reference = pair(32)
    mse, structure = (image_errors(image, reference, {name: 1.0}) for name in ("mse", "ms-ssim"))
    torch.testing.assert_close(mse, (image - reference).square().mean(dim=(1, 2, 3)))
    both = image_errors(image, reference, {"mse": 2.0, "ms-ssim": 0.5})
    torch.testing.assert_close(both, 2 * mse + 0.5 * structure)


def test_importance_grows_with_esno_and_rate() -> None:
    n0 = 10 ** (-torch.tensor([[0.0], [10.0], [20.0]]) / 10)
    weight = importance(n0)
    torch.testing.assert_close(10 * torch.log10(weight[1:] / weight[:-1]), torch.full((2,), 6.5))
    assert 10 * torch.log10(importance(n0, 16) / importance(n0, 8))[0].item() == pytest.approx(12 * math.log10(2))
    torch.testing.assert_close(importance(n0, 8), weight)


@pytest.mark.parametrize("channel", losses.CHANNELS)
def test_a_gpu_draws_channels_of_the_same_kind(channel: str) -> None:
    """All images in one row: the same distribution of noise, and gains that change where they should."""
    symbols = torch.ones(40, 64, dtype=torch.complex64)
    row_by_row = transmit(channel, symbols, 0.5, torch.Generator().manual_seed(0))
    got = in_one_row(channel, symbols, 0.5, torch.Generator().manual_seed(0))
    for received in (row_by_row, got):
        # Noise over its own standard deviation: unit variance, whatever the gains.
        unit = (received.symbols - symbols).abs().square() / received.n0
        assert unit.mean().item() == pytest.approx(1, abs=5 / math.sqrt(unit.numel()))
    changes = [(r.n0.diff(dim=1) != 0).float().mean(dim=1) for r in (row_by_row, got)]
    torch.testing.assert_close(changes[0], changes[1])
    assert (got.n0[:, -1] != got.n0[:, 0].roll(-1)).all() or channel == "awgn"
