"""The process that has the worker's socket, with a socket that is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from semlink.flowgraphs.protocol import Limits, PartsStream
from semlink.flowgraphs.protocol import worker_front as fronts

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
LIMITS = Limits(request=1 << 20, unread=100, parts=10, memory=1 << 30)


class Line:
    """Takes nothing from anybody, or says that nobody is there."""

    def __init__(self) -> None:
        self.error: Exception = zmq.Again()

    def getsockopt(self, _: int) -> bytes:
        return b"tcp://127.0.0.1:5\0"

    def send_multipart(self, *_: object) -> None:
        raise self.error


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[fronts.Front]:
    monkeypatch.setattr(fronts, "listen", lambda *_: Line())
    ours, theirs = socket.socketpair()
    one = fronts.Front(PartsStream(ours), "tcp://127.0.0.1:*", LIMITS)
    one.heard = PartsStream(theirs)  # type: ignore[attr-defined]
    yield one
    one._worker.close()
    one.heard.close()  # type: ignore[attr-defined]
    one._context.term()


def lost(front: fronts.Front) -> list[list[bytes]]:
    front._worker.flush()
    said = [[bytes(part) for part in message] for message in front.heard.take()]  # type: ignore[attr-defined]
    return [message for message in said if message[0] == b"lost"]


@pytest.mark.parametrize("silent", [False, True])
def test_a_client_that_goes_while_replies_wait_is_lost_once(
    front: fronts.Front, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    front._reply(b"a", [b"0" * 80])
    front._line.error = zmq.ZMQError(zmq.EHOSTUNREACH)
    if silent:
        monkeypatch.setattr(fronts, "SILENT_S", -1.0)
        front._send_out()
    else:
        front._reply(b"a", [b"0" * 80])
    assert not front._outboxes
    assert lost(front) == [[b"lost", b"a", b"1" if silent else b"2"]]


def test_a_client_that_does_not_read_loses_its_replies_and_no_other(front: fronts.Front) -> None:
    front._reply(b"b", [b"0" * 80])
    for _ in range(2):
        front._reply(b"a", [b"0" * 80])
    assert list(front._outboxes) == [b"b"]
    assert lost(front) == [[b"lost", b"a", b"2"]]
