"""A place to play: both links live on a page of this machine alone, or in a notebook."""

from semlink.flowgraphs.play.commands import run_play
from semlink.flowgraphs.play.widget import Playground

__all__ = [
    "Playground",
    "run_play",
]
