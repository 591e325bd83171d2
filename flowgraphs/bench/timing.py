"""How long something takes, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.table import Table

from semlink.flowgraphs.comparison import make_console
from semlink.phy.progress import progress_of

Job = TypeVar("Job")


@dataclass(frozen=True)
class Measurement:
    """One figure: what, how much, in which unit."""

    what: str
    value: float
    unit: str


def seconds(action: Callable[[], object], *, repeats: int = 3) -> float:
    """The shortest of some runs after one that warms up."""
    action()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return min(taken)


def one_by_one(jobs: Sequence[Job], *, named: Callable[[Job], str] = str) -> Iterator[Job]:
    """The jobs, with how many are measured and which one is being measured on standard error."""
    with progress_of("measuring", len(jobs)) as show:
        for i, job in enumerate(jobs):
            show(i, said=named(job))
            yield job
        show(len(jobs))


def print_measurements(title: str, found: Sequence[Measurement]) -> None:
    """The figures as a table."""
    table = Table(title=title)
    table.add_column("what")
    table.add_column("measured", justify="right")
    for one in found:
        table.add_row(one.what, f"{one.value:.3g} {one.unit}")
    make_console().print(table)
