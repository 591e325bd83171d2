"""Names and messages of others come out as they are: brackets are no markup of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import typer

from semlink.flowgraphs.cli import app
from semlink.flowgraphs.comparison import by_codec, compare, make_console
from semlink.flowgraphs.specs import codecs
from semlink.neural.networks import DeepJSCC
from semlink.phy.channels import AWGN
from semlink.phy.sources import sample_images

Command = Callable[..., tuple[int, str, str]]
NAMES = ("[b, n]", "a[/b]", "[bold]x", "a:apple:b", "mine[st-lpips]")


def test_a_table_shows_names_as_they_are(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    images = {"x": sample_images()[:1, :, :16, :16]}
    outcome = compare(images, dict.fromkeys(NAMES, DeepJSCC(8, (4, 6))), AWGN(), [5.0])
    make_console().print(by_codec(outcome, "over [red]", lambda row: f"[i]{row['codec']}"))
    told = capsys.readouterr().out
    for name in (*NAMES, "over [red]", *(f"[i]{name}" for name in NAMES)):
        assert name in told
    for name in NAMES:
        make_console(stderr=True).print(f"error: {name}", style="red")
    assert capsys.readouterr().err.splitlines() == [f"error: {name}" for name in NAMES]


class Angry:
    """A codec that raises what looks like markup."""

    ratio = 1 / 3

    def encode(self, image: object, n0: float) -> object:
        """Never."""
        raise RuntimeError("symbols must be [b, n], not [/b] [red]")

    def decode(self, received: object) -> object:
        """Never."""
        raise AssertionError


def test_an_error_in_brackets_does_not_end_a_sweep(
    run_semlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = codecs._make_codec
    monkeypatch.setattr(codecs, "_make_codec", lambda name, **rest: Angry() if name == "angry" else made(name, **rest))
    study = tmp_path / "study.toml"
    study.write_text('codecs = ["angry"]\nesno_db = [5]\nratios = ["1/3"]\n')
    status, told, said = run_semlink("sweep", str(study), "--out", str(tmp_path / "out"), "--workers", "0")
    assert status == 1
    assert "1 points; written" in told
    assert "RuntimeError: symbols must be [b, n], not [/b] [red]" in said


def commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*words, name))


ALL = [(words, one) for words, one in commands(typer.main.get_command(app.app)) if words != ("radio",)]


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_help_keeps_its_brackets(
    words: tuple[str, ...], command: click.Command, run_semlink: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    _, told, _ = run_semlink(*words, "--help")
    written = [command.help or "", *(getattr(one, "help", None) or "" for one in command.params)]
    for text in written:
        for part in re.findall(r"\S*\[[^\[\]\s]*\]", text.replace("\\[", "[")):
            assert part in told, part
