"""What a client's line tells of itself: whether it is up, and whether the service wants to talk to it at all."""

from __future__ import annotations

import math
import sys
import time
from contextlib import suppress
from types import ModuleType
from typing import Any

from semlink.flowgraphs.protocol.keys import Keys

REDIAL_S = 1.0
"""From a refusal to the next try: libzmq makes none by itself."""
HUNG_UP, HUNG_UP_S = 5, 3.0
"""Times in a row, and seconds from the first on, that the other end ends a handshake without a word, after which it may
be another service: a forwarder does so, too, while the service behind it is away."""


class Meetings:
    """The handshakes of one line.

    Args:
        zmq: the module.
        line: a socket that is not connected yet.
        address: that it is going to be connected to.
        keys: of the user; None for none.

    Attributes:
        is_up: whether something can be sent.
        monitor: to be polled, for `look`.
        redial_at: when `redial` is to be called, by the monotonic clock; infinite where libzmq does it.
    """

    def __init__(self, zmq: ModuleType, line: Any, address: str, keys: Keys | None) -> None:  # noqa: ANN401
        self._zmq, self._line, self._address, self._keys = zmq, line, address, keys
        self._met = zmq.EVENT_HANDSHAKE_SUCCEEDED
        self._dead = (zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        self._hung_up = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        self.monitor = line.get_monitor_socket(self._met | zmq.EVENT_DISCONNECTED | sum(self._dead) | self._hung_up)
        self.is_up, self._has_met, self._hangs_up, self._hung_up_at = False, False, 0, 0.0
        self.redial_at = math.inf

    def look(self) -> tuple[bool, str]:
        """Take in what happened.

        Returns:
            Whether the line was lost and is there again; and why the other end does not want it, "" where it does.
        """
        again, why = False, ""
        while self.monitor.getsockopt(self._zmq.EVENTS) & self._zmq.POLLIN:
            event = int.from_bytes(self.monitor.recv_multipart()[0][:2], sys.byteorder)
            self.is_up = event == self._met
            if self.is_up:
                again, why, self._hangs_up = again or self._has_met, "", 0
                self._has_met = True
            else:
                why = self._refusal(event) or why
        return again, why

    def redial(self) -> None:
        """Try again after a refusal, if it is time to."""
        if time.monotonic() < self.redial_at:
            return
        self.redial_at = math.inf
        with suppress(self._zmq.ZMQError):  # it has gone by itself
            self._line.disconnect(self._address)
        self._line.connect(self._address)

    def close(self) -> None:
        """Listen no more."""
        self._line.disable_monitor()
        self.monitor.close(linger=0)

    def _refusal(self, event: int) -> str:
        if event in self._dead:
            self.redial_at = time.monotonic() + REDIAL_S
            return self._denied() if event == self._dead[0] else self._mismatch()
        if event == self._hung_up:  # once or twice while it starts, or before it tells what it does not like
            self._hung_up_at = self._hung_up_at if self._hangs_up else time.monotonic()
            self._hangs_up += 1
        lasts = self._hangs_up >= HUNG_UP and time.monotonic() - self._hung_up_at >= HUNG_UP_S
        if self._keys is None or self._has_met or not lasts:  # who was met is away now
            return ""
        self._hangs_up = 0
        what = f"is away, has no keys, or is not the one that the key of {self._keys.name} is for"
        return f"the service at {self._address} {what}"

    def _denied(self) -> str:
        who = f"the key of {self._keys.name}" if self._keys else "who has no key"
        return f"the service at {self._address} does not let in {who}"

    def _mismatch(self) -> str:
        if self._keys is None:
            return f"what is at {self._address} talks to nobody without a key; give one with --keys FILE"
        return f"what is at {self._address} has no keys, so that it is not the service of {self._keys.name}"
