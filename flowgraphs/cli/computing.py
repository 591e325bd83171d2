"""The options `--device` and `--threads`, which every command that computes has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, ParamSpec, TypeVar

import typer

from semlink.flowgraphs.cli.told import with_options
from semlink.phy.devices import computing_on

P = ParamSpec("P")
R = TypeVar("R")

Device = Annotated[
    str | None,
    typer.Option(
        help="What networks compute on: cpu, cuda or cuda:N. Channels, channel codes and metrics are the processor's.",
        show_default="what SEMLINK_DEVICE says, or cpu",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="Of the processor, from 1.", show_default="what OMP_NUM_THREADS says, or one a core"
    ),
]


def computes(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command that runs networks the option `--device`, and `--threads` unless it has one of its own."""
    if "threads" in inspect.signature(command).parameters:
        return on_device(command)
    return with_options(command, {"device": (Device, None), "threads": (Threads, None)}, _on)


def on_device(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command that runs networks in other processes, or counts threads by another option, `--device` alone."""
    return with_options(command, {"device": (Device, None)}, computing_on)


def uses_threads(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command that runs no network the option `--threads`."""
    return with_options(command, {"threads": (Threads, None)}, lambda threads: _on(None, threads))


def _on(device: str | None, threads: int | None) -> AbstractContextManager[None]:
    return computing_on(device, threads=threads)
