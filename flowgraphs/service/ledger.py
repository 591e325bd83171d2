"""What a service tells of each of its users: how much she asked for, what she got, how long it took."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from semlink.flowgraphs.protocol import Scalar
from semlink.flowgraphs.service.record import high, mean

User = str | bytes
"""By the name of her key, or where there are no keys by her connection."""
NOBODY = "(key not allowed)"
"""All those together whose key is not allowed any more. No name has such characters."""
MOST = 256
"""Users of whom there are figures; of more, those who asked last."""
LATEST = 200
"""Requests of a user that her latencies are taken over."""


def _latest() -> deque[float]:
    return deque(maxlen=LATEST)


@dataclass
class Figures:
    """Of one user, since she was first seen.

    Attributes:
        label: her name, or "connection" with a number.
        requests: for work; neither for the status nor to cancel.
        served: of them, those that were answered by no error.
        refused: those that were.
        cached: of those served, those of which symbols or image came from a cache.
        latencies_s: of the latest served without a cache, from arrival to reply.
        cached_s: of the latest served with it.
    """

    label: str
    requests: int = 0
    served: int = 0
    refused: int = 0
    cached: int = 0
    latencies_s: deque[float] = field(default_factory=_latest)
    cached_s: deque[float] = field(default_factory=_latest)

    def row(self, waiting: int) -> dict[str, Scalar]:
        """All of it by name, latencies in milliseconds; 0 where nothing was measured."""
        counts = {"requests": self.requests, "served": self.served, "refused": self.refused, "waiting": waiting}
        row: dict[str, Scalar] = {"user": self.label, **counts, "cached": self.cached}
        for name, values in (("", self.latencies_s), ("cached_", self.cached_s)):
            row |= {f"{name}mean_ms": round(1e3 * mean(values), 2), f"{name}p95_ms": round(1e3 * high(values), 2)}
        return row


class Ledger:
    """Figures by user. One thread writes; others may read `rows`."""

    def __init__(self) -> None:
        self._figures: OrderedDict[User, Figures] = OrderedDict()
        self._connections = 0

    def asks(self, user: User) -> None:
        """She has asked for something, which waits now."""
        self._of(user).requests += 1

    def is_refused(self, user: User) -> None:
        """She has asked for something, which does not wait."""
        figures = self._of(user)
        figures.requests += 1
        figures.refused += 1

    def is_answered(self, user: User, seconds: float, *, refused: bool, cached: bool) -> None:
        """What waited has its answer."""
        figures = self._of(user)
        figures.refused += refused
        if not refused:
            figures.served += 1
            figures.cached += cached
            (figures.cached_s if cached else figures.latencies_s).append(seconds)

    def label(self, user: User) -> str:
        """What she is called."""
        return self._of(user).label

    def rows(self, waiting: Callable[[User], int], user: User | None = None) -> list[dict[str, Scalar]]:
        """Of those who asked last first, or of one user alone; `waiting` tells how many have no answer yet."""
        found = list(self._figures.items())[::-1]
        return [figures.row(waiting(who)) for who, figures in found if user in (None, who)]

    def _of(self, user: User) -> Figures:
        if user not in self._figures:
            self._connections += isinstance(user, bytes)
            label = user if isinstance(user, str) else f"connection {self._connections}"
            self._figures[user] = Figures(label)
            if len(self._figures) > MOST:
                self._figures.popitem(last=False)
        self._figures.move_to_end(user)
        return self._figures[user]
