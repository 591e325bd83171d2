"""How far a study is, in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from semlink.flowgraphs.studies.runner import Progress
from semlink.phy.progress import progress_of


@contextmanager
def study_progress(console: Console | None = None) -> Iterator[Callable[[Progress], None]]:
    """A progress bar with the time left, or lines in a log; what it yields is told how far the run is."""
    with progress_of("points", console=console) as told:

        def show(state: Progress) -> None:
            label = f"points ({state.errors} with an error)" if state.errors else "points"
            told(state.done, total=state.total, label=label)

        yield show
