"""Who may ask: this machine, with the token, from the page itself."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from semlink.flowgraphs.play.desk import Desk
from semlink.flowgraphs.play.server import FILES, MOST_BYTES, PlayServer

pytest.importorskip("waitress", reason="waitress is not installed")


@pytest.fixture(scope="module")
def server(desk: Desk) -> Iterator[PlayServer]:
    with closing(PlayServer(0)) as made:
        made.furnish(desk)
        yield made


def asked(
    server: PlayServer, name: str, body: bytes | None = b"{}", path: str | None = None, **headers: str
) -> tuple[int, str]:
    """Status and text of a request as the page makes it, unless something else is said."""
    own = f"http://127.0.0.1:{server.port}"
    sent = {"Host": own.removeprefix("http://"), **({} if body is None else {"Origin": own})}
    sent |= {key.replace("_", "-"): value for key, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    place = path if path is not None else server.address.removeprefix(own) + name
    connection.request("GET" if body is None else "POST", place, body, {key: one for key, one in sent.items() if one})
    reply = connection.getresponse()
    said = reply.read().decode(errors="replace")
    connection.close()
    return reply.status, said


def test_the_page_and_its_requests_are_given_with_the_token(server: PlayServer) -> None:
    for name in FILES:
        assert asked(server, name, None)[0] == 200
    assert json.loads(asked(server, "catalogue")[1])["start"]["seed"] == 0
    assert len(re.findall(r"/([\w-]{32})/$", server.address)) == 1
    assert asked(server, "", None, Host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/catalogue", "/x/catalogue", "/../", "//", "/%2e%2e/", "/%e9/catalogue", "/TOKEN"]
)
def test_without_the_token_nothing_is(server: PlayServer, path: str) -> None:
    token = server.address.rstrip("/").rpartition("/")[2]
    path = path.replace("TOKEN", token)  # without the slash that ends the address
    for body in (None, b"{}"):
        status, said = asked(server, "", body, path=path)
        assert (status, token in said) == (403, False)
    assert asked(server, "", b"{}", path=f"/{token[:-1]}A/catalogue")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:PORT"},
        {"Host": "127.0.0.1.evil.example:PORT"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:PORT"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:PORT"},
        {"Origin": "http://["},
        {"Origin": ""},
        {"Referer": "http://evil.example/"},
        {"Referer": "http://127.0.0.1:1/"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Mode": "cors"},
    ],
)
def test_other_hosts_and_pages_are_refused(server: PlayServer, headers: dict[str, str]) -> None:
    """DNS rebinding, and a page from elsewhere or of another port that would use the token if it had it."""
    given = {name: value.replace("PORT", str(server.port)) for name, value in headers.items()}
    assert asked(server, "catalogue", **given)[0] == 403


def test_a_link_from_elsewhere_may_open_the_page_and_no_more(server: PlayServer) -> None:
    foreign = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert asked(server, "", None, **foreign)[0] == 200
    assert asked(server, "catalogue", **foreign)[0] == 403
    assert asked(server, "page.js", None, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403


def test_methods_and_names_that_are_none(server: PlayServer, scene: dict[str, Any]) -> None:
    assert asked(server, "catalogue", None)[0] == 405
    assert asked(server, "page.js")[0] == 405
    assert asked(server, "nix")[0] == 404
    status, said = asked(server, "send", b"\xff{")
    assert (status, said.count("\n")) == (400, 1)
    half = json.dumps({**scene, "codec": "deepjscc+\ud800", "esno_db": 9}).encode()  # of a surrogate pair
    status, said = asked(server, "send", half)
    assert (status, r"'\ud800'" in said) == (400, True)


def test_too_much_is_refused_before_it_is_taken(server: PlayServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(f"POST /x/drop HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MOST_BYTES + 1}\r\n\r\n".encode())
        assert b" 413 " in line.recv(200)
    assert asked(server, "catalogue")[0] == 200


def test_a_codec_that_breaks_leaves_the_server(
    server: PlayServer, monkeypatch: pytest.MonkeyPatch, desk: Desk, scene: dict[str, Any]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no <b>carrier</b>")

    body = json.dumps({**scene, "codec": "deepjscc", "esno_db": 9}).encode()
    with monkeypatch.context() as patch:
        patch.setattr(desk._links, "send", broken)
        assert asked(server, "send", body) == (500, "RuntimeError: no <b>carrier</b>\n")
    assert asked(server, "send", body)[0] == 200


def test_nobody_waits_for_a_browser_that_has_left(
    server: PlayServer, monkeypatch: pytest.MonkeyPatch, desk: Desk, scene: dict[str, Any]
) -> None:
    began, stopped = threading.Event(), threading.Event()

    def slow(wish: object, gone: Callable[[], bool], judged: bool) -> None:
        began.set()
        end = time.monotonic() + 20
        while not gone() and time.monotonic() < end:
            time.sleep(0.02)
        if gone():
            stopped.set()
        raise ValueError("left")

    monkeypatch.setattr(desk._links, "send", slow)
    body = json.dumps({**scene, "codec": "deepjscc", "esno_db": 9}).encode()
    own = f"http://127.0.0.1:{server.port}"
    head = f"POST {server.address.removeprefix(own)}send HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {own}\r\n"
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert began.wait(20)
    assert stopped.wait(20)


def test_a_port_in_use_is_passed_over() -> None:
    with closing(PlayServer(0)) as first, closing(PlayServer(first.port)) as second:
        assert first.port < second.port < first.port + 20
    with pytest.raises(ValueError, match="--port 70000 must be a port from 1 to 65535"):
        PlayServer(70000)


def test_what_is_asked_before_the_desk_is_there_waits(desk: Desk) -> None:
    with closing(PlayServer(0)) as early:
        got: list[int] = []
        asking = threading.Thread(target=lambda: got.append(asked(early, "catalogue")[0]))
        asking.start()
        assert asked(early, "", None)[0] == 200  # the page itself
        assert got == []
        early.furnish(desk)
        asking.join(30)
        assert got == [200]
