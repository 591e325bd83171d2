"""What the commands print on: names and messages of others come out as they are."""

from __future__ import annotations

from rich.console import Console


def make_console(*, stderr: bool = False) -> Console:
    """A console that prints texts as they are, in tables too: `[b, n]` is no markup and `:key:` no picture.

    What is to be bold is a `rich.text.Text`, or has a `style`.
    """
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
