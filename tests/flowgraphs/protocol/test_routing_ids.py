"""Routing ids, which replies go by: none can be guessed, and none is handed from one key to another."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from semlink.flowgraphs.protocol import Limits, PartsStream, WorkerClient, status_request
from semlink.flowgraphs.protocol import worker_front as fronts
from semlink.flowgraphs.service.door import Door

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")


class Frame(bytes):
    """A part of a message, and the key that it came under."""

    key, more = "", False

    @property
    def bytes(self) -> bytes:  # type: ignore[valid-type]
        return bytes(self)

    @property
    def buffer(self) -> memoryview:
        return memoryview(self)

    def get(self, _: str) -> str:
        return self.key


class Gate:
    """Knows keys by the names that they are."""

    def name_of(self, frame: Frame) -> str | None:
        return frame.key or None


class Line:
    """Nobody takes anything."""

    def getsockopt(self, _: int) -> bytes:
        return b"tcp://127.0.0.1:5\0"

    def send_multipart(self, *_: object) -> None:
        raise zmq.Again()


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[fronts.Front]:
    monkeypatch.setattr(fronts, "listen", lambda *_: Line())
    monkeypatch.setattr(fronts, "Gate", lambda *_: Gate())
    ours, theirs = socket.socketpair()
    one = fronts.Front(PartsStream(ours), "tcp://127.0.0.1:*", Limits(), Path("keys"))
    one.heard = PartsStream(theirs)  # type: ignore[attr-defined]
    yield one
    one._worker.close()
    one.heard.close()  # type: ignore[attr-defined]
    one._context.term()


def told(front: fronts.Front, client: bytes, key: str) -> list[list[bytes]]:
    """What the worker is told of a message."""
    part = Frame(b"asked")
    part.key = key
    front._parts, front._count = [Frame(client), part], 2
    front._hand_on()
    front._worker.flush()
    said = [[bytes(one) for one in message] for message in front.heard.take()]  # type: ignore[attr-defined]
    return [message for message in said if message[0] != b"listening"]


def test_an_id_stays_with_its_key(front: fronts.Front) -> None:
    """Who takes another's gets nothing of what waits for her, here or in the worker."""
    assert told(front, b"\0one", "anna") == [[b"request", b"\0one", b"anna", b"asked"]]
    assert told(front, b"\0one", "anna")[0][0] == b"request"
    front._reply(b"\0one", [b"hers"])
    for lost in (b"1", b"0"):
        dropped, refused = told(front, b"\0one", "ben")
        assert dropped == [b"lost", b"\0one", lost]
        assert refused[:3] == [b"refused", b"\0one", b"ben"]
        assert not front._outboxes
    assert told(front, b"\0two", "ben")[0][0] == b"request"


def test_of_those_refused_the_name_is_told(front: fronts.Front) -> None:
    assert told(front, b"own", "ben")[0][:3] == [b"refused", b"own", b"ben"]
    assert told(front, b"\0one", "")[0][:3] == [b"refused", b"\0one", b""]


def first_id() -> bytes:
    door = Door("tcp://127.0.0.1:*", Limits())
    with WorkerClient(door.address) as client:
        client.submit(status_request())
        end, said = time.monotonic() + 30, list[bytes]()
        while not said and time.monotonic() < end:
            client.poll(0.01)
            said = [bytes(message[1]) for message in door.take()]
    door.close()
    return said[0]


def test_ids_begin_somewhere_else_each_time() -> None:
    assert first_id() != first_id()
