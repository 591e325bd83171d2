"""`semlink gsc`: the experiments of GSC's paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from semlink.flowgraphs.cli.computing import computes
from semlink.flowgraphs.cli.serving import spare_the_cores
from semlink.flowgraphs.cli.told import can_be_quiet

# As in app.py, heavy imports wait until a command runs.

USERS = "1,3,8,32"
SECONDS = 4.0


@can_be_quiet
@computes
def gsc(
    figure: Annotated[
        str | None,
        typer.Option(
            help="Of the paper: 4 PSNR, 5 perceptual distance (ST-LPIPS), each over AWGN and Rayleigh fading; 6 "
            "pictures of NGF and GSC; one of three users on three antennas against one alone: 4c (AWGN), 4d (Rayleigh) "
            "PSNR, 5c, 5d perceptual distance.",
            show_default="none",
        ),
    ] = None,
    table: Annotated[
        int | None,
        typer.Option(
            help="Of the paper: 1, the time of an image of one user after another, and of several at once.",
            show_default="none",
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--gsc",
            help="CODEC+RECEIVER that stands for GSC; the codec alone is NGF. With several users, a codec alone too.",
            show_default="swin-gsc+sft-gsc",
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="As for compare, such as cifar10:500.",
            show_default="cifar10:1000, for 6 cifar10:3, with several users cifar10:300",
        ),
    ] = None,
    esno: Annotated[
        str | None,
        typer.Option(
            help="Es/N0 in dB: START:STOP:STEP or A,B,C; those of the claims are added.",
            show_default="0:15:3, for 6 0,5,10,15",
        ),
    ] = None,
    realisations: Annotated[int, typer.Option(help="Of noise and fading, for each image.")] = 1,
    seed: Annotated[int, typer.Option(help="Of noise and fading, from 0.")] = 0,
    users: Annotated[str, typer.Option(help="With --table 1: how many at once, in turn.")] = USERS,
    seconds: Annotated[float, typer.Option(help="With --table 1: of each measurement.")] = SECONDS,
    out: Annotated[Path, typer.Option(help="Folder for figureN-awgn.csv, .png, table1.csv and so on.")] = Path("out"),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of tables.")] = False,
) -> None:
    """Repeat a figure or the table of GSC's paper (arXiv 2408.05112), with its claims beside ours."""
    if table is not None and figure is None:
        foreign = {"--images": images, "--esno": esno, "--realisations": realisations - 1, "--seed": seed}
        _refuse(foreign, "--figure")
        _table(table, codec=codec, users=users, seconds=seconds, out=out, as_json=json)
        return
    if figure is None or table is not None:
        raise ValueError("give one of --figure and --table")
    _refuse({"--users": users != USERS, "--seconds": seconds != SECONDS}, "--table")
    from semlink.flowgraphs.comparison import run_gsc

    run_gsc(
        figure=figure,
        gsc=codec,
        images=images,
        esno=esno,
        realisations=realisations,
        seed=seed,
        out=out,
        as_json=json,
    )


def _refuse(given: Mapping[str, object], belongs: str) -> None:
    """Raise ValueError where one of these options is given."""
    wrong = [option for option, value in given.items() if value]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: of {belongs} alone")


def _table(table: int, *, codec: str | None, users: str, seconds: float, out: Path, as_json: bool) -> None:
    if table != 1:
        raise ValueError(f"--table {table} must be 1: the paper has no other")
    spare_the_cores()
    from semlink.flowgraphs.bench import run_gsc_table
    from semlink.flowgraphs.cli.users import user_counts

    run_gsc_table(gsc=codec, users=user_counts(users), seconds=seconds, out=out, as_json=as_json)
