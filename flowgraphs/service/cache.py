"""What was computed once: exact hits only, bounded in bytes, the least recently used goes first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value")
ENTRY_BYTES = 1 << 10
"""What an entry takes beside its arrays and its key: objects, their headers, a place in the table."""


class Cache(Generic[Value]):
    """Values by key. Several threads may use it.

    Args:
        bytes: of all values together, at most; 0 keeps nothing.

    Attributes:
        hits: how often a value was there.
        misses: how often it was not.

    Raises:
        ValueError: a negative limit.
    """

    def __init__(self, bytes: int) -> None:
        if bytes < 0:
            raise ValueError(f"bytes={bytes} of a cache must be 0 or more")
        self.limit, self.held, self.hits, self.misses = bytes, 0, 0, 0
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        """The value of exactly this key, or None; a cache that keeps nothing does not count."""
        if not self.limit:
            return None
        with self._lock:
            if key not in self._values:
                self.misses += 1
                return None
            self.hits += 1
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value of so many bytes, unless it alone has more than all may have."""
        if size > self.limit:
            return
        with self._lock:
            if key in self._values:
                self.held -= self._values.pop(key)[1]
            self._values[key] = value, size
            self.held += size
            while self.held > self.limit:
                self.held -= self._values.popitem(last=False)[1][1]


def digest(*arrays: NDArray[Any]) -> bytes:
    """Of the contents, shapes and dtypes of arrays."""
    found = hashlib.blake2b(digest_size=32)
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape};".encode())
        found.update(np.ascontiguousarray(array).data.cast("B"))
    return found.digest()
