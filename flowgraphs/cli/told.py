"""What the command tells of itself: its version, and the names that --channel and --codec take."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer


def tell_version(wanted: bool) -> None:
    """`semlink --version`."""
    if wanted:
        try:
            typer.echo(f"semlink {version('semlink')}")
        except PackageNotFoundError:
            typer.echo("semlink, from a tree that is not installed")
        raise typer.Exit


def channels(
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON instead of text.")] = False,
) -> None:
    """List the channels and the impairments that --channel takes: their options, units and defaults."""
    from semlink.flowgraphs.cli.channels import run_channels

    run_channels(as_json=json)


def codecs(
    json: Annotated[bool, typer.Option("--json", help="Print the list as JSON instead of text.")] = False,
) -> None:
    """List every codec name that --codec takes: networks, digital links and their schemes, ceilings, receivers."""
    from semlink.flowgraphs.cli.codecs import run_codecs

    run_codecs(as_json=json)
