"""`--device` and `--threads`: of every command that computes, refused in a line, and for that command alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
import typer
from typer.main import get_command

from semlink.flowgraphs.cli import app as app_module
from semlink.flowgraphs.cli import main
from semlink.flowgraphs.cli.computing import computes, on_device, uses_threads
from semlink.phy.devices import chosen_device
from semlink.phy.parallel import cores

NOTHING = {"report", "figure", "export", "channels", "codecs", "radio", "keys", "user", "load", "prompt", "prompt show"}
"""What runs no network here: pictures and lists, a trace for files, the radio side, and those who ask a service."""
OWN = {"sweep": {"--device", "--workers"}, "train": {"--device", "--threads", "--set"}}
PROCESSOR = {
    *(f"bench {name}" for name in ("ldpc", "channels", "bler", "neural", "security", "task", "heads", "prompts")),
    *(f"prompt {name}" for name in ("encode", "decode", "published")),
    "search",
    "optimise",
    "olla",
}
"""What is of the processor alone."""


def commands() -> dict[str, Any]:
    group = get_command(app_module.app)
    found = dict(group.commands)  # type: ignore[attr-defined]
    for whole in ("bench", "prompt"):
        found |= {f"{whole} {name}": one for name, one in found[whole].commands.items()}
    return found


def options_of(command: Any) -> set[str]:  # noqa: ANN401 - of click, which typer has within
    return {word for one in command.params for word in one.opts}


@pytest.mark.parametrize("name", commands())
def test_every_command_that_computes_says_on_what(name: str) -> None:
    has = options_of(commands()[name])
    if name in NOTHING:
        assert "--threads" not in has
    elif name in PROCESSOR:
        assert "--threads" in has
        assert "--device" not in has
    else:
        assert OWN.get(name, {"--device", "--threads"}) <= has


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "samples"],
        ["sweep", "nowhere.toml", "--out", "out"],
        ["check", "swin"],
        ["zoo", "--measure", "swin"],
        ["gsc", "--figure", "4"],
        ["serve"],
        ["worker"],
        ["bench"],
        ["bench", "receivers"],
    ],
)
def test_a_device_that_is_not_there_is_one_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("sys.argv", ["semlink", *words, "--device", "cuda:1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "semlink: error: --device cuda:1 is not there; there is: cpu\n"


def run(decorated: Callable[..., object], *words: str) -> None:
    app = typer.Typer()
    app.command()(decorated)
    app([*words], standalone_mode=False)


def test_they_hold_for_the_command_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("SEMLINK_DEVICE", raising=False)
    seen: list[tuple[int, int, str]] = []

    def note(number: int = 0) -> None:
        seen.append((number, cores(), chosen_device()))

    before = torch.get_num_threads()
    run(computes(note), "--number", "7", "--threads", "3", "--device", "cpu")
    run(uses_threads(note), "--threads", "2")
    run(on_device(note), "--device", "cpu")
    assert seen == [(7, 3, "cpu"), (0, 2, "cpu"), (0, 1, "cpu")]
    assert (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]) == (before, "1")
    assert "SEMLINK_DEVICE" not in os.environ


def test_a_command_with_threads_of_its_own_keeps_them() -> None:
    seen: list[int] = []

    def own(threads: int = 4) -> None:
        seen.append(threads)

    run(computes(own), "--threads", "6", "--device", "cpu")
    assert seen == [6]
