"""How far something long is: a bar in a terminal, one line that changes in a notebook, lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SILENT_S = 5.0
"""Seconds that nothing is said of where there is no bar: what is over sooner needs no lines."""
BETWEEN_S = 30.0
"""Seconds from one line to the next, at least, in a log."""


_shown = True


def show_progress(wanted: bool) -> None:
    """Whether `progress_of` shows anything in this process; it does unless told."""
    global _shown
    _shown = wanted


@runtime_checkable
class Show(Protocol):
    """What is told how far something is: so many `done` of `total`, and `said` beside it."""

    def __call__(self, done: int, *, total: int | None = None, label: str | None = None, said: str = "") -> None:
        """Show it."""
        ...


@contextmanager
def progress_of(
    label: str, total: int | None = None, *, done: int = 0, console: Console | None = None, silent: bool = False
) -> Iterator[Show]:
    """Show how far something is, on standard error.

    In a terminal a bar; in a notebook one line that changes (Rich's bar there needs ipywidgets, and their output fails
    where a cell captures its own); elsewhere (a log, a pipe) a line now and then, and none of what takes less than
    `SILENT_S`.

    Args:
        label: what is done.
        total: how much of it there is; None while that is not known.
        done: what had been done before.
        console: where to; None for standard error.
        silent: show nothing.
    """
    if silent or not _shown:
        yield Lines(label, total, done, lambda _: None)
        return
    console = Console(stderr=True) if console is None else console
    if console.is_terminal:
        with _bar(label, total, done, console) as show:
            yield show
    elif console.is_jupyter:
        lines = Lines(label, total, done, _changing_line(), between_s=0.5)
        yield lines
        lines.end()
    else:
        lines = Lines(
            label, total, done, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
        )
        yield lines
        lines.end()


@contextmanager
def _bar(label: str, total: int | None, done: int, console: Console) -> Iterator[Show]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    times = (TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    with Progress(*columns, *times, console=console) as bars:
        task = bars.add_task(label, total=total, completed=done, said="")

        def show(done: int, *, total: int | None = None, label: str | None = None, said: str = "") -> None:
            bars.update(task, completed=done, total=total, description=label, said=said)

        yield show


class Lines:
    """Lines such as "training: 1200 of 40000, loss 0.0123; 3:05, 98:10 left".

    What is left is told by the pace since the first that was done, for which programs are compiled and weights loaded.

    Args:
        label: what is done.
        total: how much of it there is; None while that is not known.
        done: what had been done before.
        write: what is done with a line.
        between_s: seconds from one line to the next, at least; None for `BETWEEN_S`.
        clock: seconds.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        done: int,
        write: Callable[[str], Any],
        *,
        between_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label, self.total, self.done, self.said = label, total, done, ""
        self._before, self._write, self._clock = done, write, clock
        self._between = BETWEEN_S if between_s is None else between_s
        self._begin = clock()
        self._next = self._begin + min(SILENT_S, self._between)
        self._written: int | None = None
        self._first: tuple[float, int] | None = None  # when the first was done, and how many there were then

    def __call__(self, done: int, *, total: int | None = None, label: str | None = None, said: str = "") -> None:
        """Note it, and write a line if one is due."""
        self.done, self.said = done, said
        self.total = self.total if total is None else total
        self.label = self.label if label is None else label
        if self._first is None and done > self._before:
            self._first = self._clock(), done
        if self._clock() >= self._next:
            self._tell()

    def end(self) -> None:
        """Write how it ended, unless it was over before a first line or the last line says so."""
        if self._clock() - self._begin >= min(SILENT_S, self._between) and self._written != self.done:
            self._tell()

    def _tell(self) -> None:
        now = self._clock()
        self._next, self._written = now + self._between, self.done
        of = "" if self.total is None else f" of {self.total}"
        said = f", {self.said}" if self.said else ""
        self._write(f"{self.label}: {self.done}{of}{said}; {_duration(now - self._begin)}{self._left(now)}")

    def _left(self, now: float) -> str:
        if self.total is None or self._first is None or not self._first[1] < self.done < self.total:
            return ""
        begin, before = self._first
        return f", {_duration((now - begin) / (self.done - before) * (self.total - self.done))} left"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _changing_line() -> Callable[[str], None]:
    """One line of a notebook's cell, written over again; there is none before the first is written."""
    shown: list[Any] = []

    def write(line: str) -> None:
        from IPython.display import display  # a notebook has it

        if shown:
            shown[0].update({"text/plain": line}, raw=True)
        else:
            shown.append(display({"text/plain": line}, raw=True, display_id=True))

    return write
