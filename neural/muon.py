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


def orthogonalise(matrix: Float[Tensor, "m n"], *, rounds: int = 5) -> Float[Tensor, "m n"]:
    """The matrix with its singular values brought near 1 (within about 0.7 … 1.2)."""
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonalise(matrix.T, rounds=rounds).T
    a, b, c = COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    # Every round multiplies x from the left by a polynomial in x xᵀ, and those commute: all rounds can be run on the
    # small Gram matrix, and the long x is touched only at the ends.
    eye = torch.eye(x.shape[0], dtype=x.dtype, device=x.device)
    gram, product = x @ x.T, eye
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
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group["lr"], group["momentum"])

    def _update(self, parameter: nn.Parameter, gradient: Tensor, lr: float, momentum: float) -> None:
        state = self.state[parameter]
        if not state:
            state["average"] = torch.zeros_like(parameter)
        average = state["average"].lerp_(gradient, 1 - momentum)
        update = orthogonalise(gradient.lerp(average, momentum).flatten(1))
        parameter.add_(update.view_as(parameter), alpha=-lr * 0.2 * max(update.shape) ** 0.5)
