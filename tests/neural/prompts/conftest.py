"""A tiny model of prompts with random weights and true principal components, and images for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from semlink.neural.prompts import PromptAutoencoder, PromptCoder


def smooth(count: int, side: int, seed: int) -> Tensor:
    """Images in [0, 1] of slow waves, with a little noise."""
    rng = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 4, 4, generator=rng)
    image = torch.nn.functional.interpolate(small, (side, side), mode="bicubic", align_corners=False)
    return (image + 0.03 * torch.randn(image.shape, generator=rng)).clamp(0, 1)


@pytest.fixture(scope="session")
def images() -> Tensor:
    return smooth(6, 16, 1)


@pytest.fixture(scope="session")
def wide_image() -> Tensor:
    return smooth(1, 40, 2)[:, :, :24]


@pytest.fixture(scope="session")
def model() -> PromptAutoencoder:
    torch.manual_seed(0)
    made = PromptAutoencoder(side=16, widths=(8, 16), components=128, first=16, semantic=4, embed=16)
    made.fit(smooth(200, 16, 0))
    torch.nn.init.normal_(made.denoiser.leave[-1].weight, std=0.05)  # type: ignore[arg-type]
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def coder(model: PromptAutoencoder) -> PromptCoder:
    return PromptCoder(model)
