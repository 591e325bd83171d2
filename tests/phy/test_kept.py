"""What is kept by a call within `torch.inference_mode` serves a training that comes later."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from semlink.neural.networks import grid
from semlink.phy import constellation
from semlink.phy.channels import Rayleigh
from semlink.phy.fading import flat
from semlink.phy.kept import kept


def test_it_is_made_once() -> None:
    seen: list[int] = []

    @kept(2)
    def double(number: int) -> Tensor:
        """Twice."""
        seen.append(number)
        return torch.tensor(2.0 * number)

    assert [float(double(number)) for number in (1, 2, 1)] == [2, 4, 2]
    assert seen == [1, 2]
    assert double.__doc__ == "Twice."


@pytest.mark.parametrize("wrapped", [grid._kept_indices, constellation._points, flat._cached])
def test_what_gradients_pass_by_is_kept_so(wrapped: Callable[..., object]) -> None:
    """The decorator, by what it leaves: a wrapped function that is called outside of inference mode."""
    assert wrapped.__wrapped__.__globals__["__name__"] == "semlink.phy.kept"  # type: ignore[attr-defined]


def test_gradients_pass_after_inference() -> None:
    with torch.inference_mode():
        sent = grid.sent_indices(40, 48, 77)
        Rayleigh(16)(torch.ones(1, 77, dtype=torch.complex64), 0.1, rng=torch.Generator().manual_seed(0))
    latents = torch.ones(4, 2000, requires_grad=True)
    latents[:, sent].sum().backward()
    symbols = torch.ones(1, 77, dtype=torch.complex64, requires_grad=True)
    received = Rayleigh(16)(symbols, 0.1, rng=torch.Generator().manual_seed(0))
    received.symbols.abs().sum().backward()
    assert latents.grad is not None
    assert symbols.grad is not None
