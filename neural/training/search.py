"""Differentiable search of a student: which kind each block is, learnt beside the weights (KDL-DARTS).

After Liu et al., "DARTS: Differentiable Architecture Search", ICLR 2019, of first order, with the distillation loss of
the paper behind the task codec and a penalty on multiply-adds. The paper's own search is not published; this is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural.classifiers import Architecture, Seen, make_cell, multiply_adds
from semlink.neural.inference import channels_last
from semlink.neural.training.lessons import Lesson, Lessons, draw_lesson
from semlink.neural.training.recipe import Settings
from semlink.neural.training.tasks import taught_loss
from semlink.phy.progress import progress_of

KINDS = ("dw3e2", "dw5e2", "dw3e4", "full3", "skip")
"""That a block may be."""


class MixedCell(nn.Module):
    """All kinds of a block at once, each by its share."""

    def __init__(self, width: int, kinds: Sequence[str]) -> None:
        super().__init__()
        self.kinds = nn.ModuleList([make_cell(kind, width) for kind in kinds])

    def forward(self, x: Float[Tensor, "b c h w"], share: Float[Tensor, " k"]) -> Float[Tensor, "b c h w"]:
        """The weighted sum of what the kinds make of it."""
        return torch.stack([share[i] * kind(x) for i, kind in enumerate(self.kinds)]).sum(dim=0)


class MixedStudent(nn.Module):
    """A student whose blocks are still of all kinds, with the stages of `Student`.

    Args:
        widths: features of the stages.
        blocks: of the stages.
        features: of the teacher.
        classes: that it tells apart.
        kinds: that a block may be.
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: Sequence[int],
        *,
        features: int = 64,
        classes: int = 10,
        kinds: Sequence[str] = KINDS,
    ) -> None:
        super().__init__()
        self.widths, self.blocks, self.names = tuple(widths), tuple(blocks), tuple(kinds)
        inputs = [12, *widths[:-1]]
        self.shuffle = nn.PixelUnshuffle(2)
        self.downs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs[i], width, 2 if i else 3, stride=2 if i else 1, padding=0 if i else 1, bias=False),
                nn.BatchNorm2d(width),
            )
            for i, width in enumerate(widths)
        )
        self.cells = nn.ModuleList(
            MixedCell(width, kinds) for width, depth in zip(widths, blocks, strict=True) for _ in range(depth)
        )
        self.to_features, self.head = nn.Linear(widths[-1], features), nn.Linear(features, classes)
        self.choice = nn.Parameter(torch.zeros(len(self.cells), len(kinds)))
        self.register_buffer("costs", self._costs(), persistent=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Seen:
        """What the mixture makes of images."""
        x, cells = self.shuffle(channels_last(4 * image - 2)), iter(zip(self.cells, self.shares, strict=True))
        for down, depth in zip(self.downs, self.blocks, strict=True):
            x = down(x)
            for _ in range(depth):
                cell, share = next(cells)
                x = cell(x, share)
        features = self.to_features(x.mean(dim=(2, 3)))
        return Seen(features, self.head(features))

    @property
    def shares(self) -> Float[Tensor, "cells kinds"]:
        """Of each kind in each block."""
        return self.choice.softmax(dim=1)

    @property
    def cost(self) -> Float[Tensor, ""]:
        """Expected multiply-adds of the blocks, a share of those of the dearest kinds."""
        costs = cast(Tensor, self.costs)
        return (self.shares * costs).sum() / costs.amax(dim=1).sum()

    def found(self) -> Architecture:
        """The likeliest kind of each block."""
        chosen = self.choice.argmax(dim=1).tolist()
        return Architecture(self.widths, self.blocks, tuple(self.names[i] for i in chosen))

    def _costs(self) -> Float[Tensor, "cells kinds"]:
        rows = []
        for i, (width, depth) in enumerate(zip(self.widths, self.blocks, strict=True)):
            side = 16 >> i
            probe = torch.zeros(1, width, side, side)
            row = [float(multiply_adds(make_cell(kind, width).eval(), probe)) for kind in self.names]
            rows += [row] * depth
        return torch.tensor(rows)


@dataclass(frozen=True)
class Found:
    """What a search has found.

    Attributes:
        architecture: the likeliest kinds.
        shares: of each kind in each block, (cells, kinds).
        loss: of the last step over the weights.
    """

    architecture: Architecture
    shares: Float[Tensor, "cells kinds"]
    loss: float


def search(
    lessons: Lessons, settings: Settings, *, penalty: float, kinds: Sequence[str] = KINDS, lr_choice: float = 0.05
) -> Found:
    """Learn weights on one half of the images and which kinds the blocks are on the other, step by step in turn.

    Args:
        lessons: images with a teacher's answers.
        settings: stages (`network`'s widths and blocks), loss, steps, batch, learning rate and seed.
        penalty: weight of the expected multiply-adds, as a share of the dearest student's.
        kinds: that a block may be.
        lr_choice: learning rate of the choice.

    Raises:
        ValueError: a penalty below 0, or fewer than two kinds.
    """
    check_search(penalty, kinds)
    torch.manual_seed(settings.seed)
    network = dict(settings.network)
    widths, blocks = network.get("widths", (24, 48, 96)), network.get("blocks", (2, 2, 2))
    features, classes = lessons.features.shape[2], lessons.logits.shape[2]
    model = MixedStudent(widths, blocks, features=features, classes=classes, kinds=kinds)
    weights = [part for name, part in model.named_parameters() if name != "choice"]
    steps = torch.optim.Adam(weights, lr=settings.lr), torch.optim.Adam([model.choice], lr=lr_choice)
    halves = _halves(lessons)
    last = 0.0
    with progress_of("searching", settings.steps) as show:
        for step in range(settings.steps):
            rng = torch.Generator().manual_seed(settings.seed * 1_000_003 + step)
            for half, optimiser, dear in zip(halves, steps, (0.0, penalty), strict=True):
                lesson = draw_lesson(half, settings, rng)
                loss = _loss(model, lesson, settings, dear)
                model.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                last = last if dear else loss.item()
            show(step + 1, said=f"loss {last:.4f}")
    return Found(model.found(), model.shares.detach(), last)


def check_search(penalty: float, kinds: Sequence[str] = KINDS) -> None:
    """Raise ValueError for a penalty or kinds that `search` would refuse: before a teacher is asked for hours."""
    if not 0 <= penalty < 1e6 or len(kinds) < 2:
        raise ValueError(f"penalty={penalty!r} must be a number from 0, and kinds={tuple(kinds)!r} two or more")


def _loss(model: MixedStudent, lesson: Lesson, settings: Settings, penalty: float) -> Tensor:
    loss = taught_loss(model(lesson.image), lesson, settings)
    return loss + penalty * model.cost if penalty else loss


def _halves(lessons: Lessons) -> tuple[Lessons, Lessons]:
    middle = len(lessons.small) // 2
    return tuple(  # type: ignore[return-value]
        lessons._replace(
            small=lessons.small[rows],
            labels=lessons.labels[rows],
            features=lessons.features[:, rows],
            logits=lessons.logits[:, rows],
        )
        for rows in (slice(0, middle), slice(middle, None))
    )
