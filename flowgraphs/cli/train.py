"""`semlink train`: a recipe with what is changed of it, and the command that the card tells."""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from semlink.flowgraphs.cli.told import can_be_quiet
from semlink.phy.devices import THREADS, check_device

# As in app.py, heavy imports wait until a command runs.


@can_be_quiet
def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML file of settings, such as neural/recipes/deepjscc-6.toml.")],
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint, the log and the weights.")],
    images: Annotated[
        Path | None,
        typer.Option(
            help="A folder of images to train on, in place of CIFAR-10 and the recipe's photographs.",
            show_default="none",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A field of the recipe as TOML has it, such as steps=500 or "
            "channels='tdl-b:ds=300ns'. May be repeated.",
            show_default="none",
        ),
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Stop after so long, with a checkpoint to go on from.", show_default="no limit")
    ] = math.inf,
    checkpoint_minutes: Annotated[
        float,
        typer.Option(min=0, metavar="N", help="From one checkpoint to the next at most; the recipe has the steps."),
    ] = 10.0,
    nice: Annotated[
        int,
        typer.Option(
            min=0, max=19, metavar="N", help="Give way to other work of this machine: 19, at most, takes what is left."
        ),
    ] = 0,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu or cuda: the first GPU that CUDA_VISIBLE_DEVICES shows, or under torchrun one for each process.",
            show_default="what the recipe says",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Of the processor; another number rounds otherwise.",
            show_default="what the recipe says, and OMP_NUM_THREADS at most",
        ),
    ] = None,
) -> None:
    """Train a codec or a receiver, or go on from the checkpoint in the folder.

    CIFAR-10 and photographs come from SEMLINK_DATA. A receiver is trained behind the frozen codec that its recipe
    names: a network, or a digital link such as jpeg-ldpc-qam:adaptive at ratio 1/6.
    """
    from semlink.flowgraphs.specs import frozen_codec
    from semlink.neural.training import read_recipe
    from semlink.neural.training import train as run
    from semlink.phy.parallel import cores

    if device not in (None, "cpu"):
        if device != "cuda":
            raise ValueError(f"--device {device} must be cpu or cuda; CUDA_VISIBLE_DEVICES says which GPU")
        check_device(device, said=f"--device {device}")
    changes = read_changes(set_ or [])
    changes |= {} if images is None else {"images": str(images), "cifar10": False}
    changes |= {name: value for name, value in (("device", device), ("threads", threads)) if value is not None}
    settings = read_recipe(recipe, changes)
    asked = THREADS in os.environ and "TORCHELASTIC_RUN_ID" not in os.environ  # torchrun sets it to 1 by itself
    if threads is None and asked and settings.threads > cores():
        threads = cores()
        warnings.warn(f"threads={settings.threads} of {recipe}: {THREADS} says {threads}", stacklevel=2)
        settings = read_recipe(recipe, {**changes, "threads": threads})
    options = {"--images": images, "--device": device, "--threads": threads}
    command = command_line(recipe, out, set_ or [], {**options, "--minutes": minutes if minutes < math.inf else None})
    if nice and hasattr(os, "nice"):
        os.nice(nice)
    codec = frozen_codec(settings)
    job = partial(run, settings, out, codec=codec, minutes=minutes, checkpoint_minutes=checkpoint_minutes)
    try:
        typer.echo(f"weights: {job(command=command)}")
    except KeyboardInterrupt:
        kept = (out / "checkpoint.pt").is_file()
        said = "the last checkpoint is kept; the same command goes on from there"
        print(f"semlink: {out}: {said if kept else 'there is no checkpoint yet'}", file=sys.stderr)
        raise


def read_changes(texts: Sequence[str]) -> dict[str, Any]:
    """Fields of a recipe and their values, from FIELD=VALUE as TOML has it; a bare word stands for itself.

    Raises:
        ValueError: not of this form, or a field twice.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        name = name.strip()
        if not re.fullmatch("[a-z][a-z0-9_]*", name) or not value.strip():
            raise ValueError(f"--set {text!r} must be FIELD=VALUE, such as steps=500")
        if name in changes:
            raise ValueError(f"--set {name} is given twice")
        try:
            changes[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as error:
            if not re.fullmatch(r"[A-Za-z][\w.:/+=,-]*", value.strip()):
                raise ValueError(f"--set {text!r}: no value of TOML ({error})") from error
            changes[name] = value.strip()
    return changes


def command_line(recipe: Path, out: Path, changes: Sequence[str], options: Mapping[str, object]) -> str:
    """The command that is run, as a shell takes it, with the options that are given; its processes too."""
    words = ["semlink", "train", str(recipe), "--out", str(out)]
    for change in changes:
        words += ["--set", change]
    for name, value in options.items():
        words += [] if value is None else [name, f"{value:g}" if isinstance(value, float) else str(value)]
    world = os.environ.get("WORLD_SIZE", "1")
    before = [] if world == "1" else ["torchrun", "--no-python", "--nproc-per-node", world]
    return shlex.join([*before, *words])
