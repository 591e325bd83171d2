"""Filters, singular vectors, water-filling and correlated antennas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy.link import ERASED
from semlink.phy.mimo import Svd, correlate, exponential_correlation, kronecker_root
from semlink.phy.mimo.filters import fill_water
from semlink.phy.mimo.kernels import _linear_filters, linear_filters, singular_vectors
from semlink.phy.mimo.theory import waterfilling_capacity


@pytest.mark.parametrize("zero_forcing", [False, True])
@pytest.mark.parametrize(("rx", "tx"), [(1, 1), (4, 4), (5, 3), (8, 8)])
def test_compiled_filters_are_those_of_torch(
    rx: int, tx: int, zero_forcing: bool, rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    h = normal(2, 100, rx, tx, seed=14).to(torch.complex128)
    noise = torch.rand(2, 100, dtype=torch.float64, generator=rng(15)) + 1e-3
    for ours, theirs in zip(
        linear_filters(h, noise, zero_forcing=zero_forcing), _linear_filters(h, noise, zero_forcing), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("rx", "tx"), [(4, 4), (2, 6), (6, 2), (8, 8), (12, 10)])
def test_gains_of_svd_streams_are_the_singular_values(
    rx: int, tx: int, rng: Callable[..., torch.Generator], normal: Callable[..., Tensor]
) -> None:
    h = normal(1, 300, rx, tx, seed=16)
    values, v = singular_vectors(h)
    torch.testing.assert_close(values, torch.linalg.svdvals(h), rtol=1e-5, atol=1e-5)
    identity = torch.eye(v.shape[-1], dtype=v.dtype)
    torch.testing.assert_close(v.mH @ v, identity.expand(1, 300, -1, -1), rtol=0, atol=1e-5)
    scheme = Svd(tx, rx, "equal")
    found = scheme.detect(normal(1, 300, 1, rx, seed=6), h, torch.full((1, 300), 0.1), 0.1)
    torch.testing.assert_close(1 / found.n0, torch.linalg.svdvals(h).square() / (0.1 * min(rx, tx)), rtol=1e-3, atol=0)
    # Without noise the streams come back as they were, at those gains and without one another.
    sent = normal(1, 300, min(rx, tx), seed=2)
    observed = torch.einsum("bgrt,bgut->bgur", h, scheme.precode(sent, h, 0.1, rng=[rng()]))
    again = scheme.detect(observed, h, torch.full((1, 300), 1e-12), 0.1)
    torch.testing.assert_close(again.symbols, sent, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("n0", [1e-6, 0.1, 3.0, 1e3])
def test_waterfilling_reaches_the_capacity_that_bisection_finds(n0: float, normal: Callable[..., Tensor]) -> None:
    h = normal(1, 200, 4, 3, seed=17).to(torch.complex128)
    found = Svd(3, 4).detect(torch.zeros(1, 200, 1, 4, dtype=h.dtype), h, torch.full((1, 200), n0), n0)
    alive = found.n0 < ERASED
    rate = torch.where(alive, (1 + 1 / found.n0).log2(), 0.0).sum(dim=-1)[0]
    np.testing.assert_allclose(rate.numpy(), waterfilling_capacity(h[0].numpy(), n0), rtol=1e-5)


def test_water_by_hand() -> None:
    gains = torch.tensor([[4.0, 1.0], [0.0, 0.0], [1e-30, 0.0], [1.0, 1.0]])
    expected = [[0.875, 0.125], [0.5, 0.5], [1.0, 0.0], [0.5, 0.5]]
    torch.testing.assert_close(fill_water(gains[:1], 1.0), torch.tensor(expected[:1]))
    torch.testing.assert_close(fill_water(gains[1:], 1e-3).sum(dim=-1), torch.ones(3))
    torch.testing.assert_close(fill_water(gains[:1], 4.0), torch.tensor([[1.0, 0.0]]))


def test_correlation_of_antennas_is_the_kronecker_product(normal: Callable[..., Tensor]) -> None:
    rx, tx = exponential_correlation(3, 0.6 + 0.3j), exponential_correlation(2, 0.8)
    assert rx[0, 2] == (0.6 + 0.3j) ** 2
    assert rx[2, 0] == (0.6 - 0.3j) ** 2
    h = correlate(normal(200_000, 3, 2, seed=18), kronecker_root(rx), kronecker_root(tx)).reshape(-1, 6)
    measured = torch.einsum("ni,nj->ij", h, h.conj()) / len(h)
    torch.testing.assert_close(measured, torch.kron(rx, tx).to(torch.complex64), rtol=0, atol=4 / math.sqrt(len(h)))
    torch.testing.assert_close(
        kronecker_root(torch.ones(2, 2, dtype=torch.complex64)).real, torch.full((2, 2), 0.5**0.5, dtype=torch.float64)
    )


def test_correlated_antennas_lose_capacity(normal: Callable[..., Tensor]) -> None:
    scheme, n0 = Svd(4, 4, "equal"), 0.1
    white = normal(1, 2000, 4, 4, seed=19)
    rates = []
    for rho in (0.0, 0.7, 1.0):
        root = kronecker_root(exponential_correlation(4, rho))
        h = correlate(white, root, root)
        found = scheme.detect(torch.zeros(1, 2000, 1, 4, dtype=h.dtype), h, torch.full((1, 2000), n0), n0)
        rates.append((1 + 1 / found.n0).log2().sum(dim=-1).mean().item())
    assert rates[0] > rates[1] + 1 > rates[2] + 2
