"""The compiled half of `semlink.phy.fec.ldpc_encoder`, which says what the arrays are."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import njit

from semlink.phy.fec.simd import BYTES, at, double, either, halve, load, lowest, splat, store, xor

SIDE_BY_SIDE = 8
"""Frames that are encoded at once, one bit of each in every byte."""


@njit(nogil=True, cache=True)
@no_type_check  # shape checks of the tests cannot be compiled
def encode(bits, out, binary, where, z, stride, info_columns, starts, source):
    """Encode the rows of `bits`, (b, k) of int8, into those of `out`, (b, n); `binary` says which were 0 and 1 alone.

    Args:
        where: (n,) the place in `word` of each coded bit.
        stride: from one column to the next in `word`.
        starts: (sums + 1,) where the terms of each parity column begin.
        source: (terms,) where a term, shifted, is in `word`.
    """
    frames, k = bits.shape
    n = out.shape[1]
    flat_bits, flat_out = bits.reshape(-1), out.reshape(-1)
    packed, sent = np.zeros(info_columns * z + BYTES, np.int8), np.empty(n + BYTES, np.int8)
    word = np.zeros((info_columns + len(starts)) * stride, np.int8)
    for first in range(0, frames, 8):
        count = min(8, frames - first)
        found = _pack(flat_bits, first * k, count, k, packed)
        if found & ~1:
            for frame in range(first, first + count):
                binary[frame] = _is_binary(flat_bits, frame * k, k)
        for column in range(info_columns):
            _copy(packed, column * z, word, column * stride, z)
        for step in range(len(starts) - 1):
            _sum(word, (info_columns + step) * stride, z, source, at(starts, step), at(starts, step + 1))
        for i in range(n):
            sent[i] = at(word, at(where, i))
        _unpack(sent, flat_out, first * n, count, n)


@njit(nogil=True)
@no_type_check
def _pack(bits, start, count, k, packed):
    """Bit j of a byte from row j of `count` rows of k; returns the bitwise or of all of them."""
    seen, last = splat(packed, 0), k - BYTES
    for i in range(0, k if last >= 0 else 0, BYTES):
        here = min(i, last)  # the last vector overlaps the one before
        row = start + (count - 1) * k + here
        value = splat(packed, 0)
        for _ in range(count):
            more = load(bits, row)
            seen = either(seen, more)
            value = either(double(value), more)
            row -= k
        store(packed, here, value)
    spread, found = np.empty(BYTES, np.int8), 0
    store(spread, 0, seen)
    for i in range(BYTES):
        found |= spread[i]
    for i in range(0 if last < 0 else k, k):
        value = 0
        for row in range(count):
            more = bits[start + row * k + i]
            value |= (more & 1) << row
            found |= more
        packed[i] = value
    return found


@njit(nogil=True)
@no_type_check
def _is_binary(bits, start, k):
    for i in range(start, start + k):
        if bits[i] & ~1:
            return False
    return True


@njit(nogil=True)
@no_type_check
def _copy(packed, start, word, to, z):
    """A column, twice."""
    for lane in range(0, z, BYTES):
        store(word, to + lane, load(packed, start + lane))
    for lane in range(0, z, BYTES):
        store(word, to + z + lane, load(packed, start + lane))


@njit(nogil=True)
@no_type_check
def _sum(word, to, z, source, first, last):
    """A column as the sum of others."""
    for lane in range(0, z, BYTES):
        total = splat(word, 0)
        for edge in range(first, last):
            total = xor(total, load(word, at(source, edge) + lane))
        store(word, to + lane, total)
    for lane in range(0, z, BYTES):
        store(word, to + z + lane, load(word, to + lane))


@njit(nogil=True)
@no_type_check
def _unpack(sent, out, start, count, n):
    """Row j from bit j of every byte."""
    last = n - BYTES
    for i in range(0, n if last >= 0 else 0, BYTES):
        here = min(i, last)
        value, row = load(sent, here), start + here
        for _ in range(count):
            store(out, row, lowest(value))
            value = halve(value)
            row += n
    for i in range(0 if last < 0 else n, n):
        for row in range(count):
            out[start + row * n + i] = (sent[i] >> row) & 1
