from __future__ import annotations

import csv
import json
import math
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from semlink.neural import data as loading
from semlink.neural import train as training
from semlink.neural import zoo
from semlink.neural.data import Data, draw_batch, training_images
from semlink.neural.deepjscc import DeepJSCC
from semlink.neural.fixed_rate import FixedRate
from semlink.neural.losses import batch_loss
from semlink.neural.models import MODELS
from semlink.neural.muon import Muon, orthogonalise
from semlink.neural.recipe import Settings, read_recipe
from semlink.neural.train import TrainingError, schedule, train
from semlink.phy.sources import DataError, load_image, sample_images

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
RECIPES = sorted((Path(__file__).parents[1] / "neural" / "recipes").glob("*.toml"))


@pytest.fixture(scope="module")
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


def test_the_same_seed_gives_the_same_weights(tmp_path: Path, data: Data) -> None:
    first = weights(SETTINGS, tmp_path / "a", data)
    torch.rand(5)  # the global generator must not matter
    assert equal(first, weights(SETTINGS, tmp_path / "b", data))
    assert not equal(first, weights(replace(SETTINGS, seed=1), tmp_path / "c", data))


@pytest.mark.parametrize("kill_after", [1, 2, 3, 5])
@pytest.mark.parametrize("settings", [SETTINGS, SWIN], ids=["deepjscc", "swin"])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, kill_after: int, settings: Settings
) -> None:
    uninterrupted = weights(settings, tmp_path / "whole", data)
    calls, real = [0], training.batch_loss

    def dying(*arguments: object) -> torch.Tensor:
        calls[0] += 1
        if calls[0] > kill_after:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "batch_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        train(settings, tmp_path / "killed", data=data)
    monkeypatch.setattr(training, "batch_loss", real)
    assert equal(uninterrupted, weights(settings, tmp_path / "killed", data))
    logs = [(tmp_path / folder / "log.csv").read_text().splitlines() for folder in ("whole", "killed")]
    assert logs[0][0] == logs[1][0]
    assert logs[0][-1] == logs[1][-1]


def test_a_run_out_of_time_goes_on_to_the_same_weights(tmp_path: Path, data: Data) -> None:
    uninterrupted = weights(SWIN, tmp_path / "whole", data)
    train(SWIN, tmp_path / "short", data=data, minutes=0)
    assert (tmp_path / "short" / "log.csv").read_text().splitlines()[-1].startswith("1,")
    assert equal(uninterrupted, weights(SWIN, tmp_path / "short", data))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(replace(SETTINGS, steps=2), tmp_path / "good", data=data)
    calls, real = [0], training.batch_loss

    def failing(*arguments: object) -> torch.Tensor:
        calls[0] += 1
        return real(*arguments) * (torch.nan if calls[0] == 4 else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "batch_loss", failing)
    with pytest.raises(TrainingError, match=r"step 4: loss nan.*is the last good one"):
        train(SETTINGS, tmp_path / "bad", data=data)
    kept, good = (torch.load(tmp_path / folder / "checkpoint.pt") for folder in ("bad", "good"))
    assert kept["step"] == 2
    # The two schedules differ in length only, and that after the second step.
    assert kept["model"].keys() == good["model"].keys()
    assert all(bool(value.isfinite().all()) for value in kept["model"].values())


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = training.batch_loss

    class Poisoned(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, *gradient: torch.Tensor) -> torch.Tensor:
            return gradient[0] * torch.inf

    monkeypatch.setattr(training, "batch_loss", lambda *arguments: Poisoned.apply(real(*arguments)))
    with pytest.raises(TrainingError, match=r"its gradient (inf|nan).*no checkpoint yet"):
        train(SETTINGS, tmp_path, data=data)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    uninterrupted = weights(SETTINGS, tmp_path / "whole", data)
    calls, real = [0], os.fsync

    def filling(file: int) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(os, "fsync", filling)
    with pytest.raises(TrainingError, match=r"No space left on device.*is the last good one"):
        train(SETTINGS, tmp_path / "full", data=data)
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["checkpoint.pt", "log.csv"]
    assert torch.load(tmp_path / "full" / "checkpoint.pt")["step"] == 2
    assert equal(uninterrupted, weights(SETTINGS, tmp_path / "full", data))


