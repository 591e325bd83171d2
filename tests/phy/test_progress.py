"""Where there is no terminal, progress is a line now and then."""

from __future__ import annotations

import importlib.util
import io
import sys
import types

import pytest
from rich.console import Console

from semlink.phy import progress
from semlink.phy.progress import Lines, progress_of


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_come_at_an_interval_with_the_time_left() -> None:
    clock, written = Clock(), list[str]()
    lines = Lines("training", 1000, 100, written.append, clock=clock)
    for second in range(1, 91):
        clock.now = float(second)
        lines(100 + 10 * second, said=f"loss {second}")
    clock.now = 95
    lines.end()
    assert written == [
        "training: 150 of 1000, loss 5; 0:05, 1:25 left",
        "training: 450 of 1000, loss 35; 0:35, 0:55 left",
        "training: 750 of 1000, loss 65; 1:05, 0:25 left",
        "training: 1000 of 1000, loss 90; 1:35",
    ]


def test_what_the_first_one_took_is_not_what_all_take() -> None:
    """For the first, decoders are compiled: 16 s, where each further one is a tenth of a second."""
    clock, written = Clock(), list[str]()
    lines = Lines("sending", 72, 0, written.append, between_s=1.0, clock=clock)
    for done, now in ((1, 16.0), (11, 17.0), (21, 18.0)):
        clock.now = now
        lines(done)
    assert written == [
        "sending: 1 of 72; 0:16",
        "sending: 11 of 72; 0:17, 0:06 left",
        "sending: 21 of 72; 0:18, 0:05 left",
    ]


def test_what_is_over_soon_says_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of("sending", 3) as show:
        for done in range(4):
            show(done)
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_lines_without_a_bar_or_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    to = io.StringIO()
    with progress_of("sending", 3, console=Console(file=to)) as show:
        show(3, label="points (1 with [an error])")
    assert to.getvalue() == "points (1 with [an error]): 3 of 3; 0:00\n"


def test_a_notebook_without_widgets_gets_one_line_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rich` warns at the begin and at the end of every bar there, and shows none."""
    shown: list[str] = []
    handle = types.SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))

    def display(data: dict[str, str], **_: object) -> object:
        shown.append(data["text/plain"])
        return handle

    fake = types.SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=fake))
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with progress_of("points", 2, console=Console(file=io.StringIO(), force_jupyter=True)) as show:
        show(1)
        show(2)
    assert shown == ["points: 1 of 2; 0:00", "points: 2 of 2; 0:00"]


def test_a_terminal_gets_a_bar() -> None:
    to = io.StringIO()
    with progress_of("sending", 3, console=Console(file=to, force_terminal=True, width=100)) as show:
        show(3, said="loss 0.1")
    assert "sending" in to.getvalue()
    assert "3/3" in to.getvalue()
    assert "loss 0.1" in to.getvalue()


def test_a_silent_one_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_of("training", 3, silent=True) as show:
        show(3)
    assert capsys.readouterr() == ("", "")
