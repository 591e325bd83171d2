"""A tiny network of each kind, images for it, and what is asked of weights and logs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semlink.neural.training import Data, Settings, train

TINY = {"cell_symbols": 8, "widths": [4, 6]}
SETTINGS = Settings("tiny", network=TINY, steps=6, batch=8, groups=4, warmup=2, checkpoint_every=2)
SWIN = replace(
    SETTINGS,
    model="swin",
    network={"widths": [8, 12], "depths": [1, 2], "heads": 2, "window": 4},
    ema=0.9,
    rates=(8, 2, 16),
    validation=5,
    validate_every=4,
)


@pytest.fixture(scope="session")
def data() -> Data:
    rng = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 255, 32).to(torch.uint8)
    small = (ramp[None, None, None] * torch.rand(55, 3, 32, 1, generator=rng)).to(torch.uint8)
    large = torch.randint(0, 256, (4, 3, 128, 128), generator=rng).to(torch.uint8)
    return Data(small[:50], large, small[50:])


def weights(settings: Settings, out: Path, data: Data) -> dict[str, torch.Tensor]:
    return load_file(train(settings, out, data=data))


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(name="weights")
def give_weights() -> Callable[[Settings, Path, Data], dict[str, torch.Tensor]]:
    return weights


@pytest.fixture(name="equal")
def give_equal() -> Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool]:
    return equal


@pytest.fixture(name="log")
def give_log() -> Callable[[Path], list[dict[str, str]]]:
    return log


@pytest.fixture
def tiny() -> Settings:
    """A DeepJSCC of a few weights, for a few steps."""
    return SETTINGS


@pytest.fixture
def tiny_swin() -> Settings:
    """A ConvSwin of a few weights with all that a run may have: an average, rates, validation."""
    return SWIN
