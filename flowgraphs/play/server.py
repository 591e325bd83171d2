"""The page of `semlink play` and its requests over HTTP: who may ask, and what is given.

The page is for whoever has its address, in which there is a token, on this machine alone. A page from elsewhere that a
browser has open can neither guess the token nor use it: what bears another Host, Origin or Referer is refused.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from semlink.flowgraphs.loopback import Answer, LocalServer, PortInUseError, Request, is_local, refused

if TYPE_CHECKING:
    from semlink.flowgraphs.play.desk import Desk

FILES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
}
"""What the page is made of."""
MOST_BYTES = 64 << 20
"""Of a request: a photograph, or the frames of a recording."""
THREADS = 16
"""Requests that wait at once; what they wait for is done by as many threads as there are cores."""
TRIES = 20
"""Ports that are tried, one after another."""
_PATH = re.compile(r"/([\w-]{1,100})/([\w.]{0,20})", re.ASCII)


class PlayServer:
    """The page on a port of 127.0.0.1, until `close`. What is asked of the desk waits until there is one.

    Args:
        port: where to begin to look for one that is free; 0 for any.

    Attributes:
        address: with the token.
        port: that was free.

    Raises:
        ValueError: a port that cannot be, `TRIES` that are all in use, or waitress is not installed.
    """

    def __init__(self, port: int) -> None:
        self._token = secrets.token_urlsafe(24)
        self._desk: Future[Desk] = Future()
        self._server = _listening(self._answer, port)
        self.port = self._server.port
        self.address = f"http://127.0.0.1:{self.port}/{self._token}/"

    def furnish(self, desk: Desk) -> None:
        """Have it answered by this desk what is asked."""
        self._desk.set_result(desk)

    def close(self) -> None:
        """Let go of the port."""
        self._server.close()

    def _answer(self, request: Request) -> Answer:
        wrong = self._foreign(request)
        if wrong:
            return refused("403 Forbidden", wrong)
        path = _PATH.fullmatch(request.path)
        if path is None or not hmac.compare_digest(path[1], self._token):
            return refused("403 Forbidden", "the address lacks the token that `semlink play` has printed")
        if path[2] in FILES:
            if request.method not in ("GET", "HEAD"):
                return refused("405 Method Not Allowed", "this is to be read alone")
            name, kind = FILES[path[2]]
            return Answer("200 OK", kind, resources.files(__package__).joinpath(name).read_bytes())
        if request.method != "POST":
            return refused("405 Method Not Allowed", "this is asked by the page alone, by POST")
        return self._asked(path[2], request)

    def _foreign(self, request: Request) -> str:
        """What is wrong with where a request comes from; nothing of the page itself, or of an address typed in."""
        told, own = request.headers, self._server.port
        host = told.get("host", "")
        if not is_local(host) or _port_of(host) != own:
            return "this page is for this machine alone, as localhost or 127.0.0.1"
        if request.method == "POST" and "origin" not in told:
            return "a request without an origin is none of this page's"
        for name in ("origin", "referer"):
            if name in told and not _is_same(told[name], host):
                return f"another page's {name}"
        site, mode = told.get("sec-fetch-site", "same-origin"), told.get("sec-fetch-mode", "navigate")
        if site not in ("same-origin", "none") and not (mode == "navigate" and request.method == "GET"):
            return "another page's request"
        return ""

    def _asked(self, name: str, request: Request) -> Answer:
        desk = _when_done(self._desk, request.gone)
        if desk is None:
            return refused("503 Service Unavailable", "not there yet")
        from semlink.flowgraphs.play.links import GoneError  # which needs PyTorch, as the desk does

        if name not in desk.names:
            return refused("404 Not Found", "there is no such thing here")
        try:
            kind, body = desk.answer(name, request.body, request.query, request.gone)
        except GoneError:
            return refused("503 Service Unavailable", "nobody waits for this any more")
        except ValueError as error:
            return refused("400 Bad Request", str(error))
        except Exception as error:  # of a codec of one's own, say: the page tells it, and goes on
            return refused("500 Internal Server Error", f"{type(error).__name__}: {error}")
        return Answer("200 OK", kind, body)


def _listening(answer: Callable[[Request], Answer], port: int) -> LocalServer:
    """A server at the first port that nobody else has."""
    needs = "semlink play needs waitress: pip install 'semlink[page]'"
    last = min(port + TRIES, 65536) if port else 1
    for one in range(port, max(last, port + 1)):
        try:
            return LocalServer(answer, one, option="--port", threads=THREADS, most_bytes=MOST_BYTES, needs=needs)
        except PortInUseError:
            continue
    raise ValueError(f"--port {port}: this one and all up to {last - 1} are in use; 0 takes one that is free")


def _when_done(future: Future[Any], gone: Callable[[], bool]) -> Any:  # noqa: ANN401
    """What a future gives; None where nobody waits for it any more."""
    while not gone():
        try:
            return future.result(timeout=0.1)
        except FutureTimeoutError:
            continue
    return None


def _port_of(host: str) -> int:
    _, colon, port = host.rpartition(":")
    return int(port) if colon and port.isdecimal() else 80


def _is_same(origin: str, host: str) -> bool:
    """Whether an Origin or a Referer is of the host that was asked."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme == "http" and parts.netloc.lower() == host.lower()
