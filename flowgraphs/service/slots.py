"""Slots of the uplink: which users send at once, and how long one waits for company. No clock, no sockets."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class _Member(Generic[Key]):
    key: Key
    user: Hashable
    until: float


class Slots(Generic[Key]):
    """Users who have something to send, until they do.

    A slot has at most `users` of one level (an Es/N0: all arrive at the array with the same power), and each once. It
    goes when it is full, when one in it can wait no longer, or when there is nobody to wait for; what it lacks then is
    silence.

    Args:
        users: of a slot at most.

    Raises:
        ValueError: fewer than one.
    """

    def __init__(self, users: int) -> None:
        if users < 1:
            raise ValueError(f"users={users} of a slot must be 1 or more")
        self.users = users
        self._waiting: dict[Hashable, list[_Member[Key]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, key: Key, user: Hashable, level: Hashable, until: float) -> None:
        """Have a user's request wait for company, no longer than `until`."""
        self._waiting.setdefault(level, []).append(_Member(key, user, until))

    def drop(self, key: Key) -> None:
        """The request is not sent after all."""
        for level, members in list(self._waiting.items()):
            self._keep(level, [one for one in members if one.key != key])

    def take(self, now: float, awaited: frozenset[Hashable] = frozenset()) -> list[list[Key]]:
        """The slots that go now, each with the keys in it in the order in which they came.

        Args:
            now: on the clock of `until`.
            awaited: users of whom something is expected soon.
        """
        gone = []
        for level, members in list(self._waiting.items()):
            while slot := self._first(members, now, awaited):
                gone.append([one.key for one in slot])
                members = [one for one in members if one not in slot]
            self._keep(level, members)
        return gone

    def due(self) -> float | None:
        """When the first can wait no longer; None where nobody waits."""
        return min((one.until for members in self._waiting.values() for one in members), default=None)

    def _first(self, members: list[_Member[Key]], now: float, awaited: frozenset[Hashable]) -> list[_Member[Key]]:
        slot: dict[Hashable, _Member[Key]] = {}
        for one in members:
            if len(slot) < self.users:
                slot.setdefault(one.user, one)
        goes = len(slot) == self.users or any(one.until <= now for one in slot.values()) or not awaited - slot.keys()
        return list(slot.values()) if goes else []

    def _keep(self, level: Hashable, members: list[_Member[Key]]) -> None:
        if members:
            self._waiting[level] = members
        else:
            self._waiting.pop(level, None)
