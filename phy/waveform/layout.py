"""Where the symbols of a single carrier's burst lie, and which of them are known. NumPy alone."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import Samples
from semlink.phy.waveform.header import HEADER_SYMBOLS, BurstHeader, encode_header
from semlink.phy.waveform.sequences import pn_qpsk

HALF = 48
"""Symbols in each half of the preamble."""
PREAMBLE = 2 * HALF
SPACING = 64
"""Symbols of header and payload between blocks of pilots."""
PILOTS = 4
"""Symbols in a block; their signs alternate, which is best for timing."""
HEADER_BLOCKS = HEADER_SYMBOLS // SPACING
"""Blocks of pilots that lie within the header."""

# Of the states to 599, the preamble's has the least correlation away from its peaks, 0.056 of the energy.
_PREAMBLE_STATE, _HEADER_STATE, _PILOT_STATE = 29, 2, 3
_BLOCKS = 1 << 11
"""Of pilots, until their phases repeat."""


class Layout(NamedTuple):
    """Where the symbols of a burst lie, from the first of the preamble on: header (336,), payload (n,), pilots (p,)."""

    header: NDArray[np.intp]
    payload: NDArray[np.intp]
    pilots: NDArray[np.intp]
    length: int


@lru_cache(maxsize=32)
def lay_out(symbols: int) -> Layout:
    """Where the symbols of a burst with so many in its payload lie."""
    body = np.arange(HEADER_SYMBOLS + symbols)
    body = PREAMBLE + body + PILOTS * (body // SPACING)
    length = PREAMBLE + HEADER_SYMBOLS + symbols + PILOTS * -(-(HEADER_SYMBOLS + symbols) // SPACING)
    pilots = np.setdiff1d(np.arange(PREAMBLE, length), body)
    return Layout(body[:HEADER_SYMBOLS], body[HEADER_SYMBOLS:], pilots, length)


def known_symbols(layout: Layout, header: BurstHeader | None = None) -> NDArray[np.complex64]:
    """A burst with nothing but preamble, pilots and, where it is given, the header, (length,).

    Behind the header, the phases of pilots depend on it: another transmitter's burst that lies exactly over this one
    would otherwise have the same pilots, and pass for an echo instead of noise. Without a header those are 0.
    """
    sent = np.zeros(layout.length, dtype=np.complex64)
    sent[:PREAMBLE] = np.tile(preamble(), 2)
    block = np.arange(len(layout.pilots) // PILOTS)
    inside = block < HEADER_BLOCKS
    shift = 0 if header is None else header.mark
    phases = pn_qpsk(_BLOCKS, _PILOT_STATE)[np.where(inside, block, block + shift) % _BLOCKS]
    if header is None:
        phases = np.where(inside, phases, 0)
    else:
        sent[layout.header] = encode_header(header) * scrambling()
    sent[layout.pilots] = (phases[:, None] * (-1.0) ** np.arange(PILOTS)).ravel()
    return sent


def preamble() -> NDArray[np.complex64]:
    """One half of it, (48,)."""
    return pn_qpsk(HALF, _PREAMBLE_STATE)


def scrambling() -> NDArray[np.complex64]:
    """What the header's symbols are multiplied by, (336,)."""
    return pn_qpsk(HEADER_SYMBOLS, _HEADER_STATE)


class Nodes:
    """Runs of known symbols whose gain is estimated as one: blocks of pilots, and pieces of preamble and header."""

    def __init__(self, known: NDArray[np.intp]) -> None:
        beginning = (np.diff(known, prepend=-2) > 1) | (np.arange(len(known)) % 32 == 0) & (
            known < PREAMBLE + HEADER_SYMBOLS
        )
        self.starts = np.flatnonzero(beginning)
        self.ends = np.append(self.starts[1:], len(known))
        self.weights = (self.ends - self.starts).astype(np.float64)
        self.centres = np.add.reduceat(known, self.starts) / self.weights

    def until(self, count: int) -> Nodes:
        """Those of the first `count` known symbols."""
        part = object.__new__(Nodes)
        number = int(np.searchsorted(self.starts, count))
        part.starts, part.ends = self.starts[:number], np.minimum(self.ends[:number], count)
        part.weights = (part.ends - part.starts).astype(np.float64)
        part.centres = self.centres[:number]
        return part

    def gains(self, y: Samples, x: Samples) -> Samples:
        """Least-squares gain of each, of observations y and symbols x of unit energy, both (known,)."""
        gains: Samples = np.add.reduceat(y * x.conj(), self.starts) / self.weights
        return gains
