"""The compiled half of `semlink.phy.fec.ldpc_encoder`, which says what the arrays are."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import no_type_check

from numba import njit

from semlink.phy.fec import simd
from semlink.phy.fec.simd import (
    BYTES,
    INNER,
    at,
    double,
    either,
    halve,
    load,
    lowest,
    put,
    rolled,
    splat,
    store,
    xor,
)

SIDE_BY_SIDE = 8
"""Frames that are encoded at once, one bit of each in every byte."""


@no_type_check
def _keep(vectors):
    """The encoder, kept on disk, as the decoder is in `semlink.phy.fec.layered_kernel`."""

    @njit(nogil=True, cache=True, no_cfunc_wrapper=True, _nrt=False)
    def encode(bits, out, binary, k, n, where, z, stride, info_columns, starts, source, packed, sent, word):
        """Encode rows of `bits`, k of int8 each, into those of `out`, n each; `binary` says which were 0 and 1 alone.

        Args:
            where: (n,) the place in `word` of each coded bit.
            stride: from one column to the next in `word`.
            starts: (sums + 1,) where the terms of each parity column begin.
            source: (terms,) where a term, shifted, is in `word`.
            packed, sent, word: memory for the information, what is sent and all columns, eight frames to a byte.
        """
        assert vectors
        frames = len(binary)
        for first in range(0, frames, SIDE_BY_SIDE):
            count = frames - first if frames - first < SIDE_BY_SIDE else SIDE_BY_SIDE
            found = _pack(bits, first * k, count, k, packed, info_columns * z)
            if found & ~1:
                for frame in range(first, first + count):
                    rolled()
                    put(binary, frame, _is_binary(bits, frame * k, k))
            for column in range(info_columns):
                rolled()
                _copy(packed, column * z, word, column * stride, z)
            for step in range(len(starts) - 1):
                rolled()
                _sum(word, (info_columns + step) * stride, z, source, at(starts, step), at(starts, step + 1))
            for i in range(n):
                put(sent, i, at(word, at(where, i)))
            _unpack(sent, out, first * n, count, n)

    return encode


@njit(**INNER)
@no_type_check
def _pack(bits, start, count, k, packed, info):
    """Bit j of a byte from row j of `count` rows of k; the bitwise or of all of them. Behind `info` is room."""
    seen, last = splat(packed, 0), k - BYTES
    for i in range(0, k if last >= 0 else 0, BYTES):
        here = i if i < last else last  # the last vector overlaps the one before
        row = start + (count - 1) * k + here
        value = splat(packed, 0)
        for _ in range(count):
            more = load(bits, row)
            seen = either(seen, more)
            value = either(double(value), more)
            row -= k
        store(packed, here, value)
    store(packed, info, seen)
    found = 0
    for i in range(info, info + BYTES):
        rolled()
        found |= at(packed, i)
    for i in range(0 if last < 0 else k, k):
        value = 0
        for row in range(count):
            rolled()
            more = at(bits, start + row * k + i)
            value |= (more & 1) << row
            found |= more
        put(packed, i, value)
    return found


@njit(**INNER)
@no_type_check
def _is_binary(bits, start, k):
    for i in range(start, start + k):
        rolled()
        if at(bits, i) & ~1:
            return False
    return True


@njit(**INNER)
@no_type_check
def _copy(packed, start, word, to, z):
    """A column, twice."""
    for lane in range(0, z, BYTES):
        rolled()
        store(word, to + lane, load(packed, start + lane))
    for lane in range(0, z, BYTES):
        rolled()
        store(word, to + z + lane, load(packed, start + lane))


@njit(**INNER)
@no_type_check
def _sum(word, to, z, source, first, last):
    """A column as the sum of others."""
    for lane in range(0, z, BYTES):
        total = splat(word, 0)
        for edge in range(first, last):
            total = xor(total, load(word, at(source, edge) + lane))
        store(word, to + lane, total)
    for lane in range(0, z, BYTES):
        rolled()
        store(word, to + z + lane, load(word, to + lane))


@njit(**INNER)
@no_type_check
def _unpack(sent, out, start, count, n):
    """Row j from bit j of every byte."""
    last = n - BYTES
    for i in range(0, n if last >= 0 else 0, BYTES):
        here = i if i < last else last
        value, row = load(sent, here), start + here
        for _ in range(count):
            store(out, row, lowest(value))
            value = halve(value)
            row += n
    for i in range(0 if last < 0 else n, n):
        for row in range(count):
            rolled()
            put(out, start + row * n + i, (at(sent, i) >> row) & 1)


encode = _keep(zlib.crc32(Path(simd.__file__).read_bytes()) + 1)
