"""What becomes of a frame does not depend on how many are decoded side by side, nor on how its bits came there."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.phy.fec import LayeredDecoder
from semlink.phy.fec.ldpc_graph import NRGraph, nr_graph


def decoder_of(code: NRGraph, k: int, where: np.ndarray, dtype: str) -> LayeredDecoder:
    filler = (k, code.info_columns * code.full.z)
    return LayeredDecoder(code.pruned, where=where, known=filler, info=k, dtype=dtype)


@pytest.mark.parametrize(("k", "n", "iterations"), [(24, 60, 6), (200, 400, 6), (1040, 1900, 4), (6000, 9000, 2)])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_one_by_one_and_many_side_by_side(k: int, n: int, iterations: int, dtype: str) -> None:
    code, rng = nr_graph(k, n, None), np.random.default_rng(k)
    # The bits in order go by vectors where a frame is by itself; shuffled ones, too many pieces, go one by one.
    shuffled = rng.permutation(n)
    frames = 40 if k < 2000 else 3
    llr = (3.6 + np.sqrt(7.2) * rng.standard_normal((frames, n))).astype(np.float32)
    together = decoder_of(code, k, code.where, dtype)(llr, iterations, soft=True)
    assert together.converged.any() or k > 2000
    moved = decoder_of(code, k, code.where[shuffled], dtype)(llr[:, shuffled], iterations, soft=True)
    assert np.array_equal(moved.values, together.values)
    assert np.array_equal(moved.iterations, together.iterations)
    for i in (0, 2):
        alone = decoder_of(code, k, code.where, dtype)(llr[i : i + 1], iterations, soft=True)
        assert np.array_equal(alone.values[0], together.values[i])
        assert (alone.iterations[0], alone.converged[0]) == (together.iterations[i], together.converged[i])


@pytest.mark.parametrize("frames", [1, 3])
def test_repeated_bits_are_sums_however_large_the_code(frames: int) -> None:
    k = 6000  # Z is 288: each frame by itself
    code, rng = nr_graph(k, 9000, None), np.random.default_rng(1)
    llr = (3.6 + np.sqrt(7.2) * rng.standard_normal((frames, 9000))).astype(np.float32)
    halves = np.round(llr / 2)  # so that sums are exact
    twice = decoder_of(code, k, np.tile(code.where, 2), "int8")(np.tile(halves, 2), 3, soft=True)
    once = decoder_of(code, k, code.where, "int8")(2 * halves, 3, soft=True)
    assert np.array_equal(twice.values, once.values)
    assert np.array_equal(twice.converged, once.converged)
