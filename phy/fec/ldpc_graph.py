"""Tanner graphs of quasi-cyclic LDPC codes: those of 5G NR (TS 38.212); any other matrix is the case Z = 1."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_matrix

K_MIN = 12
K_MAX = 8448  # bits of a code block on base graph 1, CRC included (TS 38.212 clause 5.2.2)
K_MAX_BG2 = 3840  # on base graph 2
K_CRC16 = 3824  # bits of a transport block at most whose CRC has 16 bits (TS 38.212 clause 7.2.1)
RATE_MAX = 948 / 1024


@dataclass(frozen=True, eq=False)
class Graph:
    """A quasi-cyclic parity-check matrix: every entry of a base matrix is a Z×Z identity, cyclically shifted.

    Attributes:
        z: lifting size Z.
        columns: columns of the base matrix; the code has columns·Z bits.
        starts: (rows + 1,) where the edges of each base row begin.
        column: (edges,) base column of each edge.
        shift: (edges,) its shift: check r·Z + i is on bit column·Z + (i + shift) mod Z.
    """

    z: int
    columns: int
    starts: Int[np.ndarray, " rows1"]
    column: Int[np.ndarray, " edges"]
    shift: Int[np.ndarray, " edges"]

    @classmethod
    def from_base(cls, base: Int[np.ndarray, "rows columns"], z: int) -> Graph:
        """The graph of a base matrix of shifts, -1 for an all-zero block, lifted by Z."""
        row, column = np.nonzero(base >= 0)
        starts = np.searchsorted(row, np.arange(base.shape[0] + 1))
        return cls(z, base.shape[1], starts, column, base[row, column] % z)

    @classmethod
    def from_matrix(cls, matrix: csr_matrix) -> Graph:
        """The graph of any parity-check matrix."""
        matrix = csr_matrix(matrix)
        return cls(
            1, matrix.shape[1], matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64),
            np.zeros(matrix.nnz, dtype=np.int64),
        )  # fmt: skip

    @property
    def rows(self) -> int:
        """Rows of the base matrix."""
        return len(self.starts) - 1

    def matrix(self) -> csr_matrix:
        """The parity-check matrix, (rows·Z, columns·Z), of 0 and 1."""
        i = np.arange(self.z)
        row = np.repeat(np.arange(self.rows), np.diff(self.starts))
        checks = row[:, None] * self.z + i
        bits = self.column[:, None] * self.z + (i + self.shift[:, None]) % self.z
        ones = np.ones(checks.size, dtype=np.int32)
        return csr_matrix((ones, (checks.ravel(), bits.ravel())), shape=(self.rows * self.z, self.columns * self.z))


@dataclass(frozen=True, eq=False)
class NRGraph:
    """The LDPC code of 5G NR for one code block.

    Attributes:
        base_graph: 1 or 2 (TS 38.212 clause 7.2.2).
        full: all rows of the base graph.
        pruned: the rows and columns that bear on what is sent: a parity bit of one check that is not sent, and its
            check, tell nothing. The rows come last first: a layered decoder gets to the bits that are never sent
            sooner from rows that have only one of them.
        info_columns: information columns of the base graph, 22 or 10; bits k … info_columns·Z - 1 are fillers, 0.
        where: (n,) the bit of the code word that each coded bit carries, after rate matching and interleaving.
    """

    base_graph: int
    full: Graph
    pruned: Graph
    info_columns: int
    where: Int[np.ndarray, " n"]


def check_size(k: int, n: int, bits_per_symbol: int | None) -> None:
    """Raise ValueError unless NR has a code block of k bits, CRC included, rate-matched to n."""
    if not K_MIN <= k <= K_MAX:
        raise ValueError(f"k={k} is out of range: {K_MIN} ≤ k ≤ {K_MAX} (TS 38.212 clause 5.2.2)")
    shortest = int(np.ceil(k / RATE_MAX))
    if n < shortest:
        raise ValueError(f"n={n} is out of range for k={k}: n ≥ {shortest} (rate up to 948/1024)")
    if k > K_MAX_BG2 and 4 * k <= n:
        raise ValueError(
            f"n={n} is out of range for k={k}: n < {4 * k}, as up to rate 1/4 a block has at most {K_MAX_BG2} bits "
            "(base graph 2; TS 38.212 clauses 5.2.2 and 7.2.2)"
        )
    if bits_per_symbol is not None and (bits_per_symbol < 1 or n % bits_per_symbol):
        raise ValueError(f"n={n} must be a multiple of bits_per_symbol={bits_per_symbol}")


def payload_of(k: int) -> int:
    """Bits before the CRC of a transport block that is one code block of k bits with it.

    TS 38.212 clause 7.2.1: up to 3824 bits have a CRC of 16, more one of 24.
    """
    return k - 16 if k <= K_CRC16 + 16 else k - 24


def base_graph_of(k: int, n: int, payload: int | None = None) -> int:
    """The base graph that TS 38.212 clause 7.2.2 picks at rate k/n for a transport block of `payload` bits.

    It counts them before the CRC is attached; None stands for `payload_of(k)`, a single code block. A block of more
    bits than base graph 2 has is of base graph 1, whatever its CRC.
    """
    size = payload_of(k) if payload is None else payload
    small = size <= 292 or (size <= K_CRC16 and k / n <= 0.67 and k <= K_MAX_BG2)
    return 2 if small or k / n <= 0.25 else 1


@lru_cache(maxsize=256)
def nr_graph(
    k: int,
    n: int,
    bits_per_symbol: int | None,
    base_graph: int | None = None,
    versions: tuple[int, ...] = (0,),
    soft: int | None = None,
) -> NRGraph:
    """The code of k bits rate-matched to n, with the base graphs and lifting of Sionna.

    Source: TS 38.212 clauses 5.3.2 (graph), 5.4.2.1 (circular buffer) and 5.4.2.2 (interleaver). Base graph 1 or 2;
    None for that of a single code block. With several redundancy versions the n bits of each follow one another.
    `soft` limits the buffer (N_ref); None leaves it whole.
    """
    base_graph = base_graph or base_graph_of(k, n)
    base, z = _base_matrix(k, base_graph)
    info_columns = 22 if base_graph == 1 else 10
    # Bits of the code word in the order of the circular buffer: the first 2Z bits are never sent, nor are fillers.
    buffer = np.arange(2 * z, base.shape[1] * z)[:soft]
    coded = np.arange(n)
    if bits_per_symbol is not None:
        coded = coded.reshape(bits_per_symbol, -1).T.ravel()
    where = []
    for version in versions:
        order = np.roll(buffer, -redundancy_start(version, base_graph, len(buffer), z))
        order = order[(order < k) | (order >= info_columns * z)]
        where.append(order[coded % len(order)])
    sent = np.concatenate(where)
    columns = max(info_columns + 4, -(-(int(sent.max()) + 1) // z))
    pruned = base[: columns - info_columns, :columns]
    return NRGraph(base_graph, Graph.from_base(base, z), Graph.from_base(pruned[::-1], z), info_columns, sent)


def redundancy_start(version: int, base_graph: int, buffer: int, z: int) -> int:
    """Where a redundancy version begins in a circular buffer of so many bits: k_0 of TS 38.212 table 5.4.2.1-2."""
    part, whole = (_STARTS_BG1, 66) if base_graph == 1 else (_STARTS_BG2, 50)
    return part[version] * buffer // (whole * z) * z


_STARTS_BG1, _STARTS_BG2 = (0, 17, 33, 56), (0, 13, 25, 43)


def filler_bits(k: int, base_graph: int) -> int:
    """Information bits of the base graph beyond k, known zeros that are not sent (TS 38.212 clause 5.2.2)."""
    return (22 if base_graph == 1 else 10) * _base_matrix(k, base_graph)[1] - k


def _base_matrix(k: int, base_graph: int) -> tuple[Int[np.ndarray, "rows columns"], int]:
    """Base matrix of shifts and lifting size Z for k bits: the least Z that holds them (TS 38.212 clause 5.2.2)."""
    columns = 22 if base_graph == 1 else next(columns for least, columns in _INFO_COLUMNS if k > least)
    z, set_index = next((z, set_index) for z, set_index in _LIFTING if columns * z >= k)
    return _shifts(set_index, base_graph), z


# Of base graph 2: columns K_b that the bits are spread over, by the most bits that have fewer.
_INFO_COLUMNS = ((640, 10), (560, 9), (192, 8), (0, 6))

# Lifting sizes Z = a·2^j and the index of their set, that of a (TS 38.212 table 5.3.2-1).
_LIFTING = sorted(
    (a << j, set_index) for set_index, a in enumerate((2, 3, 5, 7, 9, 11, 13, 15)) for j in range(8) if a << j <= 384
)


@lru_cache(maxsize=16)
def _shifts(set_index: int, base_graph: int) -> Int[np.ndarray, "rows columns"]:
    """The shifts of TS 38.212 tables 5.3.2-2 and 5.3.2-3, -1 for an all-zero block.

    They are read from Sionna's files without importing Sionna's physical layer, which takes seconds.
    """
    sionna = find_spec("sionna")
    assert sionna is not None
    assert sionna.origin is not None
    with (Path(sionna.origin).parent / f"phy/fec/ldpc/codes/5G_bg{base_graph}.csv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))[2:]
    table = np.full((46, 68) if base_graph == 1 else (42, 52), -1, dtype=np.int64)
    row = 0
    for line in rows:
        row = int(line[0] or row)
        table[row, int(line[1])] = int(line[2 + set_index])
    return table
