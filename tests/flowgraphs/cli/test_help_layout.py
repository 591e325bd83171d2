"""`--help`: commands under headings, paragraphs as wide as the terminal, nothing cut off."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from semlink.flowgraphs.cli.app import app
from semlink.flowgraphs.cli.told import PANELS

Run = Callable[..., tuple[int, str, str]]


def test_each_command_stands_under_one_heading(run_semlink: Run) -> None:
    known = [one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands]
    known += [str(one.name) for one in app.registered_groups]
    assert sorted(known) == sorted(name for names in PANELS.values() for name in names)
    _, told, _ = run_semlink("--help")
    assert [name for name in re.findall(r"─ ([A-Z][a-z ]+) ─", told) if name in PANELS] == list(PANELS)


@pytest.mark.parametrize("words", [["compare"], ["keys"], ["train"], ["zoo"]])
def test_what_80_columns_show_is_whole(words: list[str], run_semlink: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, told, _ = run_semlink(*words, "--help")
    assert "…" not in told.replace("0…10", "")


def test_a_second_paragraph_has_no_line_ends_of_the_source(run_semlink: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    _, told, _ = run_semlink("keys", "--help")
    assert re.search(r"is for its user, and nobody else\. Whoever has a file .* until it is taken away\.", told)
