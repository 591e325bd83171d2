"""What commands say of what they take, each in its own words."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from semlink.flowgraphs.cli.play import play
from semlink.flowgraphs.play.wishes import LEVELS

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    ("block", "meant"),
    [
        ("nosuch", ""),
        ("swim", " (did you mean 'swin'?)"),
        ("rayliegh", " (did you mean 'rayleigh'?)"),
        ("16aspk", " (did you mean '16apsk'?)"),
    ],
)
def test_check_takes_codecs_channels_and_parts(block: str, meant: str, run_semlink: Run) -> None:
    status, _, said = run_semlink("check", block)
    assert status == 2
    assert said.startswith(
        f"semlink: error: {block!r}{meant} must be a codec of `semlink codecs`, a channel of `semlink channels`, "
        "a part of a link (conv, polar, "
    )
    assert len(said) < 300


@pytest.mark.parametrize("block", ["jpeg-ldpc-qam:nope", "rayleigh:k=3", "swim+sft-swin", "random:nothing"])
def test_check_speaks_of_no_option_that_it_lacks(block: str, run_semlink: Run) -> None:
    status, _, said = run_semlink("check", block)
    assert status == 2
    assert said.startswith(f"semlink: error: {block.split(':')[0]}")
    assert "--" not in said


def test_the_levels_of_play_are_told_before_it_is_imported() -> None:
    """The command line has them as a text of its own."""
    assert inspect.signature(play).parameters["esno"].default == LEVELS
