"""Schedules fitted to minutes, and checkpoints by time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.neural.training import Data, Settings, train
from semlink.neural.training import loop as training
from semlink.neural.training.loop import schedule

Log = Callable[[Path], list[dict[str, str]]]


class Clock:
    """Ten seconds a look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 10.0
        return self.now


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """The share of the learning rate by step."""
    found: dict[int, float] = {}

    def noted(step: int, settings: Settings, passed: float | None = None) -> float:
        found[step] = schedule(step, settings, passed)
        return found[step]

    monkeypatch.setattr(training, "schedule", noted)
    return found


def test_the_learning_rate_falls_to_nothing_as_the_minutes_pass(
    tmp_path: Path, data: Data, tiny: Settings, rates: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(tiny, steps=10_000, warmup=1, schedule_minutes=5.0, checkpoint_every=10**6)
    monkeypatch.setattr(training, "time", Clock())
    train(settings, tmp_path, data=data)
    count = len(rates)
    assert 4 <= count <= 30  # 300 s at 10 s a look, of which a step has one to six
    assert list(rates.values()) == sorted(rates.values(), reverse=True)
    assert rates[1] > 0.9
    assert rates[count] == pytest.approx(0.0, abs=1e-6)
    whole = torch.load(tmp_path / "checkpoint.pt")
    assert whole["step"] == count
    train(settings, tmp_path, data=data)  # over is over
    assert len(rates) == count


def test_a_training_that_goes_on_has_the_time_that_is_left(
    tmp_path: Path, data: Data, tiny: Settings, rates: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(tiny, steps=10_000, warmup=1, schedule_minutes=20.0, checkpoint_every=10**6)
    monkeypatch.setattr(training, "time", Clock())
    train(settings, tmp_path, data=data, minutes=5)
    spent = torch.load(tmp_path / "checkpoint.pt")["spent_s"]
    assert 100 < spent < 600
    before = len(rates)
    train(settings, tmp_path, data=data)
    assert len(rates) > before + 3
    assert rates[before + 1] < rates[before] < 1
    assert rates[before + 1] == pytest.approx(0.5 * (1 + math.cos(math.pi * spent / 1200)), abs=0.1)


def test_steps_end_it_where_they_are_sooner(
    tmp_path: Path, data: Data, tiny: Settings, rates: dict[int, float]
) -> None:
    train(replace(tiny, schedule_minutes=1e4), tmp_path, data=data)
    assert len(rates) == tiny.steps
    assert rates[tiny.steps] == pytest.approx(0.0, abs=1e-6)


def test_minutes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"schedule_minutes=-1 must be a number from 0 to 1e\+06"):
        Settings("x", schedule_minutes=-1)


def test_a_checkpoint_is_written_by_time_too(tmp_path: Path, data: Data, tiny: Settings, log: Log) -> None:
    settings = replace(tiny, steps=4, checkpoint_every=100, validate_every=100)
    train(settings, tmp_path / "always", data=data, checkpoint_minutes=0)
    assert [row["step"] for row in log(tmp_path / "always")] == ["1", "2", "3", "4"]
    train(settings, tmp_path / "never", data=data)
    assert [row["step"] for row in log(tmp_path / "never")] == ["4"]
