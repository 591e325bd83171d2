"""Who is about to ask for something again, from how long each took to do so before. No clock, no sockets."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

SHARE = 0.3
"""Weight of the latest pause in its mean."""
PATIENCE = 2.0
"""Times the mean pause for which a user is awaited."""
LEAST_S = 0.002
AGE_S = 60.0
"""After which a user who asks for nothing is forgotten."""
MANY = 256
"""Users from which on it is found out who has not asked for so long."""


@dataclass
class _User:
    asked: float
    answered: float | None = None
    pause: float | None = None


class Presence:
    """Users, when they asked last, and how long after an answer they ask again."""

    def __init__(self) -> None:
        self._users: dict[Hashable, _User] = {}
        self._many = MANY

    def asks(self, user: Hashable, now: float) -> None:
        """A request came."""
        if len(self._users) > self._many:
            self._many = max(MANY, 2 * self.count(now))
        known = self._users.setdefault(user, _User(now))
        if known.answered is not None:
            pause = now - known.answered
            known.pause = pause if known.pause is None else known.pause + SHARE * (pause - known.pause)
        known.asked, known.answered = now, None

    def is_answered(self, user: Hashable, now: float) -> None:
        """Nothing of this user's is left to be done."""
        if user in self._users:
            self._users[user].answered = now

    def awaited(self, now: float, within: float) -> frozenset[Hashable]:
        """Users who have an answer and will probably ask again within so many seconds of it, and have not yet.

        Not those who usually take longer: to wait for them would be in vain most times.
        """
        return frozenset(
            user
            for user, known in self._users.items()
            if known.answered is not None
            and known.pause is not None
            and known.pause <= within
            and now - known.answered <= min(within, PATIENCE * known.pause + LEAST_S)
        )

    def count(self, now: float, within: float = AGE_S) -> int:
        """Users who asked within so many seconds; older ones are forgotten."""
        self._users = {user: known for user, known in self._users.items() if now - known.asked < within}
        return len(self._users)
