from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from semlink.neural.prompts import PromptAutoencoder, load_prompt_model
from semlink.neural.training import Data, Settings, read_recipe, train
from semlink.neural.training.prompts import prompt_loss

TINY = {"widths": [8, 8], "components": 16, "first": 4, "semantic": 2, "embed": 8}
SETTINGS = Settings(
    "tiny-prompts",
    task="prompts",
    model="diffae-small",
    network=TINY,
    steps=4,
    batch=4,
    warmup=1,
    ema=0.9,
    large_share=0,
    checkpoint_every=2,
    validate_every=4,
)


def test_a_training_goes_on_after_a_kill_and_gives_the_same(tmp_path: Path, data: Data) -> None:
    few = Data(data.small, data.large[:0], data.validation)
    whole = load_file(train(SETTINGS, tmp_path / "whole", data=few))
    torch.manual_seed(99)
    train(SETTINGS, tmp_path / "parts", data=few, minutes=0)
    parts = load_file(train(SETTINGS, tmp_path / "parts", data=few))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    model, card = load_prompt_model(tmp_path / "whole" / "tiny-prompts.safetensors")
    assert card.steps == "4 of 4, 4 tiles each"
    assert model.components == 16
    with (tmp_path / "whole" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["sketch_psnr_db_at_4_step"]) > float(rows[-1]["sketch_psnr_db_at_22_step"])


def test_the_loss_falls(data: Data) -> None:
    """On one batch drawn over and over, by a fifth at least."""
    torch.manual_seed(0)
    model = PromptAutoencoder(**{**TINY, "widths": (8, 8)})  # type: ignore[arg-type]
    model.fit(data.small.float() / 255)
    image, adam = data.small[:8].float() / 255, torch.optim.Adam(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(40):
        loss = prompt_loss(model, image, torch.Generator().manual_seed(0))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert bool((model.learned_scale != 0).any())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "swin"}, "model='swin' must be one of: diffae-small"),
        ({"mean_share": 1.5}, "mean_share=1.5 must be a number from 0 to 1"),
        ({"large_share": 0.25}, "large_share=0.25 must be 0 with task='prompts'"),
        ({"network": {**TINY, "side": 64}}, "side=64 must be 32"),
        ({"teacher": "resnet20"}, "teacher='resnet20' must be empty"),
        ({"network": {"widht": 3}}, "widht must be, for diffae-small, among"),
    ],
)
def test_settings_that_do_not_fit_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SETTINGS, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["prompt-32", "prompt-32-long", "prompt-32-gpu"])
def test_recipes_are_whole(name: str) -> None:
    settings = read_recipe(f"neural/recipes/{name}.toml")
    assert (settings.name, settings.task) == (name, "prompts")


def test_a_damaged_card_or_file_is_told(tmp_path: Path, data: Data) -> None:
    weights = train(replace(SETTINGS, steps=1), tmp_path, data=Data(data.small, data.large[:0], data.validation))
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(ValueError, match="SHA-256 differs from the card's"):
        load_prompt_model(weights)
    weights.with_suffix(".json").write_text('{"name": "a", "sha256": 3}')
    with pytest.raises(ValueError, match="not the card of a model of prompts"):
        load_prompt_model(weights)
    with pytest.raises(ValueError, match="must be one of: prompt-32"):
        load_prompt_model("prompt-64")
