"""The page of a service for whoever runs it, and its figures for Prometheus: HTTP on the loopback address alone.

Who has an account on the machine can look; nobody else, and no web page that a browser there has open: requests under
another host's name are refused (DNS rebinding), nothing may be embedded, and nothing is loaded from anywhere else.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterable
from importlib import resources
from typing import Any, NamedTuple

from semlink.flowgraphs.service.board import Board
from semlink.flowgraphs.service.metrics import metrics_text

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_PICTURE = re.compile(r"/image/([0-9]{1,12})/(sent|received)")
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_HEADERS = [
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]


class Answer(NamedTuple):
    """Of the page's server."""

    status: str
    kind: str
    body: bytes


def answer(board: Board, method: str, host: str, path: str) -> Answer:
    """What is given for a request, whoever serves it."""
    if not _HOST.fullmatch(host):
        return _refused("403 Forbidden", "this page is for this machine alone, as localhost or 127.0.0.1")
    if method not in ("GET", "HEAD"):
        return _refused("405 Method Not Allowed", "there is nothing to be changed here")
    if path in _FILES:
        name, kind = _FILES[path]
        return Answer("200 OK", kind, resources.files(__package__).joinpath(name).read_bytes())
    if path == "/metrics":
        return Answer("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics_text(board.snapshot))
    if path == "/state":
        status, users, _, history, images = board.snapshot
        state = {"status": status, "users": users, "history": history, "images": images}
        return Answer("200 OK", "application/json", json.dumps(state).encode())
    match = _PICTURE.fullmatch(path)
    picture = board.picture(int(match[1]), match[2]) if match else None
    if picture is None:
        return _refused("404 Not Found", "there is no such thing here, or not any more")
    return Answer("200 OK", "image/png", picture)


class Page:
    """A server of the page, on threads of its own, until `close`.

    Args:
        board: what is to be seen.
        port: of 127.0.0.1; 0 for one that is free.

    Attributes:
        address: of the page.

    Raises:
        ValueError: a port that is in use or cannot be, or what it needs is not installed.
    """

    def __init__(self, board: Board, port: int) -> None:
        waitress = _import_waitress()
        if not 0 <= port <= 65535:
            raise ValueError(f"--page {port} must be a port from 1 to 65535, or 0 for one that is free")
        for name in ("waitress", "waitress.queue"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._map: dict[int, Any] = {}  # of what it has open
        try:
            self._server = waitress.create_server(
                _application(board),
                map=self._map,
                listen=f"127.0.0.1:{port}",
                threads=2,
                ident=None,
                connection_limit=50,
                max_request_body_size=1024,
                max_request_header_size=16384,
            )
        except OSError as error:
            for one in list(self._map.values()):
                one.close()
            raise ValueError(f"--page {port}: {error.strerror}") from None
        self.address = f"http://127.0.0.1:{self._server.effective_port}/"
        self._thread = threading.Thread(target=self._server.run, name="semlink-page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of the port."""
        self._server.trigger.pull_trigger(self._end)
        self._thread.join(10)

    def _end(self) -> None:
        """On the server's own thread, which ends when it has nothing open any more."""
        self._server.task_dispatcher.shutdown()
        for one in list(self._map.values()):
            one.close()


def _application(board: Board) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def application(request: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = request["REQUEST_METHOD"]
        given = answer(board, method, request.get("HTTP_HOST", ""), request.get("PATH_INFO", ""))
        length = ("Content-Length", str(len(given.body)))
        start(given.status, [("Content-Type", given.kind), length, *_HEADERS])
        return [] if method == "HEAD" else [given.body]

    return application


def _refused(status: str, why: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{why}\n".encode())


def _import_waitress() -> Any:  # noqa: ANN401
    try:
        import prometheus_client  # noqa: F401
        import waitress
    except ImportError:
        raise ValueError("--page needs waitress and prometheus-client: pip install 'semlink[page]'") from None
    return waitress
