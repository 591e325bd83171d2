"""What a batch of tiles of a model of prompts is spent on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from semlink.neural.prompts import SCHEDULE, Condition, PromptAutoencoder
from semlink.neural.training import Data
from semlink.neural.training.prompts import prompt_loss


@pytest.mark.parametrize(("share", "least", "most"), [(1.0, 1.0, 1.0), (0.0, 0.0, 0.05), (0.5, 0.3, 0.7)])
def test_a_share_of_the_batch_learns_the_mean(
    share: float, least: float, most: float, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At t = T and from nothing, where there is nothing to see but the prompt; 0.5 ± four standard errors of 64."""
    model = PromptAutoencoder(widths=(8, 8), components=16, first=4, semantic=2, embed=8)
    model.fit(data.small.float() / 255)
    seen: list[Tensor] = []

    def velocity(x: Tensor, t: Tensor, known: Condition) -> Tensor:
        assert known.sketch.shape == x.shape
        blank = x.flatten(1).abs().amax(dim=1) == 0
        assert bool((t[blank] == SCHEDULE.steps).all())
        seen.append(blank)
        return torch.zeros_like(x)

    monkeypatch.setattr(model, "velocity", velocity)
    image = data.small[torch.arange(64) % len(data.small)].float() / 255
    prompt_loss(model, image, torch.Generator().manual_seed(0), mean_share=share)
    assert least <= float(seen[0].float().mean()) <= most