def test_two_processes_train_one_network(tmp_path: Path) -> None:
    """Both end with the same weights, and those are of a batch in two halves."""
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert equal(first["weights"], second["weights"])
    assert not torch.equal(first["batch"], second["batch"])
    assert len(first["batch"]) == 4
    mean = (first["alone"] + second["alone"]) / 2
    torch.testing.assert_close(first["together"], mean, rtol=1e-5, atol=1e-7)
    assert (tmp_path / "run" / "tiny.safetensors").is_file()


TWO_PROCESSES = """
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import distributed as dist

from semlink.neural.data import Data, draw_batch
from semlink.neural.losses import batch_loss
from semlink.neural.recipe import Settings
from semlink.neural import train as training

out = Path(sys.argv[1])
network = {"cell_symbols": 8, "widths": [4, 6]}
settings = Settings("tiny", network=network, steps=3, batch=8, groups=2, warmup=2, checkpoint_every=2)
small = torch.randint(0, 256, (50, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
data = Data(small, torch.empty(0, 3, 128, 128, dtype=torch.uint8), small[:0])
kept = {}
average = training.average_over_processes

def watched(gradients):
    flat = lambda: torch.cat([g.flatten() for g in gradients])
    kept.setdefault("alone", flat())
    average(gradients)
    kept.setdefault("together", flat())

draw = training.draw_batch
def drawn(*arguments, **options):
    batch = draw(*arguments, **options)
    kept.setdefault("batch", batch)
    return batch

advance = training.Run.advance
def advanced(run, data):
    kept["run"] = run
    return advance(run, data)

training.average_over_processes, training.draw_batch, training.Run.advance = watched, drawn, advanced
training.train(settings, out / "run", data=data)
run = kept.pop("run")
torch.save(kept | {"weights": dict(run.model.state_dict())}, out / f"rank{run.rank}.pt")
"""


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, data: Data) -> None:
    train(SETTINGS, tmp_path, data=data)
    with pytest.raises(ValueError, match="other settings"):
        train(replace(SETTINGS, lr=1e-4), tmp_path, data=data)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, data: Data) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match="is damaged"):
        train(SETTINGS, tmp_path, data=data)
    path.unlink()
    train(SETTINGS, tmp_path, data=data)
    state = torch.load(path)
    del state["model"]["to_pixels.bias"]
    for other in (state, {"model": {}}, [1, 2]):
        torch.save(other, path)
        with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged .*; remove it to begin anew"):
            train(SETTINGS, tmp_path, data=data)


def test_a_second_stage_starts_from_the_first(tmp_path: Path, data: Data) -> None:
    first = train(SETTINGS, tmp_path / "first", data=data)
    still = replace(SETTINGS, name="second", init=str(first), lr=0.0, lr_conv=0.0)
    assert equal(load_file(first), weights(still, tmp_path / "second", data))
    card = json.loads((tmp_path / "second" / "second.json").read_text())
    assert [part.split()[2] for part in card["command"].split("; ")] == [
        "neural/recipes/tiny.toml",
        "neural/recipes/second.toml",
    ]
    with pytest.raises(ValueError, match="no such file; train it first"):
        train(replace(still, init=str(tmp_path / "none")), tmp_path / "third", data=data)
    with pytest.raises(ValueError, match="no weights of this network"):
        train(replace(still, init=str(first), network={**TINY, "widths": [5, 6]}), tmp_path / "fourth", data=data)


