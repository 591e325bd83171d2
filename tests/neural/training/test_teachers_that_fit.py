"""A teacher of other features or classes than the network's is refused before it is asked anything."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink.neural.classifiers import Seen
from semlink.neural.training import Settings, lessons
from semlink.neural.training.lessons import KEPT, answers, task_lessons

NETWORK = {"features": 5, "tokens": 8, "width": 8, "seen_width": 8, "heads": 2, "widths": [4, 6], "blocks": [1, 1]}
SETTINGS = Settings("tiny", task="distil", model="task", teacher="tiniest", network=NETWORK, loss={"features": 1.0})


class Ten:
    """A teacher of ten classes by seven features, which counts what it is asked."""

    features, classes, asked = 7, 10, 0

    def __call__(self, image: Tensor) -> Seen:
        self.asked += 1
        return Seen(torch.zeros(len(image), 7), torch.zeros(len(image), 10))


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Ten:
    made = Ten()
    monkeypatch.setattr(lessons, "find_teacher", lambda name: made)
    monkeypatch.setattr(lessons, "cifar10_bytes", lambda split: torch.zeros(20, 3, 32, 32, dtype=torch.uint8))
    monkeypatch.setattr(lessons, "cifar10_labels", lambda split: torch.arange(20) % 10)
    return made


def test_it_is_refused_before_it_is_asked(teacher: Ten, tmp_path: Path) -> None:
    settings = replace(SETTINGS, validation=5)
    with pytest.raises(ValueError, match="teacher='tiniest' has 7 features; network: features=5 must be as many"):
        task_lessons(settings, tmp_path)
    three = replace(settings, network={**NETWORK, "classes": 3})
    with pytest.raises(ValueError, match="tells 10 classes apart; network: classes=3 must be as many"):
        task_lessons(three, tmp_path)
    assert teacher.asked == 0
    assert not (tmp_path / KEPT).exists()


def test_answers_that_are_kept_must_fit_too(teacher: Ten, tmp_path: Path) -> None:
    fitting = replace(SETTINGS, validation=5, network={**NETWORK, "features": 7})
    assert task_lessons(fitting, tmp_path).features.shape == (2, 15, 7)
    with pytest.raises(ValueError, match="has 7 features; network: features=5"):
        task_lessons(replace(SETTINGS, validation=5), tmp_path)
    unheeded = replace(SETTINGS, validation=5, loss={"labels": 1.0})
    assert task_lessons(unheeded, tmp_path).features.shape == (2, 15, 7)


def test_a_full_disk_leaves_the_earlier_answers(teacher: Ten, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, path = torch.zeros(3, 3, 32, 32, dtype=torch.uint8), tmp_path / KEPT
    answers("tiniest", images, path)
    kept = path.read_bytes()

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        answers("tiniest", 255 - images, path)
    assert path.read_bytes() == kept
