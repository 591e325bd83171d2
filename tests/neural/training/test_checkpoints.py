"""What a run that is killed, out of time, out of disk or out of numbers leaves, and how it goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.neural.training import Data, Settings, TrainingError, train
from semlink.neural.training import loop as training


@pytest.mark.parametrize("kill_after", [1, 2, 3, 5])
@pytest.mark.parametrize("model", ["deepjscc", "swin"])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path,
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    kill_after: int,
    model: str,
    tiny: Settings,
    tiny_swin: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
    equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool],
) -> None:
    settings = {"deepjscc": tiny, "swin": tiny_swin}[model]
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


def test_a_run_out_of_time_goes_on_to_the_same_weights(
    tmp_path: Path,
    data: Data,
    tiny_swin: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
    equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool],
) -> None:
    uninterrupted = weights(tiny_swin, tmp_path / "whole", data)
    train(tiny_swin, tmp_path / "short", data=data, minutes=0)
    assert (tmp_path / "short" / "log.csv").read_text().splitlines()[-1].startswith("1,")
    assert equal(uninterrupted, weights(tiny_swin, tmp_path / "short", data))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, tiny: Settings
) -> None:
    train(replace(tiny, steps=2), tmp_path / "good", data=data)
    calls, real = [0], training.batch_loss

    def failing(*arguments: object) -> torch.Tensor:
        calls[0] += 1
        step = calls[0] - 2  # before the first one memory is looked at, by two losses
        return real(*arguments) * (torch.nan if step == 4 else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "batch_loss", failing)
    with pytest.raises(TrainingError, match=r"step 4: loss nan.*is the last good one"):
        train(tiny, tmp_path / "bad", data=data)
    kept, good = (torch.load(tmp_path / folder / "checkpoint.pt") for folder in ("bad", "good"))
    assert kept["step"] == 2
    # The two schedules differ in length only, and that after the second step.
    assert kept["model"].keys() == good["model"].keys()
    assert all(bool(value.isfinite().all()) for value in kept["model"].values())


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch, tiny: Settings
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
        train(tiny, tmp_path, data=data)


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path,
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    tiny: Settings,
    weights: Callable[[Settings, Path, Data], dict[str, torch.Tensor]],
    equal: Callable[[dict[str, torch.Tensor], dict[str, torch.Tensor]], bool],
) -> None:
    uninterrupted = weights(tiny, tmp_path / "whole", data)
    calls, real = [0], os.fsync

    def filling(file: int) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(28, "No space left on device")
        real(file)

    monkeypatch.setattr(os, "fsync", filling)
    with pytest.raises(TrainingError, match=r"No space left on device.*is the last good one"):
        train(tiny, tmp_path / "full", data=data)
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["checkpoint.pt", "log.csv"]
    assert torch.load(tmp_path / "full" / "checkpoint.pt")["step"] == 2
    assert equal(uninterrupted, weights(tiny, tmp_path / "full", data))


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path, data: Data, tiny: Settings) -> None:
    train(tiny, tmp_path, data=data)
    with pytest.raises(ValueError, match="other settings"):
        train(replace(tiny, lr=1e-4), tmp_path, data=data)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, data: Data, tiny: Settings) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match="is damaged"):
        train(tiny, tmp_path, data=data)
    path.unlink()
    train(tiny, tmp_path, data=data)
    state = torch.load(path)
    del state["model"]["to_pixels.bias"]
    for other in (state, {"model": {}}, [1, 2]):
        torch.save(other, path)
        with pytest.raises(ValueError, match=r"checkpoint\.pt is damaged .*; remove it to begin anew"):
            train(tiny, tmp_path, data=data)


def test_validation_is_when_it_is_asked_for_whatever_the_checkpoints(
    tmp_path: Path, data: Data, tiny: Settings
) -> None:
    settings = replace(tiny, steps=7, validate_every=3, checkpoint_every=2)
    train(settings, tmp_path, data=data)
    names, *rows = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()]
    measured = {row[0]: any(row[names.index(name)] for name in names if name.startswith("psnr")) for row in rows}
    assert measured == {"2": False, "3": True, "4": False, "6": True, "7": True}
