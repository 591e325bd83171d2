"""How many cores and threads there are, and compiled work spread over them.

`run_in_threads` may be called from several threads at once.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise

import torch

from semlink.phy.devices import THREADS

_here = threading.local()


def cores() -> int:
    """Processor cores that this process is to use: as many as `OMP_NUM_THREADS` says, or all that it may."""
    asked = re.match(r"\s*([0-9]{1,4})\s*(,|$)", os.environ.get(THREADS, ""))  # a list is of nested loops
    if asked and int(asked[1]):
        return int(asked[1])
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def limited_threads(count: int) -> Iterator[None]:
    """PyTorch on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_in_threads(kernel: Callable[[int, int], None], count: int, *, least: int) -> None:
    """Call `kernel(first, last)` on contiguous parts of range(count), one part per thread, and wait for all of them.

    There are `torch.get_num_threads()` parts at most, as the calling thread sees it. The calling thread runs the first
    part itself, and a kernel that calls this again from one of the pool's threads gets a single part: no call ever
    waits for a place in the pool. A gain needs a kernel that lets the GIL go.

    Args:
        kernel: does the items first ≤ i < last; it writes its results where other parts do not.
        count: items in all; 0 calls nothing.
        least: items of a part at least (fewer only where count itself is below it).

    Raises:
        ValueError: `count` below 0 or `least` below 1.
        Exception: the first one a part raised, once no part is running any more.
    """
    if count < 0:
        raise ValueError(f"count={count} must be at least 0")
    if least < 1:
        raise ValueError(f"least={least} must be at least 1")
    if count == 0:
        return
    parts = _parts(count, least)
    own, *others = pairwise(count * i // parts for i in range(parts + 1))
    running = [_pool().submit(kernel, first, last) for first, last in others]
    try:
        kernel(*own)
    finally:
        wait(running)
    for part in running:
        part.result()


def _parts(count: int, least: int) -> int:
    if getattr(_here, "is_worker", False):
        return 1
    return max(1, min(torch.get_num_threads(), count // least))


def _mark_worker() -> None:
    _here.is_worker = True


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="semlink", initializer=_mark_worker)


# Threads do not survive a fork (a DataLoader's worker, say): a pool taken along would wait for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)
