"""Architectures of a student as TOML that a person reads: stages, and the kind of each block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from semlink.neural.classifiers.student import Student, make_cell
from semlink.neural.classifiers.teachers import multiply_adds
from semlink.phy.documents import in_short, read_toml, short, write_whole

FIELDS = ("widths", "blocks", "cells")
SIDE = 32
ROUND = 200  # tries to come nearer to a cost from one draw


@dataclass(frozen=True)
class Architecture:
    """A student: as the arguments of `TaskCodec` by the same names.

    Attributes:
        widths: features of the stages.
        blocks: of the stages.
        cells: the kind of each block, one after the other.

    Raises:
        ValueError: they make no network.
    """

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    cells: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("widths", "blocks"):
            value = getattr(self, name)
            if not value or not all(isinstance(one, int) and not isinstance(one, bool) for one in value):
                raise ValueError(f"{name}={short(value)} must be whole numbers")
        if not all(isinstance(one, str) for one in self.cells):
            raise ValueError(f"cells={short(self.cells)} must be texts")
        Student(self.widths, self.blocks, cells=self.cells)

    @property
    def multiply_adds(self) -> int:
        """Of an image of 32×32, without the features and the head."""
        student = Student(self.widths, self.blocks, cells=self.cells).eval()
        return multiply_adds(student, torch.zeros(1, 3, SIDE, SIDE))


def read_architecture(path: Path) -> Architecture:
    """The architecture in a file.

    Raises:
        ValueError: no such file, no TOML, or one that makes no network; the message is one line.
    """
    try:
        values = read_toml(path)
        if set(values) != set(FIELDS) or not all(isinstance(values[name], list) for name in FIELDS):
            raise ValueError(f"must have the lists {', '.join(FIELDS)}, and no more")
        return Architecture(*(tuple(values[name]) for name in FIELDS))
    except FileNotFoundError as error:
        raise ValueError(f"architecture {path}: no such file") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"architecture {path}: {in_short(error)}") from error


def write_architecture(one: Architecture, path: Path, *, about: str) -> None:
    """Write an architecture with a line of what it is."""
    cells = ", ".join(f'"{kind}"' for kind in one.cells)
    text = f"# {about}; {one.multiply_adds / 1e6:.2f} M multiply-adds an image.\n"
    write_whole(path, f"{text}widths = {list(one.widths)}\nblocks = {list(one.blocks)}\ncells = [{cells}]\n")


def random_architecture(
    like: Architecture, kinds: Sequence[str], rng: torch.Generator, *, within: float = 0.1, tries: int = 10_000
) -> Architecture:
    """One with the same stages and as many multiply-adds, to a share `within`, of kinds that are drawn.

    Kinds are drawn for all blocks, then anew for one after the other wherever that comes nearer to the cost; after
    every `ROUND` of these for all blocks again.

    Raises:
        ValueError: none is found.
    """
    stages = [i for i, depth in enumerate(like.blocks) for _ in range(depth)]
    costs = _costs(like, kinds)
    least, wanted = Architecture(like.widths, like.blocks, ("skip",) * len(stages)).multiply_adds, like.multiply_adds

    def off(one: Sequence[int]) -> int:
        return abs(least + sum(costs[i][kind] for i, kind in zip(stages, one, strict=True)) - wanted)

    for count in range(tries):
        if count % ROUND == 0:
            drawn = torch.randint(len(kinds), (len(stages),), generator=rng).tolist()
        if off(drawn) <= within * wanted:
            return Architecture(like.widths, like.blocks, tuple(kinds[i] for i in drawn))
        place, kind = (int(torch.randint(most, (), generator=rng)) for most in (len(drawn), len(kinds)))
        other = [*drawn[:place], kind, *drawn[place + 1 :]]
        drawn = min(drawn, other, key=off)
    raise ValueError(f"no architecture of {wanted / 1e6:.2f} M multiply-adds within {within:g} in {tries} tries")


def _costs(like: Architecture, kinds: Sequence[str]) -> list[list[int]]:
    """Multiply-adds of a block of each kind, by stage."""
    found = []
    for i, width in enumerate(like.widths):
        probe = torch.zeros(1, width, SIDE >> (i + 1), SIDE >> (i + 1))
        found.append([multiply_adds(make_cell(kind, width).eval(), probe) for kind in kinds])
    return found
