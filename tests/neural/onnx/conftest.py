"""Small networks, and one that is exported once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter import _registration

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
def one_registry() -> Iterator[None]:
    """PyTorch makes its list of operators anew for every file, which takes two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        kind = _registration.ONNXRegistry
        once = functools.cache(kind.from_torchlib)
        patch.setattr(kind, "from_torchlib", classmethod(lambda _, *given, **named: once(*given, **named)))
        yield


@pytest.fixture(scope="session")
def model() -> nn.Module:
    """Held to a training at 0 to 20 dB, as what ships is to its own."""
    made = make("deepjscc")
    assert isinstance(made, Held)
    made.hold_to((0.0, 20.0))
    return made


@pytest.fixture(scope="session")
def folder(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the pair of a small model for images of 20×17 pixels, 17 wide."""
    folder = tmp_path_factory.mktemp("onnx") / "made" / "for it"
    export_codec(model, folder, name="codec", size=(20, 17))
    return folder


@pytest.fixture
def codec(folder: Path) -> OnnxCodec:
    return OnnxCodec(folder, "codec", threads=1)


@pytest.fixture(name="make")
def give_make() -> Callable[[str], nn.Module]:
    return make
