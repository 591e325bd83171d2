"""The learned numbers before they are made whole."""

from __future__ import annotations

import torch
from torch import Tensor

from semlink.neural.prompts import PromptAutoencoder
from semlink.neural.prompts.autoencoder import LEVELS


def test_the_gain_is_of_the_encoder(images: Tensor) -> None:
    """An encoder that begins small, as all do, tells next to nothing in whole numbers; its gain is what it tells by."""
    size = {"side": 16, "widths": (8, 16), "components": 128, "first": 16, "semantic": 4, "embed": 16}
    torch.manual_seed(0)
    plain = PromptAutoencoder(**size)  # type: ignore[arg-type]
    loud = PromptAutoencoder(**size, gain=6)  # type: ignore[arg-type]
    loud.load_state_dict(plain.state_dict())
    with torch.no_grad():
        quiet, told = plain.learn(images * 2 - 1), loud.learn(images * 2 - 1)
    assert torch.allclose(torch.atanh(told / LEVELS), 6 * torch.atanh(quiet / LEVELS), rtol=1e-3, atol=1e-4)
    assert float((told.round() != 0).float().mean()) > float((quiet.round() != 0).float().mean()) + 0.3
