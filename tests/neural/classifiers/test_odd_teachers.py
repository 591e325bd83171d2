"""Modules of one's own that are no classifiers are refused in one line, whatever they do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from semlink.flowgraphs.specs import teachers
from semlink.neural.classifiers import Teacher


class Odd(nn.Module):
    """Gives whatever it is told to."""

    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.give = give

    def forward(self, image: Tensor) -> object:
        return self.give(image)


def logits(image: Tensor) -> Tensor:
    return torch.zeros(len(image), 3)


@pytest.mark.parametrize(
    ("give", "said"),
    [
        (lambda image: (None, logits(image)), r"teacher odd: gives features NoneType; they must be \(b, f\)"),
        (lambda image: (torch.zeros(4, 2), logits(image)), r"teacher odd: gives features \(4, 2\); they must be"),
        (lambda image: (torch.zeros(1), logits(image)), r"teacher odd: gives features \(1,\); they must be"),
        (lambda image: [][len(image)], r"teacher odd: takes no RGB images of 32x32 pixels \(IndexError: list index"),
        (lambda image: image @ torch.zeros(7, 7), r"takes no RGB images of 32x32 pixels \(RuntimeError: "),
    ],
)
def test_what_a_network_gives(give: Callable[[Tensor], object], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        Teacher("odd", Odd(give))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("side", [(32, 32), 0, True, 32.0, "32", logits])
def test_a_side_that_is_none(side: object, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Odd(logits)
    made.side = side  # type: ignore[assignment]
    monkeypatch.setattr(teachers, "is_own", lambda name, kind: True)
    monkeypatch.setattr(teachers, "make_own", lambda name, kind: made)
    with pytest.raises(ValueError, match=r"teacher a:B: side=.* must be None or a whole number of pixels from 1"):
        teachers.make_teacher("a:B")
    made.side = 16  # type: ignore[assignment]
    assert teachers.make_teacher("a:B").side == 16
