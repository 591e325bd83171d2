"""How much waits: requests, bytes and expected seconds, of each client and in all, and how much of it may."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass
class Load:
    """A sum over requests."""

    count: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def add(self, bytes: int, seconds: float, sign: int = 1) -> None:
        """Count one request in, or out with a sign of -1."""
        self.count += sign
        self.bytes += sign * bytes
        self.seconds = max(0.0, self.seconds + sign * seconds) if self.count else 0.0


class Room:
    """What may wait. A client may have seven eighths of the places and half of the bytes and of the time.

    Args:
        most: requests that wait.
        bytes: of those that wait or are under way, unless one alone has more.
        seconds: of expected work that waits, unless one alone has more.

    Raises:
        ValueError: a limit below 1.
    """

    def __init__(self, most: int, bytes: int, seconds: float = math.inf) -> None:
        if most < 1:
            raise ValueError(f"queue={most} must be 1 or more")
        self._most, self._bytes, self._seconds = most, bytes, seconds
        self.waiting, self.under_way = Load(), Load()
        self._own: dict[Hashable, Load] = {}

    def of(self, client: Hashable) -> Load:
        """What waits of a client."""
        return self._own.get(client, Load())

    def enter(self, client: Hashable, bytes: int, seconds: float) -> None:
        """A request waits."""
        self.waiting.add(bytes, seconds)
        self._own.setdefault(client, Load()).add(bytes, seconds)

    def leave(self, client: Hashable, bytes: int, seconds: float) -> None:
        """It waits no more."""
        self.waiting.add(bytes, seconds, -1)
        own = self._own[client]
        own.add(bytes, seconds, -1)
        if not own.count:
            del self._own[client]

    def check(self, client: Hashable, bytes: int, seconds: float) -> None:
        """Raise ValueError unless there is room for one more request of a client."""
        waiting, own = self.waiting, self.of(client)
        held = waiting.bytes + self.under_way.bytes
        if waiting.count >= self._most or (held and held + bytes > self._bytes):
            raise ValueError(f"the queue is full: {waiting.count} requests of {held} bytes wait; try again")
        if waiting.count and waiting.seconds + seconds > self._seconds:
            raise ValueError(f"the queue is full: about {waiting.seconds:.1f} s of work wait; try again")
        share = max(1, self._most - self._most // 8)
        if own.count >= share or (own.bytes and own.bytes + bytes > self._bytes // 2):
            raise ValueError(
                f"the queue is full for you: {own.count} of your requests of {own.bytes} bytes wait; try again"
            )
        if own.count and own.seconds + seconds > self._seconds / 2:
            raise ValueError(f"the queue is full for you: about {own.seconds:.1f} s of your work wait; try again")
