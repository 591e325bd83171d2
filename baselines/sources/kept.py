"""What was made of an image, kept while there is room: many an Es/N0 and budget asks for the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by what they are of; the one that was not asked for the longest goes once they take too much.

    Threads that ask for the same share the work: the first makes it, the others wait when they take the result.

    Args:
        limit: in bytes.
        size: of a value, in bytes.
    """

    def __init__(self, limit: int, size: Callable[[Value], int]) -> None:
        self._limit, self._size, self._bytes = limit, size, 0
        self._kept: OrderedDict[Hashable, Future[Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Future[Value]:
        """A value that is made, or is being made by another thread."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            future = self._kept[key] = Future()
        try:
            future.set_result(make())
        except BaseException as error:
            with self._lock:
                del self._kept[key]
            future.set_exception(error)
            raise
        self._trim(future.result())
        return future

    def _trim(self, added: Value) -> None:
        with self._lock:
            self._bytes += self._size(added)
            while self._bytes > self._limit and next(iter(self._kept.values())).done():
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= self._size(oldest.result())
