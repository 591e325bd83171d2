"""The command in this process, and untrained receivers in a folder that stands for the one in the package."""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from semlink.flowgraphs.cli import main
from semlink.neural import zoo as codec_zoo
from semlink.neural.diffusion import SFT, ReceiverCard, ResidualCNN, build_receiver, write_receiver_card, zoo
from semlink.phy.parallel import cores

SMALL = {"width": 4, "dim": 8, "blocks": [1, 1, 1, 1], "refinement": 0, "extractor_blocks": 1}
NETWORKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "sft-swin": ("sft", SMALL, "zoo:swin"),
    "sft-jpeg": ("sft", SMALL, "jpeg-ldpc-qam:adaptive"),
    "cnn-swin": ("residual-cnn", {"width": 8, "blocks": 1}, "zoo:swin"),
    "cddm-swin": ("cddm", {"width": 8, "blocks": 1}, "zoo:swin"),
}
TASKS = {"sft": "sft-2", "residual-cnn": "control", "cddm": "cddm"}


def pytest_configure(config: pytest.Config) -> None:
    """The processes of a run (`pytest -n`) share out the cores: else PyTorch's threads wait for each other."""
    torch.set_num_threads(max(1, cores() // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))


gc.disable()  # until all is imported and collected: nearly a million objects that stay, looked over time and again


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """What lives as long as the run is not looked at again whenever a test's own garbage is collected."""
    gc.collect()
    gc.freeze()
    gc.enable()
    return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make test-fast` leaves out what took long in the run that slow.txt is of."""
    slow = set((Path(__file__).with_name("slow.txt")).read_text().split())
    for item in items:
        if item.nodeid.split("[")[0] in slow:
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """What a test draws without a generator of its own is the same in each run, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def one_registry() -> Iterator[None]:
    """PyTorch's exporter makes its list of operators anew for every file, which takes two seconds: once for all."""
    from torch.onnx._internal.exporter import _registration

    with pytest.MonkeyPatch.context() as patch:
        kind = _registration.ONNXRegistry
        once = functools.cache(kind.from_torchlib)
        patch.setattr(kind, "from_torchlib", classmethod(lambda _, *given, **named: once(*given, **named)))
        yield


def keep(folder: Path, name: str) -> Path:
    """An untrained receiver with its card; what it does to an image can be seen."""
    model, network, codec = NETWORKS[name]
    torch.manual_seed(len(name))
    built = build_receiver(model, network)
    if isinstance(built, SFT | ResidualCNN):
        leave = built.restorer.leave if isinstance(built, SFT) else built.leave
        torch.nn.init.normal_(leave.weight, std=0.01)
    path = folder / f"{name}.safetensors"
    codec_zoo.write_weights(built, path)
    count = sum(parameter.numel() for parameter in built.parameters())
    digest = codec_zoo.sha256(path)
    card = ReceiverCard(name, model, network, count, TASKS[model], codec, "none", "awgn", "nothing", digest)
    write_receiver_card(card, folder)
    return path


@pytest.fixture
def run_semlink(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: (exit status, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["semlink", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return run


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of receivers that stands for the one in the package."""
    folder, real = tmp_path / "receivers", resources.files
    folder.mkdir()
    for name in NETWORKS:
        keep(folder, name)
    monkeypatch.setattr(resources, "files", lambda package: folder if package == zoo.PACKAGE else real(package))
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> str:
    small = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    shown = torch.nn.functional.interpolate(small, 48, mode="bicubic").clamp(0, 1)[0]
    path = tmp_path / "picture.png"
    Image.fromarray((shown * 255).byte().permute(1, 2, 0).numpy()).save(path)
    return str(path)
