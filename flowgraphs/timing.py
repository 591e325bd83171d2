"""How long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(action: Callable[[], object], *, repeats: int = 3) -> float:
    """The shortest of some runs after one that warms up."""
    action()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return min(taken)
