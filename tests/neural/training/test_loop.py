"""The loop: the same weights from the same seed, a loss that falls, and what is published in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from semlink.neural import zoo
from semlink.neural.models import MODELS
from semlink.neural.networks import DeepJSCC, FixedRate
from semlink.neural.training import Data, Settings, train
from semlink.neural.training.loop import schedule
from semlink.neural.training.losses import batch_loss
from semlink.phy.sources import load_image


def test_the_same_seed_gives_the_same_weights(
    tmp_path: Path,
    data: Data,
    tiny: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
    equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool],
) -> None:
    first = weights(tiny, tmp_path / "a", data)
    torch.rand(5)  # the global generator must not matter
    assert equal(first, weights(tiny, tmp_path / "b", data))
    assert not equal(first, weights(replace(tiny, seed=1), tmp_path / "c", data))


def test_a_second_stage_starts_from_the_first(
    tmp_path: Path,
    data: Data,
    tiny: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
    equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool],
) -> None:
    first = train(tiny, tmp_path / "first", data=data)
    still = replace(tiny, name="second", init=str(first), lr=0.0, lr_conv=0.0)
    assert equal(load_file(first), weights(still, tmp_path / "second", data))
    card = json.loads((tmp_path / "second" / "second.json").read_text())
    assert [part[:24] for part in card["command"].split("; ")] == [
        "train(Settings('tiny', n",
        "train(Settings('second',",
    ]
    with pytest.raises(ValueError, match="no such file; train it first"):
        train(replace(still, init=str(tmp_path / "none")), tmp_path / "third", data=data)
    with pytest.raises(ValueError, match="no weights of this network"):
        train(
            replace(still, init=str(first), network={**tiny.network, "widths": [5, 6]}), tmp_path / "fourth", data=data
        )


def test_training_lowers_the_loss(
    tmp_path: Path, data: Data, tiny: Settings, log: Callable[[Path], list[dict[str, str]]]
) -> None:
    settings = replace(tiny, steps=120, checkpoint_every=30, large_share=0.0, lr_conv=2e-2, lr=1e-2)
    train(settings, tmp_path, data=data)
    losses = [row["loss"] for row in log(tmp_path)]
    assert float(losses[-1]) < 0.7 * float(losses[0])


@pytest.mark.filterwarnings("ignore:precision='bf16' is some ten times slower")
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"precision": "bf16"},
        {"channels_last": True},
        {"loss": {"mse": 1.0, "ms-ssim": 0.02}},
        {"loss": {"mse": 1.0, "st-lpips": 0.005}},
        {"optimiser": "adam", "lr": 1e-2},
    ],
    ids=str,
)
def test_training_lowers_the_loss_and_raises_the_psnr(
    tmp_path: Path,
    data: Data,
    changed: dict[str, Any],
    tiny_swin: Settings,
    log: Callable[[Path], list[dict[str, str]]],
) -> None:
    settings = replace(
        tiny_swin, steps=40, checkpoint_every=10, validate_every=10, large_share=0.0, lr_conv=1e-2, rates=()
    )
    train(replace(settings, **changed), tmp_path, data=data)
    rows = log(tmp_path)
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    for level in (0, 10, 20):
        values = [float(row[f"psnr_db_at_{level}_db"]) for row in rows]
        assert values[-1] > values[0] + 0.5
    pictures = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in pictures] == [f"{step:07d}.png" for step in (10, 20, 30, 40)]
    assert load_image(pictures[-1]).shape == (1, 3, 6 * 32, 5 * 32)


@pytest.mark.parametrize(
    ("model", "network"),
    [
        ("deepjscc-plain", {"cell_symbols": 8}),
        ("adjscc", {"cell_symbols": 8, "width": 16}),
        ("swin-gsc", {}),
    ],
)
def test_the_published_networks_learn(
    tmp_path: Path,
    data: Data,
    model: str,
    network: dict[str, Any],
    tiny: Settings,
    log: Callable[[Path], list[dict[str, str]]],
) -> None:
    settings = replace(tiny, model=model, network=network, optimiser="adam", lr=3e-3, even_out=False)
    settings = replace(settings, steps=60, checkpoint_every=15, large_share=0.0, esno_db=(10.0, 10.0))
    train(settings, tmp_path, data=data)
    rows = log(tmp_path)
    assert float(rows[-1]["loss"]) < 0.6 * float(rows[0]["loss"])


def test_the_average_is_what_is_published(
    tmp_path: Path,
    data: Data,
    tiny_swin: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
    equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool],
) -> None:
    got = weights(tiny_swin, tmp_path, data)
    state = torch.load(tmp_path / "checkpoint.pt")
    assert equal(got, {key: value.half() for key, value in state["average"].items()})
    assert not equal(got, {key: value.half() for key, value in state["model"].items()})


class Normalised(FixedRate):
    """A network with buffers that are averaged and one that counts."""

    def __init__(self, cell_symbols: int) -> None:
        super().__init__("normalised", cell=4, cell_symbols=cell_symbols)
        self.analysis, self.norm = nn.Conv2d(48, 2 * cell_symbols, 1), nn.BatchNorm2d(2 * cell_symbols)
        self.synthesis = nn.Conv2d(3 * cell_symbols, 48, 1)

    def analyse(self, image: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        del level
        latents: torch.Tensor = self.norm(self.analysis(nn.functional.pixel_unshuffle(image, 4)))
        return latents

    def synthesise(self, seen: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        del level
        return nn.functional.pixel_shuffle(self.synthesis(seen), 4)


def test_a_network_that_counts_has_an_average_too(
    tmp_path: Path,
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    tiny: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
) -> None:
    monkeypatch.setitem(MODELS, "normalised", Normalised)
    settings = replace(tiny, model="normalised", network={"cell_symbols": 8}, ema=0.9)
    got = weights(settings, tmp_path, data)
    state = torch.load(tmp_path / "checkpoint.pt")
    assert got["norm.num_batches_tracked"] == tiny.steps
    assert torch.equal(got["norm.running_mean"], state["average"]["norm.running_mean"].half())
    assert not torch.equal(got["norm.running_mean"], state["model"]["norm.running_mean"].half())


def test_the_number_of_threads_is_as_before(tmp_path: Path, data: Data, tiny: Settings) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        train(tiny, tmp_path, data=data)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [1, 4, 7, 8, 9])
def test_any_batch_splits_into_groups(batch: int, tiny: Settings) -> None:
    model = DeepJSCC(4, (4, 6))
    loss = batch_loss(model, torch.rand(batch, 3, 32, 32), tiny, torch.Generator().manual_seed(0))
    assert torch.isfinite(loss)


def test_the_schedule_rises_then_falls_to_zero(tiny: Settings) -> None:
    settings = replace(tiny, steps=1000, warmup=100)
    rates = [schedule(step, settings) for step in range(1, 1001)]
    assert max(rates) == rates[99]
    assert rates[-1] == pytest.approx(0.0)
    assert rates[49] == pytest.approx(0.5, abs=0.01)


def test_one_starts_from_the_packaged_weights(
    tmp_path: Path,
    data: Data,
    tiny: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
    equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool],
) -> None:
    network = {"cell_symbols": 8, "widths": [32, 64]}
    still = replace(tiny, network=network, steps=1, init="zoo:deepjscc-6", lr=0.0, lr_conv=0.0)
    got = weights(still, tmp_path, data)
    assert equal(got, load_file(Path(zoo.__file__).parent / "weights" / "deepjscc-6.safetensors"))
    with pytest.raises(ValueError, match=r"init='zoo:deep' must be a path or one of: zoo:adjscc-64, zoo:deepjscc-12"):
        train(replace(still, init="zoo:deep"), tmp_path / "other", data=data)


def test_a_gpu_that_is_not_there_is_named(tmp_path: Path, data: Data, tiny: Settings) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device='cuda' must be 'cpu' on this machine"):
        train(replace(tiny, device="cuda"), tmp_path, data=data)


def test_training_needs_neither_sionna_nor_numba() -> None:
    """A machine with a GPU may have PyTorch and little else."""
    absent = ("sionna", "numba", "pytorch_msssim", "matplotlib", "pandas", "typer")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import semlink.neural.training.loop"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
