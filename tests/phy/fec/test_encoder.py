"""The encoder's kernel against the parity-check matrix and against plain NumPy, at every lifting size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import UInt8

from semlink.phy.fec import LDPC5G
from semlink.phy.fec.ldpc_encoder import NREncoder
from semlink.phy.fec.ldpc_graph import NRGraph, nr_graph

LIFTING = sorted({a * 2**j for a in (2, 3, 5, 7, 9, 11, 13, 15) for j in range(8) if a * 2**j <= 384})


def plain_encode(bits: UInt8[np.ndarray, "b k"], code: NRGraph) -> UInt8[np.ndarray, "b n"]:
    """Row by row of the base graph, by rolling blocks: the core from the sum of its rows, then column by column."""
    graph, info, z = code.full, code.info_columns, code.full.z
    word = np.zeros((len(bits), graph.columns, z), np.uint8)
    word.reshape(len(bits), -1)[:, : bits.shape[1]] = bits

    def row_sum(row: int) -> np.ndarray:
        total = np.zeros((len(bits), z), np.uint8)
        for edge in range(graph.starts[row], graph.starts[row + 1]):
            total ^= np.roll(word[:, graph.column[edge]], -graph.shift[edge], axis=1)
        return total

    total = row_sum(0) ^ row_sum(1) ^ row_sum(2) ^ row_sum(3)
    core = slice(0, graph.starts[4])
    shifts = list(graph.shift[core][graph.column[core] == info])
    (left,) = [shift for shift in shifts if shifts.count(shift) % 2]
    word[:, info] = np.roll(total, left, axis=1)
    for row in (row for row in range(graph.rows) if row != 3):
        word[:, info + row + (row < 3)] = row_sum(row)
    return word.reshape(len(bits), -1)[:, code.where]


@pytest.mark.parametrize("columns", [22, 10, 8, 6])
def test_every_lifting_size_has_the_bits_of_plain_numpy(columns: int) -> None:
    rng, met = np.random.default_rng(columns), set()
    for z in LIFTING:
        k = columns * z
        base_graph = 1 if columns == 22 else 2
        if not 12 <= k <= (8448 if columns == 22 else 3840):
            continue
        # Fillers, short and odd lengths, and a group of eight that is not full.
        code = nr_graph(k - z // 3, 2 * k + z % 5, None, base_graph)
        bits = rng.integers(0, 2, (9, k - z // 3), dtype=np.uint8)
        assert np.array_equal(NREncoder(code)(bits), plain_encode(bits, code))
        met.add(code.full.z)
    assert len(met) > 20


def test_interleaved_and_repeated_bits() -> None:
    rng = np.random.default_rng(0)
    for k, n, m in ((12, 24, 2), (100, 5000, 4), (500, 600, 6)):
        code = nr_graph(k, n, m)
        bits = rng.integers(0, 2, (3, k), dtype=np.uint8)
        assert np.array_equal(NREncoder(code)(bits), plain_encode(bits, code))


@pytest.mark.parametrize("place", [0, 63, 199])
def test_what_is_no_bit_is_refused_wherever_it_is(place: int) -> None:
    for k, frame in ((20, 0), (200, 0), (200, 17)):
        bits = torch.zeros(20, k, dtype=torch.uint8)
        bits[frame, min(place, k - 1)] = 2
        with pytest.raises(ValueError, match="bits holds other values than 0 and 1"):
            LDPC5G(k, 3 * k).encode(bits)
