"""What is made of a line on which the other end hangs up."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from semlink.flowgraphs.protocol import Keys
from semlink.flowgraphs.protocol import meetings as meets

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
MET, HUNG_UP = zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


class Monitor:
    """Tells of what happened, by and by."""

    def __init__(self) -> None:
        self.events: list[int] = []

    def get_monitor_socket(self, _: int) -> Monitor:
        return self

    def getsockopt(self, _: int) -> int:
        return zmq.POLLIN if self.events else 0

    def recv_multipart(self) -> list[bytes]:
        return [self.events.pop(0).to_bytes(2, sys.byteorder)]


@pytest.fixture
def line(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[Monitor, meets.Meetings, list[float]]:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    keys: Any = Keys("anna", b"", b"", b"")
    monitor = Monitor()
    return monitor, meets.Meetings(zmq, monitor, "tcp://there", keys), now


def hang_up(line: tuple[Monitor, meets.Meetings, list[float]], seconds: float) -> str:
    """What is told after the other end has hung up ten times within so many seconds."""
    monitor, meetings, now = line
    said = ""
    for i in range(10):
        monitor.events.append(HUNG_UP)
        said = meetings.look()[1] or said
        now[0] += seconds / 9 if i < 9 else 0.0
    return said


def test_a_moment_of_hanging_up_says_nothing(line: tuple[Monitor, meets.Meetings, list[float]]) -> None:
    assert hang_up(line, 0.3) == ""


def test_some_seconds_of_it_are_told(line: tuple[Monitor, meets.Meetings, list[float]]) -> None:
    for _ in range(2):
        why = hang_up(line, 2 * meets.HUNG_UP_S)
        assert why.endswith("is away, has no keys, or is not the one that the key of anna is for")


def test_who_was_met_is_away(line: tuple[Monitor, meets.Meetings, list[float]]) -> None:
    line[0].events.append(MET)
    assert hang_up(line, 2 * meets.HUNG_UP_S) == ""
