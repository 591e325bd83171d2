"""How long something takes, and what is told of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


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
