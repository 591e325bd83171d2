"""`semlink search`: what it writes, and what it refuses before a teacher is asked anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.cli.search import run_search
from semlink.neural import training
from semlink.neural.classifiers import read_architecture
from semlink.neural.training import Settings
from semlink.neural.training.lessons import Lessons

RECIPES = Path(__file__).parents[3] / "neural" / "recipes"
SMALL = """
name = "x"
task = "distil"
model = "task"
teacher = "tiniest"
loss = {labels = 1.0}
batch = 4
network = {widths = [4, 8], blocks = [1, 2], features = 8}
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings for which a teacher was asked; what it answers is about noise."""
    given: list[Settings] = []

    def task_lessons(settings: Settings, out: Path) -> Lessons:
        assert out.is_dir()
        given.append(settings)
        rng = torch.Generator().manual_seed(0)
        images, labels = torch.randint(256, (8, 3, 32, 32), generator=rng, dtype=torch.uint8), torch.arange(8)
        return Lessons(images, labels, torch.zeros(2, 8, 8), torch.zeros(2, 8, 10), images[:0], labels[:0])

    monkeypatch.setattr(training, "task_lessons", task_lessons)
    return given


def test_three_architectures_of_like_cost_are_written(
    tmp_path: Path, asked: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.toml").write_text(SMALL)
    run_search(tmp_path / "r.toml", tmp_path / "out", steps=2, penalty=0.0, seed=1)
    assert [(one.steps, one.seed) for one in asked] == [(2, 1)]
    names = ("found", "fixed", "random")
    found, fixed, drawn = (read_architecture(tmp_path / "out" / f"{name}.toml") for name in names)
    assert found.widths == fixed.widths == drawn.widths == (4, 8)
    assert set(fixed.cells) == {"dw3e2"}
    assert abs(drawn.multiply_adds / found.multiply_adds - 1) <= 0.1
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize("penalty", [-1.0, float("nan"), float("inf")])
def test_a_bad_penalty_is_refused_before_a_teacher_is_asked(
    tmp_path: Path, asked: list[Settings], penalty: float
) -> None:
    with pytest.raises(ValueError, match=f"penalty={penalty!r} must be a number from 0"):
        run_search(RECIPES / "task-distil.toml", tmp_path, steps=2, penalty=penalty, seed=0)
    with pytest.raises(ValueError, match="task='robust' must be 'distil'"):
        run_search(RECIPES / "task.toml", tmp_path, steps=2, penalty=1.0, seed=0)
    assert not asked
