"""The decoder's kernel against plain NumPy, frame by frame and check by check, at every lifting size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from jaxtyping import Float

from semlink.phy.fec import Graph, LayeredDecoder
from semlink.phy.fec.layered import Decoding, _pieces_of
from semlink.phy.fec.ldpc_graph import NRGraph, nr_graph

LIFTING = sorted({a * 2**j for a in (2, 3, 5, 7, 9, 11, 13, 15) for j in range(8) if a * 2**j <= 384})


@dataclass(frozen=True)
class Rules:
    """Steps of a unit, largest channel LLR, largest message, ramp, largest channel LLR of a bit of one check."""

    steps: int
    limit: int
    most: int
    height: float
    bound: int
    whole: bool


INT8 = Rules(4, 63, 31, 2, 28, whole=True)
FLOAT32 = Rules(1, 20, 20, 0.5, 19, whole=False)


def decoder_of(code: NRGraph, k: int, dtype: str) -> LayeredDecoder:
    filler = (k, code.info_columns * code.full.z)
    return LayeredDecoder(code.pruned, where=code.where, known=filler, info=k, dtype=dtype)


def plain_decode(llr: Float[np.ndarray, " n"], code: NRGraph, k: int, iterations: int, rules: Rules) -> tuple:
    """Information LLRs, iterations and whether all checks hold, of one frame, all Z checks of a row at a time."""
    graph, z = code.pruned, code.pruned.z
    word = np.zeros(graph.columns * z, np.float32)
    np.add.at(word, code.where, np.clip(llr, np.float32(-1e6), np.float32(1e6)))
    word[k : code.info_columns * z] = np.inf
    word = np.clip(word * np.float32(rules.steps), -rules.limit, rules.limit)
    posterior = (np.rint(word) if rules.whole else word).astype(np.float64).reshape(graph.columns, z)
    single = np.bincount(graph.column, minlength=graph.columns) == 1
    posterior[single] = np.clip(posterior[single], -rules.bound, rules.bound)
    messages = np.zeros((len(graph.column), z))
    iteration, holds = 0, False
    while iteration < iterations and not holds:
        iteration += 1
        for row in range(graph.rows):
            plain_row(posterior, messages, graph, slice(graph.starts[row], graph.starts[row + 1]), rules)
        undecided = (posterior.reshape(-1)[: -(-k // z) * z] == 0).any()
        holds = not undecided and all(parity_holds(posterior, graph, row) for row in range(graph.rows))
    return posterior.reshape(-1)[:k] / rules.steps, iteration, holds


def plain_row(posterior: np.ndarray, messages: np.ndarray, graph: Graph, edges: slice, rules: Rules) -> None:
    at = [(c, (np.arange(graph.z) + s) % graph.z) for c, s in zip(graph.column[edges], graph.shift[edges], strict=True)]

    def held(values: np.ndarray) -> np.ndarray:
        return np.clip(values, -128, 127) if rules.whole else values.astype(np.float32)

    def ramp(distance: np.ndarray) -> np.ndarray:
        return np.maximum(rules.height - (distance // 4 if rules.whole else distance / 4), 0)

    def boxplus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return held(np.maximum(np.minimum(a, b) - ramp(abs(a - b)), 0))

    values = np.stack([held(posterior[c, i] - old) for (c, i), old in zip(at, messages[edges], strict=True)])
    least = others = np.full(graph.z, float(rules.most))
    for size in abs(values):
        others, least = boxplus(others, np.maximum(least, size)), np.minimum(least, size)
    more = ramp(least + others)
    joint = boxplus(least + more, others + more)
    sign = np.prod(np.where(values < 0, -1, 1), axis=0)
    answers = np.where(abs(values) == least, others, joint) * sign * np.where(values < 0, -1, 1)
    messages[edges] = answers
    for (c, i), total in zip(at, held(values + answers), strict=True):
        posterior[c, i] = total


def parity_holds(posterior: np.ndarray, graph: Graph, row: int) -> bool:
    edges = slice(graph.starts[row], graph.starts[row + 1])
    pairs = zip(graph.column[edges], graph.shift[edges], strict=True)
    return not (np.sum([np.roll(posterior[c] < 0, -s) for c, s in pairs], axis=0) % 2).any()


def noisy_frames(n: int, frames: int, seed: int, snr: float = 1.9) -> Float[np.ndarray, "b n"]:
    """LLRs of the word of all zeros; some are ±inf, some 0."""
    llr = (snr * 2 + np.sqrt(snr * 4) * np.random.default_rng(seed).standard_normal((frames, n))).astype(np.float32)
    llr[0, ::17], llr[-1, 3::13] = np.inf, 0
    return llr


def test_every_lifting_size_decodes_as_plain_numpy_does() -> None:
    met = set()
    for i, z in enumerate(LIFTING):
        columns = 22 if i % 2 else next(c for c, k in ((6, 192), (8, 560), (9, 640), (10, 3840)) if c * z <= k)
        k = columns * z - z // 3
        n = int((1.3 + z % 3 / 5) * k)
        code, llr = nr_graph(k, n, None, 1 if columns == 22 else 2), noisy_frames(n, 2, z)
        found = decoder_of(code, k, "int8")(llr, 2, soft=True)
        for frame, row in enumerate(llr):
            values, used, holds = plain_decode(row, code, k, 2, INT8)
            assert (found.iterations[frame], found.converged[frame]) == (used, holds)
            assert np.array_equal(found.values[frame], values.astype(np.float32))
        met.add(code.full.z)
    assert met == set(LIFTING)


@pytest.mark.parametrize(("k", "n", "m"), [(200, 400, 2), (60, 130, None), (100, 5000, 4), (500, 600, 6), (24, 72, 8)])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_interleaved_repeated_and_few_bits(k: int, n: int, m: int | None, dtype: str) -> None:
    # More frames than fit side by side, done at different times.
    code, llr = nr_graph(k, n, m), noisy_frames(n, 40, n, 0.9 if n < 5000 else 0.05)
    rules = INT8 if dtype == "int8" else FLOAT32
    found = decoder_of(code, k, dtype)(llr, 6, soft=True)
    for i in (0, 1, 7, 31, 38, 39):
        values, used, holds = plain_decode(llr[i], code, k, 6, rules)
        assert (found.iterations[i], found.converged[i]) == (used, holds)
        assert np.allclose(found.values[i], values, rtol=0 if dtype == "int8" else 1e-4, atol=1e-6)


def test_a_bit_of_one_check_yields_however_wrong_it_is() -> None:
    """Its check's message is bounded; a channel LLR beyond it could never be overruled, and the check never held."""
    k, n = 500, 1000
    code, llr = nr_graph(k, n, None), np.full((2, n), 6, np.float32)
    llr[1, -1] = -16  # the last parity bit
    found = decoder_of(code, k, "int8")(llr, 10)
    assert found.converged.all()
    assert found.iterations.tolist() == [1, 2] or found.iterations.max() <= 3


