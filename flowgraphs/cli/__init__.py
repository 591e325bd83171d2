"""The command `semlink`."""

from semlink.flowgraphs.cli.entry import main

__all__ = [
    "main",
]
