"""The page of a service for whoever runs it, and its figures for Prometheus: HTTP on the loopback address alone.

Who has an account on the machine can look; nobody else, and no web page that a browser there has open: see
`semlink.flowgraphs.loopback`.
"""

from __future__ import annotations

import json
import re
from importlib import resources

from semlink.flowgraphs.loopback import Answer, LocalServer, Request, is_local, refused
from semlink.flowgraphs.service.board import Board
from semlink.flowgraphs.service.metrics import metrics_text

_PICTURE = re.compile(r"/image/([0-9]{1,12})/(sent|received)")
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


def answer(board: Board, method: str, host: str, path: str) -> Answer:
    """What is given for a request, whoever serves it."""
    if not is_local(host):
        return refused("403 Forbidden", "this page is for this machine alone, as localhost or 127.0.0.1")
    if method not in ("GET", "HEAD"):
        return refused("405 Method Not Allowed", "there is nothing to be changed here")
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
        return refused("404 Not Found", "there is no such thing here, or not any more")
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
        _check_prometheus()

        def given(request: Request) -> Answer:
            return answer(board, request.method, request.headers.get("host", ""), request.path)

        self._server = LocalServer(given, port, needs=_NEEDS)
        self.address = f"http://127.0.0.1:{self._server.port}/"

    def close(self) -> None:
        """Let go of the port."""
        self._server.close()


_NEEDS = "--page needs waitress and prometheus-client: pip install 'semlink[page]'"


def _check_prometheus() -> None:
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise ValueError(_NEEDS) from None
