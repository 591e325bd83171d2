"""`semlink optimise`: who shares out power and diffusion steps best."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from semlink.flowgraphs.cli.computing import uses_threads
from semlink.flowgraphs.cli.told import can_be_quiet

# As in app.py, heavy imports wait until a command runs.


@can_be_quiet
@uses_threads
def optimise(
    environment: Annotated[
        str,
        typer.Option(
            help="water-filling: power over ten channels, as GDMOPT has it; covert: transmit power, jamming power and "
            "a receiver's diffusion steps, kept from a warden."
        ),
    ] = "covert",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help="gdm: a denoising actor of six steps through twin critics; gdm-published: in the form of GDMOPT's "
            "code; mlp: a plain network through the same critics; gradient: a plain network through the objective "
            "itself; oracle: nothing that learns. May be repeated.",
            show_default="gdm, mlp, gradient, oracle",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many trainings of each policy, from seed 0.")] = 5,
    updates: Annotated[int, typer.Option(help="Of a training.")] = 1200,
    csi: Annotated[
        str,
        typer.Option(help="Of a covert link: perfect, or partial: gains known from earlier, the warden by a guess."),
    ] = "perfect",
    given: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=NUMBER, the same in every covert link: gain_db, jam_db (of transmitter and jammer to Bob), "
            "warden_db (mean gain of the transmitter over the jammer's, to the warden), epsilon, energy (over Bob's "
            "noise), step_energy. May be repeated.",
            show_default="drawn at random",
        ),
    ] = None,
    cloning: Annotated[
        float, typer.Option(help="Weight of the oracle's actions in what gdm and mlp learn, 0 to 1.")
    ] = 0.0,
    surface: Annotated[
        Path | None,
        typer.Option(help="A quality surface of --measure-surface.", show_default="that of the package"),
    ] = None,
    measure_surface: Annotated[
        Path | None,
        typer.Option(
            help="Measure PSNR by Es/N0 and steps of swin-gsc+sft-gsc on CIFAR-10 into a CSV, and end: a minute.",
            show_default="none",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder for checkpoints, optimise.json, curves.csv and optimise.png.")
    ] = Path("out"),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON instead of a table.")] = False,
) -> None:
    """Train policies that share out power and diffusion steps, and measure them against the optimum.

    A run that was stopped goes on from the checkpoints in --out.
    """
    from semlink.flowgraphs.optimisation import run_optimise

    try:
        run_optimise(
            environment=environment,
            csi=csi,
            policies=policy or [],
            seeds=seeds,
            updates=updates,
            given=given or [],
            cloning=cloning,
            surface=surface,
            measure=measure_surface,
            out=out,
            as_json=json,
        )
    except KeyboardInterrupt:
        if any(out.glob("*.pt")):
            print(f"semlink: {out}: checkpoints are kept; the same command goes on from there", file=sys.stderr)
        raise
