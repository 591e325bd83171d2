"""`semlink play`: both links live on a page."""

from __future__ import annotations

from typing import Annotated

import typer

from semlink.flowgraphs.cli.computing import computes
from semlink.flowgraphs.cli.serving import spare_the_cores

# As in app.py, heavy imports wait until a command runs: the page is up before them.


@computes
def play(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            help="Pictures beside the samples: files, folders or sets, as for compare.", show_default="none"
        ),
    ] = None,
    codec: Annotated[
        list[str] | None,
        typer.Option(
            help="Shown first, as for compare; others are chosen on the page. One of your own, MODULE:NAME, and what "
            "is read from a file must be given here. May be repeated.",
            show_default="jpeg-ldpc-qam, jpeg-ldpc-qam:adaptive (:outage where the channel fades), deepjscc and swin",
        ),
    ] = None,
    channel: Annotated[str, typer.Option(help="Shown first, as for compare.")] = "awgn",
    esno: Annotated[str, typer.Option(help="Es/N0 in dB of the slider: START:STOP:STEP or A,B,C.")] = "-5:25:0.5",
    ratio: Annotated[str, typer.Option(help="Bandwidth ratio: complex channel uses per image value.")] = "1/6",
    seed: Annotated[int, typer.Option(help="Of noise and fading, from 0.")] = 0,
    port: Annotated[
        int, typer.Option(help="Of the page, on 127.0.0.1 alone; if it is in use the next that is not; 0 for any.")
    ] = 8642,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Open a page where both links live: a slider over Es/N0, channels, codecs side by side, photographs of your own.

    Its address, which has a token in it, is printed; nothing is written, and Ctrl-C ends it.
    """
    spare_the_cores()
    from semlink.flowgraphs.play import run_play

    run_play(
        words=images or [],
        codecs=codec or [],
        channel=channel,
        esno=esno,
        ratio=ratio,
        seed=seed,
        port=port,
        browser=browser,
    )
