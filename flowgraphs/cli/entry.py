"""The program `semlink`: its commands run, and what ends them becomes a line and an exit status."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from semlink.flowgraphs.cli.app import app


def _show_warning(message: Warning | str, *_: object) -> None:
    """One line, without the place in our code."""
    print(f"semlink: warning: {message}", file=sys.stderr)


def main() -> None:
    """Run the command line. A refused value or a file that cannot be had is one line and exit status 2.

    SIGTERM ends it as Ctrl-C does: what is half done is put away, and what is kept is told; the exit status is 143.
    """
    with _put_away_on_sigterm() as terminated:
        _run(terminated)


@contextmanager
def _put_away_on_sigterm() -> Iterator[list[int]]:
    """SIGTERM as an interruption; a further one is left out, lest it hit the putting away. Yields those that came."""
    came: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        came.append(number)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone may say what a signal does
        yield came
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _run(terminated: list[int]) -> None:
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # what follows the message is not of interest
    try:
        status = app(prog_name="semlink", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except Exception as error:
        format_message = getattr(error, "format_message", None)  # of a usage error, found by the parser of options
        if format_message is None and not isinstance(error, (ValueError, OSError)):
            raise
        message = " ".join((format_message() if format_message else str(error)).split())
        if message:  # `semlink` alone has shown its help
            print(f"semlink: error: {message}", file=sys.stderr)
        sys.exit(2)
    if status == 130 and terminated:
        status = 128 + terminated[0]
        print("semlink: terminated", file=sys.stderr)
    elif status == 130:  # typer's own word for Ctrl-C too
        print("semlink: interrupted", file=sys.stderr)
    sys.exit(status)
