"""Encoding of the LDPC codes of 5G NR on the CPU, in Numba: eight frames at a time, one bit of each to a byte."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8

from semlink.phy.fec.encoder_kernel import SIDE_BY_SIDE, encode
from semlink.phy.fec.ldpc_graph import Graph, NRGraph
from semlink.phy.fec.simd import BYTES
from semlink.phy.parallel import run_in_threads


class NREncoder:
    """The encoder of one code.

    The four parity columns of the core have weight three and a dual diagonal (TS 38.212 tables 5.3.2-2 and -3): the sum
    of the four core rows leaves the first of them alone, and from it each row gives the next; the last gives none that
    is not known by then. Every further row gives its own parity column (T. J. Richardson and S. Kudekar, "Design of
    low-density parity check codes for 5G New Radio", IEEE Commun. Mag. 56 (2018) 28–34). So each parity column is, in
    this order, a sum of columns before it, cyclically shifted. A column is kept twice, end to end: a shift of it is one
    run.
    """

    def __init__(self, code: NRGraph) -> None:
        graph, z = code.full, code.full.z
        self._sizes = z, _stride(z), code.info_columns
        sums = [_first_sum(graph, code.info_columns)]
        # As many rows as what is sent needs.
        for row in (row for row in range(code.pruned.rows) if row != 3):
            edges = slice(graph.starts[row], graph.starts[row + 1])
            known = graph.column[edges] < code.info_columns + len(sums)
            sums.append((graph.column[edges][known], graph.shift[edges][known]))
        self._starts = np.cumsum([0, *(len(columns) for columns, _ in sums)])
        self._source = np.concatenate([columns * _stride(z) + shifts for columns, shifts in sums])
        self._where = (code.where // z * _stride(z) + code.where % z).astype(np.int32)

    def __call__(self, bits: UInt8[np.ndarray, "b k"]) -> UInt8[np.ndarray, "b n"]:
        """Rows of k bits to n coded bits.

        Raises:
            ValueError: `bits` holds other values than 0 and 1.
        """
        frames = bits.shape[0]
        out = np.empty((frames, len(self._where)), dtype=np.uint8)
        binary = np.ones(frames, dtype=np.bool_)

        def kernel(first: int, last: int) -> None:
            part = slice(first * SIDE_BY_SIDE, last * SIDE_BY_SIDE)
            flat = bits[part].reshape(-1).view(np.int8), out[part].reshape(-1).view(np.int8)
            encode(
                *flat, binary[part], bits.shape[1], out.shape[1], self._where, *self._sizes, self._starts,
                self._source, *self._work(),
            )  # fmt: skip

        run_in_threads(kernel, -(-frames // SIDE_BY_SIDE), least=2)
        if not binary.all():
            raise ValueError("bits holds other values than 0 and 1")
        return out

    def _work(self) -> tuple[np.ndarray, ...]:
        """Memory of one thread, in the order in which the kernel takes it."""
        z, stride, info_columns = self._sizes
        sizes = info_columns * z, len(self._where), (info_columns + len(self._starts)) * stride
        return tuple(np.zeros(size + BYTES, np.int8) for size in sizes)


def _stride(z: int) -> int:
    """From one column to the next: twice its bits, and what the last vector reaches beyond."""
    return -(-(2 * z + BYTES) // BYTES) * BYTES


def _first_sum(graph: Graph, info_columns: int) -> tuple[Int[np.ndarray, " edges"], Int[np.ndarray, " edges"]]:
    """Columns and shifts whose sum is the first parity column: those of the core rows.

    Of the three blocks of that column two cancel; the sum is rotated back by the shift of the one that is left.
    """
    core = slice(0, graph.starts[4])
    column, shift = graph.column[core], graph.shift[core]
    shifts = list(shift[column == info_columns])
    (left,) = [int(shift) for shift in shifts if shifts.count(shift) % 2]
    info = column < info_columns
    return column[info], (shift[info] - left) % graph.z
