"""The optimiser: directions kept, sizes evened out."""

from __future__ import annotations

import pytest
import torch

from semlink.neural.training import Muon
from semlink.neural.training.muon import orthogonalise


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (16, 16), (1, 9)])
def test_orthogonalise_keeps_directions_and_evens_out_sizes(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    sizes = torch.linalg.svdvals(orthogonalise(matrix))
    assert sizes.min() > 0.3
    assert sizes.max() < 1.3
    # The same singular vectors: in their basis the result is diagonal.
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ orthogonalise(matrix) @ right.T
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(6, 40), (40, 6)])
def test_several_matrices_at_once_are_as_one_by_one(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    together = orthogonalise(matrices)
    torch.testing.assert_close(together, torch.stack([orthogonalise(m) for m in matrices]), rtol=1e-3, atol=1e-4)


def test_muon_updates_parameters_of_one_shape_alike() -> None:
    rng = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=rng) for shape in ((4, 3, 3, 3), (4, 3, 3, 3), (8, 4))]
    gradients = [[torch.randn(s.shape, generator=rng) for s in start] for _ in range(3)]

    def run(*, at_once: bool) -> list[torch.Tensor]:
        parameters = [torch.nn.Parameter(s.clone()) for s in start]
        muon = Muon(parameters, lr=0.1)
        for step in gradients:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = gradient.clone()
            if at_once:
                with torch.no_grad():
                    for alike in (parameters[:2], parameters[2:]):
                        muon._update(alike, 0.1, 0.95)
            else:
                muon.step()
        return [p.detach() for p in parameters]

    for one, other in zip(run(at_once=True), run(at_once=False), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
