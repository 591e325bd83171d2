"""A server of pages on 127.0.0.1 alone, by waitress on threads of its own.

No web page from elsewhere that a browser on this machine has open may use it: requests under another host's name are
refused (DNS rebinding), nothing may be embedded, and nothing is loaded from anywhere else. What is sent stays in
memory.
"""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

HEADERS = [
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
"""Of every answer."""
_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_IN_MEMORY = 1 << 30  # below which waitress would put what is sent or answered into temporary files


class PortInUseError(ValueError):
    """Somebody else listens at a port."""


class Request(NamedTuple):
    """What a browser asks.

    Attributes:
        method: such as GET.
        path: without what follows a question mark.
        query: that.
        headers: by name in small letters: those of `_TOLD`, as far as they were given.
        body: what was sent along.
        gone: whether whoever asked has left since, or the server is closing.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""
    gone: Callable[[], bool] = lambda: False


_TOLD = ("host", "origin", "referer", "sec-fetch-site", "sec-fetch-mode")


class Answer(NamedTuple):
    """What is given for a request."""

    status: str
    kind: str
    body: bytes


def is_local(host: str) -> bool:
    """Whether a Host header names this machine, with or without a port."""
    return _HOST.fullmatch(host) is not None


def refused(status: str, why: str) -> Answer:
    """A line of text, which may quote what came in: half a surrogate pair out of JSON too."""
    return Answer(status, "text/plain; charset=utf-8", f"{why}\n".encode(errors="backslashreplace"))


class LocalServer:
    """A server on threads of its own, until `close`.

    Args:
        answer: gives the answer to a request, from several threads.
        port: of 127.0.0.1; 0 for one that is free.
        option: what the messages call the port.
        threads: requests that are answered at once.
        most_bytes: of a request's body; more is refused.
        needs: what the message says where waitress is not installed.

    Attributes:
        port: where it listens.

    Raises:
        PortInUseError: somebody else listens there.
        ValueError: a port that cannot be, or waitress is not installed.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer],
        port: int,
        *,
        option: str = "--page",
        threads: int = 2,
        most_bytes: int = 1024,
        needs: str = "--page needs waitress: pip install 'semlink[page]'",
    ) -> None:
        waitress = _import_waitress(needs)
        if not 0 <= port <= 65535:
            raise ValueError(f"{option} {port} must be a port from 1 to 65535, or 0 for one that is free")
        for name in ("waitress", "waitress.queue"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._map: dict[int, Any] = {}  # of what it has open
        self._closing = threading.Event()
        try:
            self._server = waitress.create_server(
                _application(answer, self._closing.is_set),
                map=self._map,
                listen=f"127.0.0.1:{port}",
                threads=threads,
                ident=None,
                connection_limit=50 + threads,
                channel_request_lookahead=1,  # else nobody would notice that a browser has left
                max_request_body_size=most_bytes,
                max_request_header_size=16384,
                inbuf_overflow=_IN_MEMORY,
                outbuf_overflow=_IN_MEMORY,
            )
        except OSError as error:
            for one in list(self._map.values()):
                one.close()
            kind = PortInUseError if error.errno == errno.EADDRINUSE else ValueError
            raise kind(f"{option} {port}: {error.strerror}") from None
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, name="semlink-page", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let go of the port."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.trigger.pull_trigger(self._end)
        self._thread.join(10)

    def _end(self) -> None:
        """On the server's own thread, which ends when it has nothing open any more."""
        self._server.task_dispatcher.shutdown()
        for one in list(self._map.values()):
            one.close()


def _application(
    answer: Callable[[Request], Answer], closing: Callable[[], bool]
) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def application(told: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        left = told.get("waitress.client_disconnected", lambda: False)
        headers = {name: told[key] for name in _TOLD if (key := f"HTTP_{name.upper().replace('-', '_')}") in told}
        request = Request(
            told["REQUEST_METHOD"],
            told.get("PATH_INFO", ""),
            told.get("QUERY_STRING", ""),
            headers,
            told["wsgi.input"].read(),
            lambda: left() or closing(),
        )
        given = answer(request)
        start(given.status, [("Content-Type", given.kind), ("Content-Length", str(len(given.body))), *HEADERS])
        return [] if request.method == "HEAD" else [given.body]

    return application


def _import_waitress(needs: str) -> Any:  # noqa: ANN401
    try:
        import waitress
    except ImportError:
        raise ValueError(needs) from None
    return waitress
