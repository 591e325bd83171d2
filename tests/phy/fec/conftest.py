"""Bits, and what arrives of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from semlink.phy.link import esno_to_n0


def random_bits(rows: int, k: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, (rows, k), generator=torch.Generator().manual_seed(seed)).float()


def noisy(coded: Tensor, esno_db: float, seed: int = 1) -> Tensor:
    """LLRs of BPSK, 0 as +1, over AWGN with variance N0/2 on the real axis."""
    n0 = esno_to_n0(esno_db)
    noise = torch.randn(coded.shape, generator=torch.Generator().manual_seed(seed)) * math.sqrt(n0 / 2)
    return 4 / n0 * (1 - 2 * coded + noise)


@pytest.fixture(name="random_bits")
def give_random_bits() -> Callable[..., Tensor]:
    return random_bits


@pytest.fixture(name="noisy")
def give_noisy() -> Callable[..., Tensor]:
    return noisy
