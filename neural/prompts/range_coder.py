"""Arithmetic coding of whole numbers with tables of frequencies: the carryless range coder of Subbotin (1999).

Both ends count in whole numbers alone, so that a code is read on any machine as it was written.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

FREQUENCY_BITS = 16
"""The frequencies of a table add up to 2 to this."""
_TOP, _BOTTOM, _MASK = 1 << 24, 1 << 16, (1 << 32) - 1


class RangeEncoder:
    """Symbols to bytes."""

    def __init__(self) -> None:
        self._low, self._range, self._out = 0, _MASK, bytearray()

    def put(self, low: int, frequency: int) -> None:
        """Code the symbol whose share of the table begins at `low`."""
        unit = self._range >> FREQUENCY_BITS
        self._low = (self._low + low * unit) & _MASK
        self._range = frequency * unit
        while True:
            if (self._low ^ (self._low + self._range)) >= _TOP:
                if self._range >= _BOTTOM:
                    return
                self._range = -self._low & (_BOTTOM - 1)
            self._out.append(self._low >> 24)
            self._low, self._range = (self._low << 8) & _MASK, (self._range << 8) & _MASK

    def finish(self) -> bytes:
        """All bytes, as few as tell the last symbol: what the reader misses it takes for zeros."""
        for bits in (32, 24, 16, 8, 0):  # the roundest number within the last interval
            value = (self._low + (1 << bits) - 1) >> bits << bits
            if self._low <= value < self._low + self._range and value <= _MASK:
                tail = value.to_bytes(4, "big").rstrip(b"\0")
                return bytes(self._out + tail).rstrip(b"\0")
        return bytes(self._out + self._low.to_bytes(4, "big"))


class RangeDecoder:
    """Bytes to symbols; beyond the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._low, self._range, self._code = 0, _MASK, 0
        for _ in range(4):
            self._shift()

    @property
    def beyond(self) -> bool:
        """Whether bytes were asked for that were not there."""
        return self._at > len(self._data)

    def get(self, cumulative: Sequence[int]) -> int:
        """The next symbol of a table of cumulative frequencies, from 0 to 2^`FREQUENCY_BITS`."""
        unit = self._range >> FREQUENCY_BITS
        share = min(((self._code - self._low) & _MASK) // unit, (1 << FREQUENCY_BITS) - 1)
        symbol = bisect_right(cumulative, share) - 1
        self._low = (self._low + cumulative[symbol] * unit) & _MASK
        self._range = (cumulative[symbol + 1] - cumulative[symbol]) * unit
        while True:
            if (self._low ^ (self._low + self._range)) >= _TOP:
                if self._range >= _BOTTOM:
                    return symbol
                self._range = -self._low & (_BOTTOM - 1)
            self._shift()
            self._low, self._range = (self._low << 8) & _MASK, (self._range << 8) & _MASK

    def _shift(self) -> None:
        byte = self._data[self._at] if self._at < len(self._data) else 0
        self._code, self._at = ((self._code << 8) | byte) & _MASK, self._at + 1
