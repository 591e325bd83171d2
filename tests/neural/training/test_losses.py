from __future__ import annotations

import math

import pytest
import pytorch_msssim
import torch

from semlink.neural.training.losses import image_errors, importance, joined, structural_errors, transmit
from semlink.neural.training.recipe import CHANNELS
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


@pytest.mark.parametrize("name", CHANNELS)
def test_all_images_in_one_go_meet_the_same_channel(name: str) -> None:
    """The same noise, over its own standard deviation, and gains that change where they should."""
    symbols, n0 = torch.full((40, 64), 1 + 1j), torch.linspace(0.01, 2, 40)
    rng = torch.Generator().manual_seed(0)
    one_by_one = joined([CHANNELS[name](symbols[i : i + 1], v, rng=rng) for i, v in enumerate(n0.tolist())])
    got = transmit([name] * 40, symbols, n0, rng)
    for received in (one_by_one, got):
        unit = (received.symbols - symbols).abs().square() / received.n0
        assert unit.mean().item() == pytest.approx(1, abs=5 / math.sqrt(unit.numel()))
        inverse_gain = (n0[:, None] / received.n0).mean().item()  # E|h|² = 1
        gains = {"awgn": math.inf, "rayleigh-block": 40, "rayleigh-16": 160, "rayleigh-fast": 2560}[name]
        assert inverse_gain == pytest.approx(1, abs=1e-4 + 5 / math.sqrt(gains))
    changes = [(r.n0.diff(dim=1) != 0).float().mean(dim=1) for r in (one_by_one, got)]
    torch.testing.assert_close(changes[0], changes[1])


def test_each_image_keeps_its_place_and_its_noise() -> None:
    symbols, n0 = torch.arange(12.0)[:, None].expand(12, 50).to(torch.complex64), 10.0 ** torch.arange(-12.0, 0.0)
    names = ["awgn", "rayleigh-fast", "awgn", "rayleigh-block"] * 3
    got = transmit(names, symbols, n0, torch.Generator().manual_seed(0))
    for i, name in enumerate(names):
        assert (got.symbols[i] - i).abs().mean() < 10 * got.n0[i].sqrt().mean()
        assert (name == "awgn") == torch.allclose(got.n0[i], n0[i], atol=0)
