"""Encoding of the LDPC codes of 5G NR on the CPU, in Numba."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Int, UInt8
from numba import njit

from semlink.phy.fec.ldpc_graph import Graph, NRGraph
from semlink.phy.parallel import run_in_threads


class NREncoder:
    """The encoder of one code.

    The four parity columns of the core have weight three and a dual diagonal (TS 38.212 tables 5.3.2-2 and -3): the sum
    of the four core rows leaves the first of them alone, and from it each row gives the next. Every further row gives
    its own parity column (T. J. Richardson and S. Kudekar, "Design of low-density parity check codes for 5G New Radio",
    IEEE Commun. Mag. 56 (2018) 28–34).
    """

    def __init__(self, code: NRGraph) -> None:
        self._code = code
        rows = code.pruned.rows  # as many as what is sent needs
        full = code.full
        # Column that each row gives; the last core row gives none that is not known by then.
        self._gives = np.array([code.info_columns + row + (row < 3) for row in range(rows)])
        self._gives[3] = -1
        self._starts = full.starts[: rows + 1].astype(np.int64)
        self._column, self._shift = full.column.astype(np.int64), full.shift.astype(np.int64)
        self._first_shift = _shift_of_sum(full, code.info_columns)

    def __call__(self, bits: UInt8[np.ndarray, "b k"]) -> UInt8[np.ndarray, "b n"]:
        """Rows of k bits, 0 or 1, to n coded bits."""
        code = self._code
        out = np.empty((bits.shape[0], len(code.where)), dtype=np.uint8)

        def kernel(first: int, last: int) -> None:
            _encode(
                bits[first:last], out[first:last], code.where, code.full.z, code.full.columns, code.info_columns,
                self._starts, self._column, self._shift, self._gives, self._first_shift,
            )  # fmt: skip

        run_in_threads(kernel, bits.shape[0], least=16)
        return out


def _shift_of_sum(graph: Graph, column: int) -> int:
    """The shift of the first parity column in the sum of the core rows: two of its three blocks cancel."""
    core = slice(0, graph.starts[4])
    shifts = list(graph.shift[core][graph.column[core] == column])
    (left,) = [int(shift) for shift in shifts if shifts.count(shift) % 2]
    return left


@njit(nogil=True, cache=True)
@no_type_check  # shape checks of the tests cannot be compiled
def _encode(
    bits: UInt8[np.ndarray, "b k"],
    out: UInt8[np.ndarray, "b n"],
    where: Int[np.ndarray, " n"],
    z: int,
    columns: int,
    info_columns: int,
    starts: Int[np.ndarray, " rows1"],
    column: Int[np.ndarray, " edges"],
    shift: Int[np.ndarray, " edges"],
    gives: Int[np.ndarray, " rows"],
    first_shift: int,
) -> None:
    word, total = np.empty(columns * z, np.uint8), np.empty(z, np.uint8)
    for frame in range(bits.shape[0]):
        word[:] = 0
        word[: bits.shape[1]] = bits[frame]
        total[:] = 0
        for edge in range(starts[4]):  # the parity columns are still 0
            _add(word, column[edge], shift[edge], z, total)
        first = word[info_columns * z : (info_columns + 1) * z]
        first[first_shift:] = total[: z - first_shift]
        first[:first_shift] = total[z - first_shift :]
        for row in range(len(gives)):
            if gives[row] >= 0:
                total[:] = 0
                for edge in range(starts[row], starts[row + 1]):  # its own column is still 0
                    _add(word, column[edge], shift[edge], z, total)
                word[gives[row] * z : (gives[row] + 1) * z] = total
        for i in range(len(where)):
            out[frame, i] = word[where[i]]


@njit(nogil=True)
@no_type_check
def _add(word: UInt8[np.ndarray, " bits"], column: int, shift: int, z: int, total: UInt8[np.ndarray, " z"]) -> None:
    """Add a column, shifted, to a row's total."""
    block = word[column * z : (column + 1) * z]
    for i in range(z - shift):
        total[i] ^= block[i + shift]
    for i in range(shift):
        total[z - shift + i] ^= block[i]
