"""Memory, looked at before the first step: refused with what is needed, what there is, and what would fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from semlink.neural.training import Data, Settings, beforehand, train, training_images
from semlink.neural.training.beforehand import COPIES, OWN_BYTES, SLACK, Need, least_images, measure

Weights = Callable[[Settings, Path, Data], dict[str, torch.Tensor]]


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def have(count: float) -> None:
        monkeypatch.setattr(beforehand, "free_bytes", lambda device="cpu": int(count))

    return have


def test_what_a_gradient_keeps_is_counted_once_and_without_weights() -> None:
    model = nn.Sequential(nn.Linear(100, 50), nn.Tanh(), nn.Linear(50, 10))
    kept = {"input": 100, "tanh": 50}  # the second layer needs what the first gradient of tanh is made of: one storage

    def loss(count: int) -> torch.Tensor:
        out: torch.Tensor = model(torch.rand(count, 100))
        return out.sum()

    need = measure(model, loss)
    assert need.each == pytest.approx(SLACK * 4 * sum(kept.values()))
    assert need.fixed == pytest.approx(OWN_BYTES + COPIES * 4 * (100 * 50 + 50 + 50 * 10 + 10))


def test_a_batch_that_does_not_fit_is_refused_before_the_first_step(
    tmp_path: Path, data: Data, tiny: Settings, free: Callable[[float], None], weights: Weights
) -> None:
    settings = replace(tiny, batch=100_000, large_share=0.0)
    free(160e6)
    with pytest.raises(
        ValueError, match=r"^batch=100000: a step needs about [\d.e+]+ GB, and 0\.16 GB are free"
    ) as told:
        train(settings, tmp_path / "much", data=data)
    assert not (tmp_path / "much" / "checkpoint.pt").exists()
    found = re.search(r"batch=(\d+) would fit$", str(told.value))
    assert found
    fits = int(found[1])
    assert 10 < fits < 10_000
    weights(replace(settings, batch=fits, steps=1), tmp_path / "fits", data)  # and so it does
    with pytest.raises(ValueError, match="would fit"):
        train(replace(settings, batch=fits + 1), tmp_path / "above", data=data)
    free(1e3)
    with pytest.raises(ValueError, match="no batch would fit: a smaller network might"):
        train(tiny, tmp_path / "none", data=replace_large(data))


def replace_large(data: Data) -> Data:
    return data._replace(large=data.large[:0])


def test_a_large_image_counts_for_as_many_small_ones(tmp_path: Path, data: Data, tiny: Settings) -> None:
    assert least_images(tiny, 4) == 16
    assert least_images(replace(tiny, large_share=0.0), 4) == least_images(tiny, 0) == 1
    need = Need(fixed=100.0, each=10.0)
    assert (need.of(5), need.fitting(155.0)) == (150.0, 5)


def test_large_ones_alone_are_looked_at_too(
    tmp_path: Path, data: Data, tiny: Settings, free: Callable[[float], None]
) -> None:
    free(200_000)
    large = Data(data.small[:0], data.large, data.validation)
    with pytest.raises(ValueError, match=r"no batch would fit, for one large image counts as 16: a smaller large_side"):
        train(replace(tiny, large_share=1.0, cifar10=False), tmp_path, data=large)


def test_the_look_changes_nothing(
    tmp_path: Path, data: Data, tiny_swin: Settings, monkeypatch: pytest.MonkeyPatch, weights: Weights
) -> None:
    looked = weights(tiny_swin, tmp_path / "looked", data)
    monkeypatch.setattr("semlink.neural.training.loop.Run.check", lambda *_: None)
    blind = weights(tiny_swin, tmp_path / "blind", data)
    assert all(torch.equal(value, blind[key]) for key, value in looked.items())


def test_more_crops_than_fit_are_refused_before_any_is_made(tiny: Settings, free: Callable[[float], None]) -> None:
    free(1e9)
    settings = replace(tiny, cifar10=False, photographs=0, large_photographs=1_000_000, large_side=1024)
    said = r"^large_photographs=1000000 of 1024x1024 need about 6\.3e\+03 GB, and 1 GB are free: 158 would fit$"
    with pytest.raises(ValueError, match=said):
        training_images(settings)


@pytest.mark.parametrize(
    ("able", "changed", "warned"),
    [
        ("AVX2", {"precision": "bf16"}, True),
        ("AVX512", {"precision": "bf16"}, False),
        ("AVX2", {"precision": "float32"}, False),
        ("AVX2", {"precision": "bf16", "device": "cuda"}, False),
    ],
)
def test_bf16_that_costs_time_is_told(
    able: str, changed: dict[str, str], warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: able)
    settings = Settings("mine", model="swin", **changed)  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match="ten times slower") if warned else nullcontext():
        beforehand.warn_of_slow_bf16(settings)
