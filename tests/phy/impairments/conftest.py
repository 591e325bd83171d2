"""Samples, generators, and what is asked of a mean."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from semlink.phy.impairments import Distorted, Stage

FIFTH_OF_A_DB = 10**0.02


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(b: int, n: int, *, seed: int = 99, dtype: torch.dtype = torch.complex128) -> torch.Tensor:
    return torch.randn(b, n, dtype=dtype, generator=generator(seed))


def apply(stage: Stage, samples: torch.Tensor, *, seed: int = 0) -> Distorted:
    return stage(samples, rng=[generator(seed + 1000 * i) for i in range(len(samples))])


def assert_mean(values: torch.Tensor, expected: float, *, off: float = FIFTH_OF_A_DB) -> None:
    """Within 4 standard errors; and the twin: a fifth of a decibel off is beyond them."""
    error = 4 * float(values.std()) / math.sqrt(values.numel())
    assert abs(float(values.mean()) - expected) <= error
    assert abs(float(values.mean()) - expected * off) > error


@pytest.fixture(name="generator")
def give_generator() -> Callable[..., torch.Generator]:
    return generator


@pytest.fixture(name="gaussian")
def give_gaussian() -> Callable[..., torch.Tensor]:
    return gaussian


@pytest.fixture(name="apply")
def give_apply() -> Callable[..., Distorted]:
    return apply


@pytest.fixture(name="assert_mean")
def give_assert_mean() -> Callable[..., None]:
    return assert_mean
