"""The studio beside its files: candidates that fill a budget, samples together, and how far it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.neural.prompts import PromptAnalogue, PromptAutoencoder, PromptCoder, Studio, to_pixels, write_prompt
from semlink.neural.prompts import studio as module
from semlink.neural.prompts.files import Prompt
from semlink.phy.link import Received


def test_it_tells_how_far_it_is(coder: PromptCoder, images: Tensor) -> None:
    told: list[tuple[int, int | None, str]] = []

    def show(done: int, *, total: int | None = None, label: str | None = None, said: str = "") -> None:
        assert label is None
        told.append((done, total, said))

    pixels = to_pixels(images[:1] * 2 - 1)[0]
    prompt = Studio(coder, 1, {}).encode(pixels, 90, show=show)
    assert prompt == Studio(coder, 1, {}).encode(pixels, 90)
    assert [done for done, _, _ in told] == list(range(len(told)))
    assert told[-1][0] == told[-1][1]
    assert {said for _, _, said in told[:-1]} == {"candidates", "measured"}


def test_samples_together_are_those_one_by_one(coder: PromptCoder, images: Tensor) -> None:
    """Within a level of 8 bits: a batch may be summed in another order."""
    studio = Studio(coder, 1, {})
    prompt = studio.encode(to_pixels(images[:1] * 2 - 1)[0], 80)
    seen: list[int] = []

    def show(done: int, *, total: int | None = None, label: str | None = None, said: str = "") -> None:
        assert (total, label, said) == (3, None, "")
        seen.append(done)

    together = studio.samples(prompt, 3, show=show).images
    single = torch.cat([studio.render(prompt, seed=seed, temperature=1.0).image for seed in range(3)])
    assert float((together - single).abs().max()) < 1.1 / 255
    assert float((together[0] - together[1]).abs().max()) > 2 / 255
    assert seen == [0, 3]


def test_samples_of_a_large_image_go_a_few_at_a_time(
    coder: PromptCoder, wide_image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is at once in memory is bounded by the tiles of a pass."""
    studio = Studio(coder, 1, {})
    prompt, seen = studio.encode(to_pixels(wide_image * 2 - 1)[0], 80), list[int]()

    def show(done: int, *, total: int | None = None, label: str | None = None, said: str = "") -> None:
        assert total == 5
        seen.append(done)

    monkeypatch.setattr(module, "TILES_AT_ONCE", 2 * coder.tiles_of(24, 40)[0] + 1)
    assert studio.samples(prompt, 5, show=show).images.shape == (5, 3, 24, 40)
    assert seen == [0, 2, 4, 5]


def test_a_beginning_of_the_noise_fills_a_budget_and_never_passes_it(
    coder: PromptCoder, wide_image: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 128 bytes on its frame takes one byte more."""
    monkeypatch.setattr(coder.renderer, "invert", lambda scene, image, steps: torch.zeros_like(image))
    studio, signed, over = Studio(coder, 1, {}), wide_image * 2 - 1, []
    for budget in range(200, 280):
        made = studio._begun(signed, Prompt(1, 40, 24), budget, 0.6)
        over += [len(write_prompt(one)) - budget for one in made if len(one.noise) > 127]
    assert len(over) > 10
    assert max(over) == 0


def test_a_channel_without_noise_shows_the_image(model: PromptAutoencoder, images: Tensor) -> None:
    codec = PromptAnalogue(model, ratio=1 / 12)
    frame = codec.encode(images, 0.0)
    clear, faint = (
        codec.decode(Received(frame.symbols, torch.full(frame.symbols.shape, n0), image_shape=(3, 16, 16))).image
        for n0 in (0.0, 1e-9)
    )
    assert bool(clear.isfinite().all())
    assert np.allclose(clear, faint, atol=1e-3)
