"""Small networks, and one that is exported once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from semlink.neural.models import build
from semlink.neural.networks import Held
from semlink.neural.onnx import OnnxCodec
from semlink.neural.onnx.export import export_codec

# Small ones: the graph is that of a large one.
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "deepjscc": {"cell_symbols": 4, "widths": (4, 6)},
    "swin": {"widths": (8, 12), "depths": (1, 2), "heads": 2, "window": 4},
    "swin-gsc": {"depths": (1, 2)},
    "adjscc": {"cell_symbols": 8, "width": 16},
    "deepjscc-plain": {"cell_symbols": 8},
}


def make(name: str) -> nn.Module:
    """Shaken out of its initial symmetries, or much of it would be idle."""
    torch.manual_seed(0)
    model = build(name, NETWORKS.get(name, {}))
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session", autouse=True)
def all_have_one_registry(one_registry: None) -> None:
    pass


@pytest.fixture(scope="session")
def model() -> nn.Module:
    """Held to a training at 0 to 20 dB, as what ships is to its own."""
    made = make("deepjscc")
    assert isinstance(made, Held)
    made.hold_to((0.0, 20.0))
    return made


@pytest.fixture(scope="session")
def exported(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    """A folder with the pair of a small model for images of 20×17 pixels, 17 wide; and its twin that was exported."""
    folder, twin = tmp_path_factory.mktemp("onnx") / "made" / "for it", copy.deepcopy(model)
    export_codec(twin.train().requires_grad_(True), folder, name="codec", size=(20, 17))
    return folder, twin


@pytest.fixture(scope="session")
def folder(exported: tuple[Path, nn.Module]) -> Path:
    return exported[0]


@pytest.fixture
def codec(folder: Path) -> OnnxCodec:
    return OnnxCodec(folder, "codec", threads=1)


@pytest.fixture(name="make")
def give_make() -> Callable[[str], nn.Module]:
    return make
