from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semlink.neural import train as training
from semlink.neural.deepjscc import DeepJSCC
from semlink.neural.muon import orthogonalise
from semlink.neural.train import Data, Settings, draw_batch, read_recipe, schedule, train

SETTINGS = Settings("tiny", 8, widths=(4, 6), steps=6, batch=8, groups=4, warmup=2, checkpoint_every=2)
RECIPES = sorted((Path(__file__).parents[1] / "neural" / "recipes").glob("*.toml"))


@pytest.fixture(scope="module")
def data() -> Data:
    rng = torch.Generator().manual_seed(0)
    ramp = torch.linspace(0, 255, 32).to(torch.uint8)
    small = (ramp[None, None, None] * torch.rand(50, 3, 32, 1, generator=rng)).to(torch.uint8)
    return small.expand(50, 3, 32, 32).clone(), torch.randint(0, 256, (4, 3, 128, 128), generator=rng).to(torch.uint8)


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
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, kill_after: int
) -> None:
    uninterrupted = weights(SETTINGS, tmp_path / "whole", data)
    calls, real = [0], training.batch_loss

    def dying(*arguments: object) -> torch.Tensor:
        calls[0] += 1
        if calls[0] > kill_after:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "batch_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        train(SETTINGS, tmp_path / "killed", data=data)
    monkeypatch.setattr(training, "batch_loss", real)
    assert equal(uninterrupted, weights(SETTINGS, tmp_path / "killed", data))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, data: Data) -> None:
    train(SETTINGS, tmp_path, data=data)
    with pytest.raises(ValueError, match="other settings"):
        train(replace(SETTINGS, lr=1e-4), tmp_path, data=data)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, data: Data) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"junk")
    with pytest.raises(ValueError, match="is damaged"):
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
        train(replace(still, init=str(first), widths=(5, 6)), tmp_path / "fourth", data=data)


def test_training_lowers_the_loss(tmp_path: Path, data: Data) -> None:
    settings = replace(SETTINGS, steps=120, checkpoint_every=30, large_share=0.0, lr_conv=2e-2, lr=1e-2)
    train(settings, tmp_path, data=data)
    losses = [float(line.split(",")[1]) for line in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert losses[-1] < 0.7 * losses[0]


def test_batches_hold_as_many_pixels_whatever_their_size(data: Data) -> None:
    settings = replace(SETTINGS, batch=64, large_share=0.5)
    shapes = {tuple(draw_batch(data, settings, torch.Generator().manual_seed(i)).shape) for i in range(60)}
    assert shapes == {(64, 3, 32, 32), (16, 3, 64, 64), (4, 3, 128, 128)}
    nothing_large = (data[0], data[1][:0])
    shapes = {tuple(draw_batch(nothing_large, settings, torch.Generator().manual_seed(i)).shape) for i in range(20)}
    assert shapes == {(64, 3, 32, 32)}


@pytest.mark.parametrize("batch", [1, 4, 7, 8, 9])
def test_any_batch_splits_into_groups(batch: int) -> None:
    model = DeepJSCC(4, (4, 6))
    loss = training.batch_loss(model, torch.rand(batch, 3, 32, 32), SETTINGS, torch.Generator().manual_seed(0))
    assert torch.isfinite(loss)


def test_crops_cover_small_and_large_images() -> None:
    image = torch.rand(1, 3, 40, 300)
    for most in (1.0, 4.0):
        square = training.crop(image, 32, most, torch.Generator().manual_seed(0))
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


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_are_complete(path: Path) -> None:
    settings = read_recipe(path)
    assert settings.name == path.stem
    assert settings.steps >= 1000
    if settings.init:  # an earlier stage, with a recipe of its own
        assert path.with_name(f"{Path(settings.init).stem}.toml") in RECIPES


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name = 'x'", "lacks cell_symbols"),
        ("name = 'x'\ncell_symbols = 8\nsnr = 3", "snr must be among: name, cell_symbols"),
        ("name = ", "recipe"),
        ("name = 'x'\ncell_symbols = 0", "cell_symbols=0"),
        ("name = 'x'\ncell_symbols = '8'", "cell_symbols='8'"),
        ("name = 'x'\ncell_symbols = 8\nwarmup = 0", "warmup=0"),
        ("name = 'x'\ncell_symbols = 8\nwidths = 5", "widths=5"),
        ("name = 'x'\ncell_symbols = 8\nlr = 'a'", "lr='a'"),
        ("name = 'x'\ncell_symbols = 8\nchannels = ['awgn', 'moon']", "awgn, rayleigh-block"),
    ],
)
def test_bad_recipes_are_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(ValueError, match=named):
        read_recipe(tmp_path / "recipe.toml")
    with pytest.raises(ValueError, match="none"):
        read_recipe(tmp_path / "none.toml")
