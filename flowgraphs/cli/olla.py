"""`semlink olla`: what an outer loop makes of reports that are late or wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semlink.flowgraphs.cli.computing import uses_threads
from semlink.flowgraphs.cli.told import can_be_quiet

# As in app.py, heavy imports wait until a command runs.


@can_be_quiet
@uses_threads
def olla(
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders or sets, as of compare, sent in their order.", show_default="samples"),
    ] = None,
    channel: Annotated[
        str, typer.Option(help="awgn, or flat fading of one antenna with perfect CSI that changes as images are sent.")
    ] = "rayleigh:doppler=0.0001",
    esno: Annotated[float, typer.Option(help="Average Es/N0 in dB.")] = 15.0,
    target: Annotated[str, typer.Option(help="Block error rates A,B,C, each run with the outer loop and without.")] = (
        "0.01,0.03,0.1,0.3"
    ),
    source: Annotated[str, typer.Option(help="Source coder of SOURCE-nr-qam.")] = "jpeg",
    ratio: Annotated[str, typer.Option(help="Channel uses per image value.")] = "1/6",
    step: Annotated[float, typer.Option(help="By which a lost image lowers the offset, in dB.")] = 0.5,
    delay: Annotated[int, typer.Option(min=0, help="Channel uses until an answer and a report arrive.")] = 0,
    bias: Annotated[float, typer.Option(help="By how much the receiver reports too much, in dB.")] = 0.0,
    repeat: Annotated[int, typer.Option(min=1, help="How often the images are sent, one round after another.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the channel.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for olla.csv, trace.csv and olla.png.")] = Path("out"),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
) -> None:
    """Outer-loop link adaptation: images one after another over one changing channel, the scheme by the last report.

    Each target is run twice: with an offset that ACK and NACK steer to the target block error rate, and without. The
    state goes from image to image, so this is no codec of `compare`, where images know nothing of each other.
    """
    from semlink.flowgraphs.comparison import run_olla

    run_olla(
        words=images or [],
        channel=channel,
        esno_db=esno,
        targets=target,
        source=source,
        ratio=ratio,
        step_db=step,
        delay=delay,
        bias_db=bias,
        repeat=repeat,
        seed=seed,
        out=out,
        as_json=json,
    )
