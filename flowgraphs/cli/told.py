"""What the command tells of itself: its version, and the names that --channel and --codec take."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Annotated, ParamSpec, TypeVar

import typer
from typer.models import CommandInfo, TyperInfo

PANELS = {
    "Compare": ("compare", "play", "sweep", "report", "figure", "channels", "codecs", "check"),
    "Networks": ("zoo", "train", "export", "search", "prompt"),
    "Radio and services": ("radio", "worker", "serve", "node", "keys", "user", "load"),
    "Measure": ("bench", "gsc", "olla", "optimise"),
}
"""Under which heading `semlink --help` has each command, and in which order."""

P = ParamSpec("P")
R = TypeVar("R")


def arrange(app: typer.Typer) -> None:
    """Put the commands of `semlink` under their headings, and paragraphs of help as wide as the terminal is."""
    panels = {name: panel for panel, names in PANELS.items() for name in names}
    order = list(panels)
    for one in app.registered_commands:
        paragraphs = inspect.cleandoc(getattr(one.callback, "__doc__", None) or "").split("\n\n")
        one.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    if not app.registered_groups:
        return
    whole: list[CommandInfo | TyperInfo] = [*app.registered_commands, *app.registered_groups]
    for each in whole:
        each.rich_help_panel = panels[_name(each)]
    app.registered_commands.sort(key=lambda one: order.index(_name(one)))


def _name(one: CommandInfo | TyperInfo) -> str:
    return str(one.name or getattr(one.callback, "__name__", ""))


def tell_version(wanted: bool) -> None:
    """`semlink --version`."""
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"semlink {version('semlink')}")
        except PackageNotFoundError:
            typer.echo("semlink, from a tree that is not installed")
        raise typer.Exit


Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


@contextmanager
def silence(wanted: bool) -> Iterator[None]:
    """Show no progress meanwhile, if wanted."""
    if not wanted:
        yield
        return
    from semlink.phy.progress import show_progress

    show_progress(False)
    try:
        yield
    finally:
        show_progress(True)


def can_be_quiet(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command that shows progress the option `--quiet`."""

    return with_options(command, {"quiet": (Quiet, False)}, silence)


def with_options(
    command: Callable[P, R],
    options: Mapping[str, tuple[object, object]],
    around: Callable[..., AbstractContextManager[None]],
) -> Callable[P, R]:
    """Give a command options that it does not see: by name what typer is told and the default; it runs in `around`."""

    @wraps(command)
    def run(*given: P.args, **named: P.kwargs) -> R:
        told = [named.pop(name, default) for name, (_, default) in options.items()]
        with around(*told):
            return command(*given, **named)

    said = inspect.signature(command, eval_str=True)  # typer takes it as it is
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, keyword, default=one, annotation=kind) for name, (kind, one) in options.items()]
    said = said.replace(parameters=[*said.parameters.values(), *added])
    run.__signature__ = said  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in said.parameters.values()}
    return run


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
