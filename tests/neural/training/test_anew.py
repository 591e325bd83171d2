"""A training that starts from the weights of another task: all but the parts that are to start anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.neural.classifiers import build_task, load_task
from semlink.neural.training import Settings, train
from semlink.neural.training.lessons import Lessons
from semlink.neural.zoo import write_weights

NETWORK = {"classes": 3, "features": 5, "tokens": 8, "token_symbols": 1, "width": 8, "seen_width": 8, "heads": 2}
NETWORK |= {"widths": [4, 6], "blocks": [1, 1], "depths": [1, 1]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A step of no length, for four classes, from the weights of a network for three."""
    torch.manual_seed(1)
    write_weights(build_task("task", NETWORK), tmp_path / "three.safetensors")
    given = {"task": "distil", "model": "task", "loss": {"labels": 1.0}, "steps": 1, "batch": 4, "lr": 0, "lr_conv": 0}
    init = str(tmp_path / "three.safetensors")
    return Settings("four", **given, network={**NETWORK, "classes": 4}, init=init, anew=("head",))  # type: ignore[arg-type]


@pytest.fixture
def lessons() -> Lessons:
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(256, (8, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return Lessons(images, torch.arange(8) % 4, torch.zeros(2, 8, 0), torch.zeros(2, 8, 0), images[:0], torch.arange(0))


def test_the_head_starts_anew_and_all_else_is_taken(settings: Settings, lessons: Lessons, tmp_path: Path) -> None:
    got = dict(load_task(train(settings, tmp_path / "out", data=lessons)).named_parameters())
    torch.manual_seed(1)
    first = build_task("task", NETWORK)
    for name, was in first.named_parameters():
        if name.startswith("head."):
            assert got[name].shape == (4, *was.shape[1:])
        else:
            torch.testing.assert_close(got[name], was.half().float().detach())
    assert got["head.weight"].abs().max() > 0


def test_without_it_or_with_an_unknown_part_nothing_is_trained(
    settings: Settings, lessons: Lessons, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no weights of this network"):
        train(replace(settings, anew=()), tmp_path / "a", data=lessons)
    with pytest.raises(ValueError, match="anew=hat must be among the network's parts: student, to_features, head, "):
        train(replace(settings, anew=("hat", "head")), tmp_path / "b", data=lessons)
    for wrong in ({"init": ""}, {"anew": "head"}, {"anew": (1,)}):
        with pytest.raises(ValueError, match="must be names of parts of the network, and init name weights"):
            replace(settings, **wrong)  # type: ignore[arg-type]
