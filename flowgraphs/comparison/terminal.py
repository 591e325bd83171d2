"""What the commands print on, and how far they are: names and messages of others come out as they are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from rich.console import Console

from semlink.phy.progress import progress_of


def make_console(*, stderr: bool = False) -> Console:
    """A console that prints texts as they are, in tables too: `[b, n]` is no markup and `:key:` no picture.

    What is to be bold is a `rich.text.Text`, or has a `style`.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


@contextmanager
def progress_bar(label: str, total: int) -> Iterator[Callable[[], None]]:
    """How far something is, on stderr; what it hands out advances it by one."""
    with progress_of(label, total) as show:
        counted = count(1)
        yield lambda: show(next(counted))


@contextmanager
def count_of(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """How far something is, on stderr; what it hands out advances it by so many, from any thread."""
    sent, lock = 0, threading.Lock()
    with progress_of(label, total) as show:

        def advance(number: int) -> None:
            nonlocal sent
            with lock:
                sent += number
                show(sent)

        yield advance
