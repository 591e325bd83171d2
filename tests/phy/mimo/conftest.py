"""Draws, and symbols sent over independent Rayleigh channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from semlink.phy.constellation import QAM
from semlink.phy.mimo import Scheme
from semlink.phy.mimo.spatial import Detected


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex64, generator=rng(seed))


@dataclass(frozen=True)
class Trial:
    sent: Tensor
    antennas: Tensor
    found: Detected
    h: Tensor


def send(scheme: Scheme, esno_db: float, *, b: int = 2, g: int = 2000, off_db: float = 0.0, order: int = 0) -> Trial:
    """Independent Rayleigh channels, whose noise is `off_db` weaker than the receiver believes."""
    n0 = 10 ** (-esno_db / 10)
    h = normal(b, g, scheme.rx, scheme.tx, seed=1)
    sent = normal(b, g, scheme.streams, seed=2)
    if order:
        qam = QAM(order)
        bits = torch.randint(2, (b, g * scheme.streams * qam.bits_per_symbol), generator=rng(3))
        sent = qam.map(bits).reshape(sent.shape)
    antennas = scheme.precode(sent, h if scheme.informed else None, n0, rng=[rng(10 + i) for i in range(b)])
    noise = normal(b, g, scheme.span, scheme.rx, seed=4) * math.sqrt(n0 * 10 ** (-off_db / 10))
    observed = torch.einsum("bgrt,bgut->bgur", h, antennas) + noise
    return Trial(sent, antennas, scheme.detect(observed, h, torch.full((b, g), n0), n0), h)


@pytest.fixture(name="rng")
def give_rng() -> Callable[..., torch.Generator]:
    return rng


@pytest.fixture(name="normal")
def give_normal() -> Callable[..., Tensor]:
    return normal


@pytest.fixture(name="send")
def give_send() -> Callable[..., Trial]:
    return send
