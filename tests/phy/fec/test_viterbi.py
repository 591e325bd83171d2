"""The decoder of the convolutional code: the likeliest word, and CommPy's decisions."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy.fec import Convolutional
from semlink.phy.fec.convolutional import _lower

SIZES = [
    *[(1, n) for n in (9, 10, 12, 13, 14, 15, 50)],
    *[(2, 10), (7, 16), (25, 38), (100, 128), (100, 133), (100, 150), (100, 200), (100, 212), (100, 213), (100, 1000)],
    *[(1000, 1208), (1001, 2014), (20_000, 24_008), (20_000, 40_012)],
]


@pytest.mark.parametrize(("k", "n"), SIZES)
def test_round_trip(k: int, n: int, random_bits: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(k, n), random_bits(5, k)
    coded = code.encode(bits)
    assert coded.shape == (5, n)
    assert torch.equal(code.decode(4 * (1 - 2 * coded)), bits)
    assert torch.equal(code.encode(bits.long()), coded.long())


@pytest.mark.parametrize("generators", [(0o171, 0o133), (0o101, 0o177)])
def test_round_trip_with_other_generators(generators: tuple[int, int], random_bits: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(50, 112, generators=generators), random_bits(5, 50)
    assert torch.equal(code.decode(1 - 2 * code.encode(bits)), bits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_decoded_bits_have_the_dtype_of_the_llrs(dtype: torch.dtype, random_bits: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(50, 112), random_bits(2, 50)
    decoded = code.decode(4 * (1 - 2 * code.encode(bits)).to(dtype))
    assert decoded.dtype == dtype
    assert torch.equal(decoded.float(), bits)


@pytest.mark.parametrize("n", [17, 18, 19, 21, 23, 28, 31, 40, 56, 61])
@pytest.mark.parametrize("esno_db", [-4.0, 2.0])
def test_decision_is_the_likeliest_of_all_words(n: int, esno_db: float, noisy: Callable[..., Tensor]) -> None:
    code = Convolutional(8, n)
    words = torch.tensor([[word >> i & 1 for i in range(8)] for word in range(256)]).double()
    coded = code.encode(words)
    llr = noisy(coded.repeat(4, 1), esno_db, seed=n).double()
    best = words[(llr @ (1 - 2 * coded).T).argmax(dim=1)]
    assert torch.equal(code.decode(llr), best)
    assert not torch.equal(best, words.repeat(4, 1)) or esno_db > 0  # there was something to get wrong


@pytest.mark.filterwarnings("ignore")  # of commpy's import
@pytest.mark.parametrize(("n", "esno_db"), [(72, -1.0), (72, 1.0), (48, 2.0), (44, 3.0), (36, 5.0), (100, -3.0)])
def test_decisions_are_those_of_commpy(
    n: int, esno_db: float, random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]
) -> None:
    ours, theirs = Convolutional(24, n), Convolutional(24, n, backend="commpy")
    bits = random_bits(8, 24, seed=n)
    llr = noisy(ours.encode(bits), esno_db)
    assert torch.equal(ours.decode(llr), theirs.decode(llr))


@pytest.mark.filterwarnings("ignore")  # of commpy's import
def test_commpy_knows_that_the_trellis_ends_in_state_0() -> None:
    ours, theirs = Convolutional(10, 32), Convolutional(10, 32, backend="commpy")
    llr = torch.randn(20, 32, generator=torch.Generator().manual_seed(0))  # no code word at all
    llr[0, :2] = math.inf
    llr[1, 5] = -math.inf
    assert torch.equal(ours.decode(llr), theirs.decode(llr))


def test_llr_means_log_p0_over_p1(random_bits: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(100, 212), random_bits(2, 100)
    assert not torch.equal(code.decode(4 * (2 * code.encode(bits) - 1)), bits)


def test_decoding_repairs_erasures_and_inverted_bits(random_bits: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(500, 1012), random_bits(1, 500)
    llr = 3 * (1 - 2 * code.encode(bits))
    llr[:, ::7] = 0.0
    llr[:, 1::20] *= -1
    assert torch.equal(code.decode(llr), bits)


@pytest.mark.parametrize("n", [68, 112, 300])
def test_certain_bits_outweigh_all_others(n: int) -> None:
    code = Convolutional(50, n)
    llr = torch.full((n, n), 1000.0)  # says: all zeros
    llr.fill_diagonal_(-math.inf)  # but for one bit
    assert code.encode(code.decode(llr)).diagonal().all()


def test_every_bit_may_be_certain(random_bits: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(50, 112), random_bits(3, 50)
    signs = 1 - 2 * code.encode(bits)
    for size in (math.inf, 1e38, 1e300):
        assert torch.equal(code.decode(size * signs.double()), bits.double())


def test_certain_bits_that_contradict_each_other_are_outvoted(random_bits: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(500, 1012), random_bits(1, 500)
    llr = math.inf * (1 - 2 * code.encode(bits))
    llr[:, ::100] *= -1
    assert torch.equal(code.decode(llr), bits)
    repeated = Convolutional(8, 56)
    llr = math.inf * (1 - 2 * repeated.encode(bits[:, :8]))
    llr[:, 0] *= -1  # the same bit, certainly 0 and certainly 1
    assert torch.equal(repeated.decode(llr), bits[:, :8])


def test_what_the_start_costs_does_not_drown_the_rest(
    random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]
) -> None:
    """A start that fits no code word costs 10⁹: unless that is subtracted, rounding loses what comes after."""
    code, bits = Convolutional(5000, 10012), random_bits(3, 5000)
    llr = noisy(code.encode(bits), 3.0)
    assert torch.equal(code.decode(llr), bits)
    llr[:, :200] = 1e8 * torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(code.decode(llr)[:, 500:], bits[:, 500:])


def test_the_smallest_cost_is_taken_away() -> None:
    costs = np.arange(64, dtype=np.float32)[::-1] + 5
    _lower(costs)
    assert costs.tolist() == list(range(63, -1, -1))


def test_results_do_not_depend_on_the_batch_or_the_threads(
    random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]
) -> None:
    code, threads = Convolutional(200, 309), torch.get_num_threads()
    llr = noisy(code.encode(random_bits(600, 200)), 2.0)
    try:
        torch.set_num_threads(1)
        once = code.decode(llr)
        torch.set_num_threads(3)
        assert torch.equal(code.decode(llr), once)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.cat([code.decode(row[None]) for row in llr[:20]]), once[:20])
    assert torch.equal(code.decode(llr.flip(0)).flip(0), once)
    assert torch.equal(code.decode(llr.T.contiguous().T), once)  # memory in another order


def test_several_threads_decode_at_once(random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]) -> None:
    codes = [Convolutional(k, 2 * (k + 6)) for k in (100, 150, 200, 250)]
    llrs = [noisy(code.encode(random_bits(300, code.k)), -0.5, seed=code.k) for code in codes]
    expected = [code.decode(llr) for code, llr in zip(codes, llrs, strict=True)]
    with ThreadPoolExecutor(8) as callers:
        calls = [callers.submit(code.decode, llr) for _ in range(10) for code, llr in zip(codes, llrs, strict=True)]
        for i, call in enumerate(calls):
            assert torch.equal(call.result(timeout=60), expected[i % 4])


@pytest.mark.filterwarnings("ignore")  # of commpy's import
@pytest.mark.parametrize("backend", ["numba", "commpy"])
def test_empty_batch(backend: str) -> None:
    code = Convolutional(10, 32, backend=backend)
    assert code.encode(torch.zeros(0, 10)).shape == (0, 32)
    assert code.decode(torch.zeros(0, 32)).shape == (0, 10)


def test_inputs_stay_as_they_are(random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]) -> None:
    code, bits = Convolutional(10, 32), random_bits(2, 10)
    llr = noisy(code.encode(bits), 0.0)
    bits_before, llr_before = bits.clone(), llr.clone()
    code.encode(bits), code.decode(llr.requires_grad_())
    assert torch.equal(bits, bits_before)
    assert torch.equal(llr, llr_before)
