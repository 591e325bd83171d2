"""The command `semlink`."""

from semlink.flowgraphs.cli.app import main

__all__ = [
    "main",
]
