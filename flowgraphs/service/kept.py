"""What takes long to load and is kept, up to a number: made once, while others get what is there."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")
MANY = 256
"""Keys from which on what was found a moment ago is forgotten."""


class _Mine(threading.local):
    """What each thread has of its own."""

    loads = 0


class Kept(Generic[Value]):
    """Values by key; of more than `most`, the one that was not asked for the longest goes. Several threads may ask.

    Args:
        most: values that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock, self._mine = most, threading.Lock(), _Mine()
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    @property
    def loads(self) -> int:
        """How often the thread that asks this had to wait until a value was made, by itself or by another."""
        return self._mine.loads

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key. Who asks for it while it is made waits, and nobody else does."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        self._mine.loads += 1
        with making:
            return self._made(key, make)

    def _made(self, key: Hashable, make: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._values:
                return self._values[key]
        try:
            value = make()
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._most:
                    self._values.popitem(last=False)
        finally:
            with self._lock:
                self._making.pop(key, None)
        return value


class Lately(Generic[Value]):
    """What was found a moment ago, by key. Several threads may ask.

    Args:
        seconds: for which it is not looked for again.
        clock: tells the time in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._found: dict[Hashable, tuple[Value, float]] = {}

    def get(self, key: Hashable, find: Callable[[], Value]) -> Value:
        """The value of a key; one that is not found, because `find` raises, is looked for again each time."""
        now, known = self._clock(), self._found.get(key)
        if known is None or now - known[1] > self._seconds:
            if len(self._found) >= MANY:
                self._found.clear()
            known = self._found[key] = find(), now
        return known[0]
