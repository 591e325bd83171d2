from __future__ import annotations

import pytest
import torch
from torch import Tensor

from semlink.neural.prompts import PromptAnalogue, PromptAutoencoder
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link


@pytest.fixture(scope="module")
def still(model: PromptAutoencoder) -> PromptAutoencoder:
    """The same without a say of the denoiser: the sketch is what is shown."""
    made = PromptAutoencoder(side=16, widths=(8, 16), components=128, first=16, semantic=4, embed=16)
    made.load_state_dict(model.state_dict())
    torch.nn.init.zeros_(made.denoiser.leave[-1].weight)  # type: ignore[arg-type]
    torch.nn.init.zeros_(made.denoiser.leave[-1].bias)  # type: ignore[arg-type]
    return made.eval()


def test_the_ledger_and_the_power(model: PromptAutoencoder, images: Tensor) -> None:
    frame = PromptAnalogue(model, ratio=1 / 6).encode(images, 0.1)
    assert frame.symbols.shape == (6, 128)
    assert sum(frame.uses.values()) == 128
    assert torch.allclose(frame.symbols.abs().square().mean(dim=1), torch.ones(6), atol=1e-4)


def test_without_noise_all_that_was_sent_arrives(still: PromptAutoencoder, images: Tensor) -> None:
    codec = PromptAnalogue(still, ratio=1 / 3)
    got = Link(codec, AWGN())(images, 80, rng=torch.Generator().manual_seed(0))
    sketch = (still.sketch(still.project(images * 2 - 1)) + 1) / 2
    assert float((got.image - sketch.clamp(0, 1)).abs().max()) < 0.01


@pytest.mark.parametrize("channel", [AWGN(), Rayleigh("fast")])
def test_it_gets_better_with_the_channel(still: PromptAutoencoder, images: Tensor, channel: object) -> None:
    link = Link(PromptAnalogue(still), channel)  # type: ignore[arg-type]
    errors = [
        float((link(images, level, rng=torch.Generator().manual_seed(0)).image - images).square().mean())
        for level in (-10, 0, 10, 20, 30)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05 * errors[0]


def test_a_batch_gives_what_its_images_give(model: PromptAutoencoder, images: Tensor) -> None:
    codec = PromptAnalogue(model)
    whole = Link(codec, AWGN())(images[:3], 10, rng=[torch.Generator().manual_seed(i) for i in range(3)])
    alone = Link(codec, AWGN())(images[2:3], 10, rng=[torch.Generator().manual_seed(2)])
    assert torch.allclose(whole.image[2:], alone.image, atol=1e-5)


def test_what_does_not_fit_is_refused(model: PromptAutoencoder, images: Tensor) -> None:
    with pytest.raises(ValueError, match="ratio=0 must be above 0"):
        PromptAnalogue(model, ratio=0)
    with pytest.raises(ValueError, match="too small for an image of 16×16×3"):
        PromptAnalogue(model, ratio=0.005).encode(images, 0.1)
