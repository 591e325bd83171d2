"""Architectures of a student as TOML that a person reads: stages, and the kind of each block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from semlink.neural.classifiers.student import Student
from semlink.neural.classifiers.teachers import multiply_adds
from semlink.phy.documents import read_toml, short, write_whole

FIELDS = ("widths", "blocks", "cells")
SIDE = 32


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
        said = " ".join(str(error).split())
        raise ValueError(f"architecture {path}: {said}") from error


def write_architecture(one: Architecture, path: Path, *, about: str) -> None:
    """Write an architecture with a line of what it is."""
    cells = ", ".join(f'"{kind}"' for kind in one.cells)
    text = f"# {about}; {one.multiply_adds / 1e6:.2f} M multiply-adds an image.\n"
    write_whole(path, f"{text}widths = {list(one.widths)}\nblocks = {list(one.blocks)}\ncells = [{cells}]\n")


def random_architecture(
    like: Architecture, kinds: Sequence[str], rng: torch.Generator, *, within: float = 0.1, tries: int = 2000
) -> Architecture:
    """One with the same stages and as many multiply-adds, to a share `within`, of kinds that are drawn.

    Raises:
        ValueError: none is found.
    """
    wanted = like.multiply_adds
    for _ in range(tries):
        drawn = torch.randint(len(kinds), (len(like.cells),), generator=rng).tolist()
        one = Architecture(like.widths, like.blocks, tuple(kinds[i] for i in drawn))
        if abs(one.multiply_adds - wanted) <= within * wanted:
            return one
    raise ValueError(f"no architecture of {wanted / 1e6:.2f} M multiply-adds within {within:g} in {tries} tries")
