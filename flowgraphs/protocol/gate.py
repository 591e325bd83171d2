"""Who may talk to a service that has keys: libzmq asks at every handshake (ZAP, ZeroMQ RFC 27), and this answers."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from semlink.flowgraphs.protocol.keys import ALLOWED, read_allowed, read_service

LOOK_S = 1.0
"""How often it is found out whether other keys are allowed now."""
_ZAP = "inproc://zeromq.zap.01"


class Gate:
    """Lets in whose key is in the folder. A key that is put there or taken away counts within `LOOK_S`.

    Args:
        zmq: the module.
        context: of the sockets to be guarded; it can have one gate.
        folder: of the service's keys.

    Attributes:
        socket: to be polled, for `answer`.

    Raises:
        ValueError: the folder has no keys of a service. Files of users that are none are left out: a service that runs
            does not end with them.
    """

    def __init__(self, zmq: ModuleType, context: Any, folder: Path) -> None:  # noqa: ANN401 - zmq is imported late
        self._zmq, self._folder = zmq, folder
        self._pair, self._stamp, self._looked = read_service(folder), self._stamp_now(), time.monotonic()
        self._allowed = read_allowed(folder, strict=False)
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(_ZAP)

    def guard(self, line: Any) -> None:  # noqa: ANN401
        """Have a socket that is not bound yet let in nobody else, and encrypt everything."""
        line.curve_server, line.curve_secretkey, line.zap_domain = True, self._pair.secret, b"semlink"

    def answer(self) -> None:
        """Tell libzmq of those who are at the door."""
        while self.socket.getsockopt(self._zmq.EVENTS) & self._zmq.POLLIN:
            version, number, *_, mechanism, key = self.socket.recv_multipart()
            known = mechanism == b"CURVE" and self._name(key) is not None
            said = (b"200", b"", key.hex().encode()) if known else (b"400", b"this key is not allowed", b"")
            self.socket.send_multipart([version, number, *said, b""])

    def name_of(self, frame: Any) -> str | None:  # noqa: ANN401
        """The user whose key a part of a message came under; None where it is not allowed any more."""
        try:
            return self._name(bytes.fromhex(frame.get("User-Id")))
        except (self._zmq.ZMQError, ValueError):
            return None

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()

    def _name(self, key: bytes) -> str | None:
        now = time.monotonic()
        if now > self._looked + LOOK_S:
            self._looked, stamp = now, self._stamp_now()
            if stamp != self._stamp:
                self._stamp, self._allowed = stamp, read_allowed(self._folder, strict=False)
        return self._allowed.get(key)

    def _stamp_now(self) -> frozenset[tuple[str, int, int, int]]:
        """Another one when a file comes, goes, or is written anew, in place as well."""
        found = set()
        with suppress(OSError), os.scandir(self._folder / ALLOWED) as entries:
            for entry in entries:
                with suppress(OSError):  # gone meanwhile
                    seen = entry.stat()
                    found.add((entry.name, seen.st_mtime_ns, seen.st_ino, seen.st_size))
        return frozenset(found)
