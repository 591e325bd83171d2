"""How far a study is, in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.studies.runner import Progress


@contextmanager
def study_progress(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """A progress bar with the time left, in a terminal or a notebook; what it yields is told how far the run is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left = (TextColumn("left:"), TimeRemainingColumn())
    with Bars(*columns, *left, console=console or make_console(stderr=True)) as bars:
        task = bars.add_task("points", total=None)

        def show(state: Progress) -> None:
            label = f"points ({state.errors} with an error)" if state.errors else "points"
            bars.update(task, description=label, completed=state.done, total=state.total)

        yield show
