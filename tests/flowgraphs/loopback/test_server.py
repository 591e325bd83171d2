"""A server on the loopback address: what is in use, what stays in memory, and who has left."""

from __future__ import annotations

import socket
import tempfile
import threading
import urllib.request
from contextlib import closing

import pytest

from semlink.flowgraphs.loopback import Answer, LocalServer, PortInUseError, Request, is_local

pytest.importorskip("waitress", reason="waitress is not installed")


def test_a_port_in_use_is_told_from_one_that_cannot_be() -> None:
    with (
        closing(LocalServer(lambda _: Answer("200 OK", "text/plain", b""), 0)) as server,
        pytest.raises(PortInUseError, match=f"--page {server.port}: Address already in use"),
    ):
        LocalServer(lambda _: Answer("200 OK", "text/plain", b""), server.port)
    with pytest.raises(ValueError, match="--port -1 must be a port from 1 to 65535"):
        LocalServer(lambda _: Answer("200 OK", "text/plain", b""), -1, option="--port")


@pytest.mark.parametrize(
    "host", ["localhost.", "127.0.0.1.nip.io", "127.1", "0.0.0.0", "localhost:123456", "a@localhost"]
)
def test_other_names_are_not_this_machine(host: str) -> None:
    assert not is_local(host)


def test_what_is_sent_and_given_is_never_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """waitress would put more than half a megabyte of a request, and one of an answer, into temporary files."""
    made: list[object] = []

    def refuse(*given: object, **options: object) -> None:
        made.append(given)
        raise OSError("a temporary file")

    for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("waitress.buffers.TemporaryFile", refuse, raising=False)
    body = bytes(range(256)) * (3 << 12)  # 3 MiB

    def echo(request: Request) -> Answer:
        return Answer("200 OK", "application/octet-stream", request.body)

    with (
        closing(LocalServer(echo, 0, most_bytes=1 << 23)) as server,
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", body, timeout=30) as reply,
    ):
        assert reply.read() == body
    assert made == []


def test_that_a_browser_has_left_is_noticed() -> None:
    began, noticed = threading.Event(), threading.Event()

    def wait(request: Request) -> Answer:
        began.set()
        for _ in range(1000):
            if request.gone():
                noticed.set()
                break
            threading.Event().wait(0.02)
        return Answer("200 OK", "text/plain", b"")

    with closing(LocalServer(wait, 0)) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as asking:
            asking.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert began.wait(10)
            assert not noticed.is_set()
        assert noticed.wait(15)