def test_frames_that_fail_narrowly_are_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is left with one to four broken checks after 20 iterations, and nobody else."""
    code, llr = nr_graph(512, 1024, None), noisy_frames(1024, 400, 1, 1.32)
    decoder, again = decoder_of(code, 512, "int8"), []
    first, unmet = decoder._decode(llr, 20, soft=False)
    near = np.nonzero((unmet >= 1) & (unmet <= 4))[0]
    assert 0 < len(near) < (~first.converged).sum()
    finer = decoder_of(code, 512, "float32")

    def counted(rows: np.ndarray, iterations: int, *, soft: bool) -> Decoding:
        again.append(rows)
        return finer(rows, iterations, soft=soft)

    monkeypatch.setattr(decoder, "_in_float32", lambda: counted)
    second = decoder(llr, 20)
    assert np.array_equal(again[0], llr[near])
    settled = finer(llr[near], 20)
    assert np.array_equal(second.converged[near], settled.converged)
    assert np.array_equal(second.iterations[near], 20 + settled.iterations)
    others = np.setdiff1d(np.arange(400), near)
    assert np.array_equal(second.values[others], first.values[others])
    again.clear()
    decoder(llr, 19)
    assert not again


@pytest.mark.parametrize("place", [0, 31, 399, 400 * 17 + 200])
@pytest.mark.parametrize("repeated", [False, True])
def test_nan_is_found_wherever_it_is(place: int, repeated: bool) -> None:
    code = nr_graph(200, 1200 if repeated else 400, None)
    llr = np.ones((20, len(code.where)), np.float32)
    llr.reshape(-1)[place] = np.nan
    with pytest.raises(ValueError, match="llr holds NaN \\(1 of "):
        decoder_of(code, 200, "int8")(llr, 2)


def test_the_code_word_in_pieces() -> None:
    assert _pieces_of(np.array([4, 5, 6, 9, 10])).reshape(-1, 3).tolist() == [[4, 0, 3], [9, 3, 2]]
    assert _pieces_of(np.array([4, 6, 5])).reshape(-1, 3).tolist() == [[4, 0, 1], [6, 1, 1], [5, 2, 1]]