def test_training_lowers_the_loss(tmp_path: Path, data: Data) -> None:
    settings = replace(SETTINGS, steps=120, checkpoint_every=30, large_share=0.0, lr_conv=2e-2, lr=1e-2)
    train(settings, tmp_path, data=data)
    losses = [row["loss"] for row in log(tmp_path)]
    assert float(losses[-1]) < 0.7 * float(losses[0])


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
def test_training_lowers_the_loss_and_raises_the_psnr(tmp_path: Path, data: Data, changed: dict[str, Any]) -> None:
    settings = replace(SWIN, steps=60, checkpoint_every=15, validate_every=15, large_share=0.0, lr_conv=1e-2, rates=())
    train(replace(settings, **changed), tmp_path, data=data)
    rows = log(tmp_path)
    assert float(rows[-1]["loss"]) < 0.8 * float(rows[0]["loss"])
    for level in (0, 10, 20):
        values = [float(row[f"psnr_db_at_{level}_db"]) for row in rows]
        assert values[-1] > values[0] + 0.5
    pictures = sorted((tmp_path / "samples").iterdir())
    assert [path.name for path in pictures] == [f"{step:07d}.png" for step in (15, 30, 45, 60)]
    assert load_image(pictures[-1]).shape == (1, 3, 6 * 32, 5 * 32)


@pytest.mark.parametrize(
    ("model", "network"),
    [
        ("deepjscc-plain", {"cell_symbols": 8}),
        ("adjscc", {"cell_symbols": 8, "width": 16}),
        ("swin-gsc", {}),
    ],
)
def test_the_published_networks_learn(tmp_path: Path, data: Data, model: str, network: dict[str, Any]) -> None:
    settings = replace(SETTINGS, model=model, network=network, optimiser="adam", lr=3e-3, even_out=False)
    settings = replace(settings, steps=60, checkpoint_every=15, large_share=0.0, esno_db=(10.0, 10.0))
    train(settings, tmp_path, data=data)
    rows = log(tmp_path)
    assert float(rows[-1]["loss"]) < 0.6 * float(rows[0]["loss"])


def test_the_average_is_what_is_published(tmp_path: Path, data: Data) -> None:
    got = weights(SWIN, tmp_path, data)
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


def test_a_network_that_counts_has_an_average_too(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "normalised", Normalised)
    settings = replace(SETTINGS, model="normalised", network={"cell_symbols": 8}, ema=0.9)
    got = weights(settings, tmp_path, data)
    state = torch.load(tmp_path / "checkpoint.pt")
    assert got["norm.num_batches_tracked"] == SETTINGS.steps
    assert torch.equal(got["norm.running_mean"], state["average"]["norm.running_mean"].half())
    assert not torch.equal(got["norm.running_mean"], state["model"]["norm.running_mean"].half())


def test_the_number_of_threads_is_as_before(tmp_path: Path, data: Data) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        train(SETTINGS, tmp_path, data=data)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_batches_hold_as_many_pixels_whatever_their_size(data: Data) -> None:
    settings = replace(SETTINGS, batch=64, large_share=0.5)
    shapes = {tuple(draw_batch(data, settings, torch.Generator().manual_seed(i)).shape) for i in range(60)}
    assert shapes == {(64, 3, 32, 32), (16, 3, 64, 64), (4, 3, 128, 128)}
    nothing_large = data._replace(large=data.large[:0])
    shapes = {tuple(draw_batch(nothing_large, settings, torch.Generator().manual_seed(i)).shape) for i in range(20)}
    assert shapes == {(64, 3, 32, 32)}


@pytest.mark.parametrize("batch", [1, 4, 7, 8, 9])
def test_any_batch_splits_into_groups(batch: int) -> None:
    model = DeepJSCC(4, (4, 6))
    loss = batch_loss(model, torch.rand(batch, 3, 32, 32), SETTINGS, torch.Generator().manual_seed(0))
    assert torch.isfinite(loss)


def test_crops_cover_small_and_large_images() -> None:
    image = torch.rand(1, 3, 40, 300)
    for most in (1.0, 4.0):
        square = loading.crop(image, 32, most, torch.Generator().manual_seed(0))
        assert (square.shape, square.dtype) == ((3, 32, 32), torch.uint8)


