"""Whose turn it is: requests of several users, in the order in which each gets an equal share of the time.

Start-time fair queueing (P. Goyal, H. Vin and H. Cheng, "Start-time fair queueing", IEEE/ACM Trans. Netw. 5 (1997)
690-704): a round robin by expected time that needs no rounds, so that a batch may take requests out of their turn. A
user who asks for more than others has her own requests wait, and nobody else's. No clock, no sockets.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(order=True)
class _Place:
    start: float
    number: int
    user: Hashable = field(compare=False)
    cost: float = field(compare=False)


class FairQueue(Generic[Key]):
    """Keys of requests, in the order in which they are to be served.

    Time is virtual: seconds of work that one user has been given. A request starts where its user's last one ends, but
    not before the request that is being served now; so one who was away gains nothing by it, and loses nothing.
    """

    def __init__(self) -> None:
        self._places: dict[Key, _Place] = {}
        self._ends: dict[Hashable, float] = {}
        self._now = 0.0
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[Key]:
        """The keys, whoever's turn it is first."""
        return iter(sorted(self._places, key=self._places.__getitem__))

    def add(self, key: Key, user: Hashable, cost: float) -> None:
        """Let a request of `cost` expected seconds wait.

        Raises:
            ValueError: a cost that is negative, or a key that waits already.
        """
        if not cost >= 0:
            raise ValueError(f"cost={cost!r} must be 0 or more seconds")
        if key in self._places:
            raise ValueError(f"key={key!r} waits already")
        start = max(self._now, self._ends.get(user, 0.0))
        self._places[key] = _Place(start, next(self._numbers), user, cost)
        self._ends[user] = start + cost

    def take(self, key: Key) -> None:
        """The request is served now."""
        place = self._places.pop(key)
        self._now = max(self._now, min([place.start, *(other.start for other in self._places.values())]))
        self._forget_idle()

    def drop(self, key: Key) -> None:
        """The request is not served after all: those of the same user behind it move up."""
        gone = self._places.pop(key)
        for place in self._places.values():
            if place.user == gone.user and place.number > gone.number:
                place.start = max(self._now, place.start - gone.cost)
        ends = [place.start + place.cost for place in self._places.values() if place.user == gone.user]
        self._ends[gone.user] = max(ends, default=gone.start)

    def before(self, user: Hashable) -> float:
        """Expected seconds of work that come before one more request of this user."""
        start = max(self._now, self._ends.get(user, 0.0))
        return sum(place.cost for place in self._places.values() if place.start <= start)

    def _forget_idle(self) -> None:
        """Where nobody waits all begin anew; a user whose last request began long ago is like a new one."""
        if not self._places:
            self._now = max(self._ends.values(), default=self._now)
            self._ends.clear()
        elif len(self._ends) > 2 * len(self._places) + 64:
            waiting = {place.user for place in self._places.values()}
            self._ends = {user: end for user, end in self._ends.items() if user in waiting or end > self._now}
