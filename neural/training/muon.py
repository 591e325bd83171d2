"""Muon, the optimiser of the convolutions: momentum whose update is made orthogonal.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024 (the quintic Newton-Schulz iteration and
its coefficients); the update's size is matched to Adam's as in Liu et al., "Muon is Scalable for LLM Training", 2025,
eq. (4). PyTorch's own takes matrices only; a convolution is one of (outputs, inputs·taps).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: Float[Tensor, "*batch m n"], *, rounds: int = 5) -> Float[Tensor, "*batch m n"]:
    """The matrices with their singular values brought near 1 (within about 0.7 … 1.2)."""
    if matrix.shape[-2] > matrix.shape[-1]:
        return orthogonalise(matrix.mT, rounds=rounds).mT
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # Every round multiplies x from the left by a polynomial in x xᵀ, and those commute: all rounds can be run on the
    # small Gram matrix, and the long x is touched only at the ends.
    eye = torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    gram, product = x @ x.mT, eye
    for _ in range(rounds):
        factor = a * eye + b * gram + c * gram @ gram
        gram, product = factor @ gram @ factor, factor @ product
    orthogonal: Tensor = product @ x
    return orthogonal


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum for parameters of two dimensions and more."""

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            having = [p for p in group["params"] if p.grad is not None]
            for alike in _by_shape(having) if having and having[0].is_cuda else [[p] for p in having]:
                self._update(alike, group["lr"], group["momentum"])

    def _update(self, parameters: list[nn.Parameter], lr: float, momentum: float) -> None:
        """Update parameters of one shape: several at once on a GPU, where small products are all waiting."""
        directions = [self._direction(p, momentum) for p in parameters]
        stacked = len(directions) > 1
        updates = orthogonalise(torch.stack(directions)) if stacked else [orthogonalise(directions[0])]
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.add_(update.view_as(parameter), alpha=-lr * 0.2 * max(update.shape) ** 0.5)

    def _direction(self, parameter: nn.Parameter, momentum: float) -> Float[Tensor, "m n"]:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["average"] = torch.zeros_like(parameter)
        average = state["average"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum).flatten(1)


def _by_shape(parameters: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    shapes: dict[tuple[int, ...], list[nn.Parameter]] = {}
    for parameter in parameters:
        shapes.setdefault(tuple(parameter.shape), []).append(parameter)
    return list(shapes.values())