def test_the_schedule_rises_then_falls_to_zero() -> None:
    settings = replace(SETTINGS, steps=1000, warmup=100)
    rates = [schedule(step, settings) for step in range(1, 1001)]
    assert max(rates) == rates[99]
    assert rates[-1] == pytest.approx(0.0)
    assert rates[49] == pytest.approx(0.5, abs=0.01)


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


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_are_complete(path: Path) -> None:
    settings = read_recipe(path)
    assert settings.name == path.stem
    assert settings.steps >= 1000
    if settings.init and not settings.init.startswith("zoo:"):  # an earlier stage, with a recipe of its own
        assert path.with_name(f"{Path(settings.init).stem}.toml") in RECIPES


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("model = 'deepjscc'", "lacks name"),
        ("name = 'x'\nsnr = 3", "snr must be among: name, model"),
        ("name = ", "recipe"),
        ("name = 'x'", "network: lacks cell_symbols, which deepjscc needs"),
        ("name = 'x'\nmodel = 'swim'", "model='swim' must be one of: deepjscc, swin, swin-gsc"),
        ("name = 'x'\nmodel = 'swin'\nnetwork = {depht = 3}", "depht must be, for swin, among: ratio, widths"),
        ("name = 'x'\nmodel = 'swin'\nnetwork = {ratio = 0.5}", "ratio=0.5 must be, for swin, from 1/24 to 1/3"),
        ("name = 'x'\nmodel = 'swin'\nnetwork = {widths = [8, 9]}", "must be a multiple of heads=4"),
        ("name = 'x'\nmodel = 'swin'\nnetwork = {widths = 'a'}", "swin cannot be built of it"),
        ("name = 'x'\nmodel = 'swin'\nnetwork = 3", "network=3 must be a table"),
        ("name = ''\nmodel = 'swin'", "name='' must be a file name without a folder"),
        ("name = '../x'\nmodel = 'swin'", "name='../x' must be a file name without a folder"),
        ("name = 'x'\nnetwork = {cell_symbols = 8}\nrates = [8]", "deepjscc has one rate"),
        *[
            (f"name = 'x'\nmodel = 'swin'\n{text}", named)
            for text, named in (
                ("warmup = 0", "warmup=0"),
                ("steps = '8'", "steps='8'"),
                ("batch = true", "batch=True"),
                ("seed = -1", "seed=-1"),
                ("seed = 4294967296", r"seed=4294967296 must be below 2\^32"),
                ("lr = 'a'", "lr='a'"),
                ("lr = nan", "lr=nan"),
                ("ema = 1.0", "ema=1.0 must be a number from 0 to below 1"),
                ("large_share = 1.5", "large_share=1.5"),
                ("compile = 1", "compile=1 must be true or false"),
                ("init = 1", "init=1 must be a string"),
                ("device = 'tpu'", "device='tpu' must be one of: cpu, cuda"),
                ("precision = 'fp8'", "float32, bf16"),
                ("schedule = 'step'", "cosine, constant, drop"),
                ("optimiser = 'sgd'", "muon, adam"),
                ("rates = [1]", "must be, for swin, whole numbers from 2 to 16"),
                ("rates = [17]", "whole numbers from 1 to 16"),
                ("large_side = 100", "large_side=100 must be a multiple of 32 from 32 to 1024"),
                ("large_scale = 0.5", "large_scale=0.5 must be a number from 1 to 16"),
                ("large_validation = -1", "large_validation=-1 must be a whole number from 0"),
                ("validation = 2\nlarge_validation = 2", "one of them must be 0"),
                ("esno_db = [3, 1]", "the lower one first"),
                ("esno_db = [-inf, inf]", r"esno_db=\(-inf, inf\) must be from -100 to 100 dB"),
                ("loss = {lpips = 1}", "must be a table of: mse, ms-ssim, st-lpips"),
                ("loss = {mse = 0}", "not all of them 0"),
                ("loss = {mse = inf}", "must have finite weights from 0"),
                ("channels = ['awgn', 'moon']", "awgn, rayleigh-block"),
                ("channels = [['awgn']]", "awgn, rayleigh-block"),
            )
        ],
    ],
)
def test_bad_recipes_are_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(ValueError, match=named):
        read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(ValueError, match="none"):
        read_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("model", "network", "named"),
    [
        ("swin", {"widths": [48]}, r"widths=\(48,\) must be 2 whole numbers from 1"),
        ("swin", {"widths": [0, 128]}, r"widths=\(0, 128\) must be 2 whole numbers from 1"),
        ("swin", {"depths": [-1, 2]}, r"depths=\(-1, 2\) must be 2 whole numbers from 0"),
        ("swin", {"decoder_depths": [1, 2, 3]}, r"\(1, 2, 3\) must be 2 whole numbers from 0"),
        ("swin", {"heads": 0}, "heads=0 must be a whole number from 1"),
        ("swin", {"window": 2.5}, "window=2.5 must be a whole number from 1"),
        ("swin", {"mlp_ratio": 0}, "mlp_ratio=0 must leave the MLP a feature"),
        ("swin", {"mlp_ratio": math.inf}, "swin cannot be built of it"),
        ("swin-gsc", {"heads": [3, 4]}, "the first must divide 32, the second 64"),
        ("swin-gsc", {"depths": [2]}, r"depths=\(2,\) must be 2 whole numbers from 0"),
        ("swin-gsc", {"mlp_ratio": 0}, "mlp_ratio=0 must leave the MLP a feature"),
        ("deepjscc", {"cell_symbols": 0}, "cell_symbols=0 must be a whole number from 1"),
        ("deepjscc", {"cell_symbols": 8, "widths": [1, 8]}, r"widths=\(1, 8\) must be 2 whole numbers from 2"),
        ("deepjscc-plain", {"cell_symbols": 1.5}, "cell_symbols=1.5 must be a whole number from 1"),
        ("adjscc", {"cell_symbols": 8, "width": 0}, "width=0 must be a whole number from 1"),
    ],
)
def test_sizes_of_which_no_network_can_be_built_are_named(model: str, network: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings("x", model=model, network=network)


def test_a_users_folder_is_what_it_trains_on(tmp_path: Path) -> None:
    sample_images()  # the packaged photographs stand for the user's
    folder = tmp_path / "my photographs"
    folder.mkdir()
    for i, image in enumerate(sample_images()):
        Image.fromarray((image * 255).byte().permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    settings = replace(SETTINGS, images=str(folder), cifar10=False, photographs=7, large_photographs=4)
    data = training_images(settings)
    assert (len(data.small), len(data.large), len(data.validation)) == (7, 4, 0)
    train(settings, tmp_path / "run")
    card = json.loads((tmp_path / "run" / "tiny.json").read_text())
    assert card["data"] == f"from {folder}, 7 crops of 32x32 and 4 of 128x128"
    assert shlex.split(card["command"])[-2:] == ["--images", str(folder)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        training_images(replace(settings, images=str(tmp_path / "empty")))
    with pytest.raises(DataError, match="no such folder"):
        training_images(replace(settings, images=str(tmp_path / "none")))
    with pytest.raises(DataError, match="no training images"):
        training_images(replace(settings, photographs=0))


def test_one_starts_from_the_packaged_weights(tmp_path: Path, data: Data) -> None:
    network = {"cell_symbols": 8, "widths": [32, 64]}
    still = replace(SETTINGS, network=network, steps=1, init="zoo:deepjscc-6", lr=0.0, lr_conv=0.0)
    got = weights(still, tmp_path, data)
    assert equal(got, load_file(Path(zoo.__file__).parent / "weights" / "deepjscc-6.safetensors"))
    with pytest.raises(ValueError, match=r"init='zoo:deep' must be a path or one of: zoo:adjscc-64, zoo:deepjscc-12"):
        train(replace(still, init="zoo:deep"), tmp_path / "other", data=data)


def test_a_gpu_that_is_not_there_is_named(tmp_path: Path, data: Data) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="device='cuda' must be 'cpu' on this machine"):
        train(replace(SETTINGS, device="cuda"), tmp_path, data=data)


def test_training_needs_neither_sionna_nor_numba() -> None:
    """A machine with a GPU may have PyTorch and little else."""
    absent = ("sionna", "numba", "pytorch_msssim", "matplotlib", "pandas", "typer")
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import semlink.neural.train"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
