"""The convolutional code: the standard's bits, the likeliest word, CommPy's and Sionna's decisions, the union bound.

`python tests/phy/fec/test_convolutional.py` measures the waterfall again, with Sionna's own blocks and none of ours.
"""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy.fec import Convolutional
from semlink.phy.fec.convolutional import _lower
from semlink.phy.link import esno_to_n0

Z = 4.5
OFF_DB = 0.2

# The standard's patterns, drawn as in its figures: which of A1 B1 A2 B2 … of a period are sent.
DRAWN = {(1, 2): "A1 B1", (2, 3): "A1 B1 A2", (3, 4): "A1 B1 A2 B3", (5, 6): "A1 B1 A2 B3 A4 B5"}

# Sums of information weights over the paths of distance 10, 12, …, 24 of (133, 171).
WEIGHTS = [36, 211, 1404, 11633, 77433, 502690, 3322763, 21292910]

# (k, rate, Es/N0 in dB): (block errors, blocks), from `python tests/phy/fec/test_convolutional.py`, Sionna 2.2.0.
WATERFALL: dict[tuple[int, tuple[int, int], float], tuple[int, int]] = {
    (200, (1, 2), -1.4): (4605, 20000),
    (200, (2, 3), 0.3): (4646, 20000),
    (200, (3, 4), 1.2): (4764, 20000),
    (200, (5, 6), 2.2): (4164, 20000),
}


def random_bits(rows: int, k: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, (rows, k), generator=torch.Generator().manual_seed(seed)).float()


def noisy(coded: Tensor, esno_db: float, seed: int = 1) -> Tensor:
    """LLRs of BPSK, 0 as +1, over AWGN with variance N0/2 on the real axis."""
    n0 = esno_to_n0(esno_db)
    noise = torch.randn(coded.shape, generator=torch.Generator().manual_seed(seed)) * math.sqrt(n0 / 2)
    return 4 / n0 * (1 - 2 * coded + noise)


def length(k: int, rate: tuple[int, int]) -> int:
    return math.ceil((k + 6) * rate[1] / rate[0])


def sent(k: int, rate: tuple[int, int]) -> list[int]:
    """Where the bits of a punctured block stand in the one of rate 1/2."""
    period = [2 * (int(name[1:]) - 1) + "AB".index(name[0]) for name in DRAWN[rate].split()]
    steps = 1 + max(period) // 2
    places = [2 * start + place for start in range(0, k + 6, steps) for place in period]
    return [place for place in places if place < 2 * (k + 6)]


# The encoder.


def test_impulse_response_is_the_generators() -> None:
    coded = Convolutional(3, 18).encode(torch.tensor([[1, 0, 0]]))[0]
    assert coded[0::2].tolist() == [1, 0, 1, 1, 0, 1, 1, 0, 0]  # 133
    assert coded[1::2].tolist() == [1, 1, 1, 1, 0, 0, 1, 0, 0]  # 171


def test_encoder_gives_the_example_of_the_standard() -> None:
    """IEEE 802.11 annex I.1.4.2: the SIGNAL field, 36 Mb/s and 100 octets, before and after coding."""
    field, coded = "101100010011000000", "110100011010000100000010001111100111000000000000"
    got = Convolutional(18, 48).encode(torch.tensor([[int(bit) for bit in field]]))
    assert "".join(map(str, got[0].tolist())) == coded


@pytest.mark.filterwarnings("ignore")  # of commpy's import
@pytest.mark.parametrize("generators", [(0o133, 0o171), (0o171, 0o133), (0o155, 0o117), (0o101, 0o177)])
@pytest.mark.parametrize("k", [1, 5, 100])
def test_encoder_agrees_with_commpy(k: int, generators: tuple[int, int]) -> None:
    from commpy.channelcoding.convcode import Trellis, conv_encode

    bits, trellis = random_bits(4, k), Trellis(np.array([6]), np.array([generators]), polynomial_format="Matlab")
    coded = Convolutional(k, 2 * (k + 6), generators=generators).encode(bits)
    for row, theirs in zip(coded, bits.int().numpy(), strict=True):
        assert row.tolist() == conv_encode(theirs, trellis).tolist()


@pytest.mark.parametrize("rate", DRAWN)
@pytest.mark.parametrize("k", [24, 114, 25, 26, 27, 28, 1])  # k + 6 is a multiple of every period, and is not
def test_patterns_are_those_of_the_standard(k: int, rate: tuple[int, int]) -> None:
    bits = random_bits(3, k)
    mother = Convolutional(k, 2 * (k + 6)).encode(bits)
    assert torch.equal(Convolutional(k, length(k, rate)).encode(bits), mother[:, sent(k, rate)])


def copies(k: int, n: int) -> np.ndarray:
    return Convolutional(k, n)._copies


@pytest.mark.parametrize("k", [1, 10, 94])
def test_other_lengths_lie_between_and_are_even(k: int) -> None:
    steps = k + 6
    for n in range(length(k, (5, 6)), 7 * steps):
        got = copies(k, n)
        assert got.sum() == n
        if n >= 2 * steps:
            assert got.max() - got.min() <= 1
            assert np.ptp(np.convolve(got, np.ones(steps, int), "valid")) <= 1  # any half has its share
        else:
            assert got.max() == 1
            rate = next(rate for rate in DRAWN if length(k, rate) <= n)
            assert got[sent(k, rate)].all()


# How often A1, B1, A2, B2, … are sent for k = 6. Both ends of a link need the same.
COPIES = {
    16: "111001111001111001111001",  # 3/4
    17: "111001111001111001111011",
    18: "111011101110111011101110",  # 2/3
    20: "111011101111111011101111",
    22: "111011111111111011111111",
    24: "111111111111111111111111",  # 1/2
    29: "111121111211112111121112",
}


@pytest.mark.parametrize("n", COPIES)
def test_lengths_in_between_stay_as_they_are(n: int) -> None:
    assert "".join(map(str, copies(6, n))) == COPIES[n]


@pytest.mark.parametrize("k", [10, 60])
def test_minimum_distance_is_at_least_that_of_the_rate_below(k: int) -> None:
    """Free distances of these patterns: Y. Yasuda et al., "High-rate punctured convolutional codes for soft decision
    Viterbi decoding", IEEE Trans. Commun. 32, 1984."""
    free = {(1, 2): 10, (2, 3): 6, (3, 4): 5, (5, 6): 4}
    for n in range(length(k, (5, 6)), 3 * (k + 6)):
        rate = next(rate for rate in DRAWN if length(k, rate) <= n)
        assert minimum_distance(copies(k, n)) >= free[rate]
    exactly = {rate: minimum_distance(copies(k, length(k, rate))) for rate in DRAWN}
    assert k < 60 or exactly == free
    assert minimum_distance(copies(k, 4 * (k + 6))) == 20


def minimum_distance(copies: np.ndarray) -> float:
    """The lightest path that leaves state 0 and comes back, by the register with its newest bit on top."""
    outputs = np.array([[(g & r).bit_count() % 2 for g in (0o133, 0o171)] for r in range(128)])
    weights, best = np.full(64, np.inf), math.inf
    for t in range(copies.size // 2):
        branch = outputs @ copies[2 * t : 2 * t + 2]
        reached = np.full(64, np.inf)
        for register in range(1, 128 if t < copies.size // 2 - 6 else 64):
            before = 0.0 if register == 64 else weights[register & 63]
            reached[register >> 1] = min(reached[register >> 1], before + branch[register])
        best, reached[0], weights = min(best, reached[0]), math.inf, reached
    return best


# The decoder.

SIZES = [
    *[(1, n) for n in (9, 10, 12, 13, 14, 15, 50)],
    *[(2, 10), (7, 16), (25, 38), (100, 128), (100, 133), (100, 150), (100, 200), (100, 212), (100, 213), (100, 1000)],
    *[(1000, 1208), (1001, 2014), (20_000, 24_008), (20_000, 40_012)],
]


@pytest.mark.parametrize(("k", "n"), SIZES)
def test_round_trip(k: int, n: int) -> None:
    code, bits = Convolutional(k, n), random_bits(5, k)
    coded = code.encode(bits)
    assert coded.shape == (5, n)
    assert torch.equal(code.decode(4 * (1 - 2 * coded)), bits)
    assert torch.equal(code.encode(bits.long()), coded.long())


@pytest.mark.parametrize("generators", [(0o171, 0o133), (0o101, 0o177)])
def test_round_trip_with_other_generators(generators: tuple[int, int]) -> None:
    code, bits = Convolutional(50, 112, generators=generators), random_bits(5, 50)
    assert torch.equal(code.decode(1 - 2 * code.encode(bits)), bits)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_decoded_bits_have_the_dtype_of_the_llrs(dtype: torch.dtype) -> None:
    code, bits = Convolutional(50, 112), random_bits(2, 50)
    decoded = code.decode(4 * (1 - 2 * code.encode(bits)).to(dtype))
    assert decoded.dtype == dtype
    assert torch.equal(decoded.float(), bits)


@pytest.mark.parametrize("n", [17, 18, 19, 21, 23, 28, 31, 40, 56, 61])
@pytest.mark.parametrize("esno_db", [-4.0, 2.0])
def test_decision_is_the_likeliest_of_all_words(n: int, esno_db: float) -> None:
    code = Convolutional(8, n)
    words = torch.tensor([[word >> i & 1 for i in range(8)] for word in range(256)]).double()
    coded = code.encode(words)
    llr = noisy(coded.repeat(4, 1), esno_db, seed=n).double()
    best = words[(llr @ (1 - 2 * coded).T).argmax(dim=1)]
    assert torch.equal(code.decode(llr), best)
    assert not torch.equal(best, words.repeat(4, 1)) or esno_db > 0  # there was something to get wrong


@pytest.mark.filterwarnings("ignore")  # of commpy's import
@pytest.mark.parametrize(("n", "esno_db"), [(72, -1.0), (72, 1.0), (48, 2.0), (44, 3.0), (36, 5.0), (100, -3.0)])
def test_decisions_are_those_of_commpy(n: int, esno_db: float) -> None:
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


@pytest.mark.parametrize("esno_db", [-2.0, -1.0, 0.0, 2.0])
def test_decisions_are_those_of_sionna(esno_db: float) -> None:
    code, bits = Convolutional(200, 412), random_bits(100, 200)
    llr = noisy(code.encode(bits), esno_db)
    decided = code.decode(llr)
    assert torch.equal(decided, sionna_decoder()(-llr))  # Sionna's LLRs are log P(1) / P(0)
    assert esno_db > 0 or not torch.equal(decided, bits)


def test_llr_means_log_p0_over_p1() -> None:
    code, bits = Convolutional(100, 212), random_bits(2, 100)
    assert not torch.equal(code.decode(4 * (2 * code.encode(bits) - 1)), bits)


def test_decoding_repairs_erasures_and_inverted_bits() -> None:
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


def test_every_bit_may_be_certain() -> None:
    code, bits = Convolutional(50, 112), random_bits(3, 50)
    signs = 1 - 2 * code.encode(bits)
    for size in (math.inf, 1e38, 1e300):
        assert torch.equal(code.decode(size * signs.double()), bits.double())


def test_certain_bits_that_contradict_each_other_are_outvoted() -> None:
    code, bits = Convolutional(500, 1012), random_bits(1, 500)
    llr = math.inf * (1 - 2 * code.encode(bits))
    llr[:, ::100] *= -1
    assert torch.equal(code.decode(llr), bits)
    repeated = Convolutional(8, 56)
    llr = math.inf * (1 - 2 * repeated.encode(bits[:, :8]))
    llr[:, 0] *= -1  # the same bit, certainly 0 and certainly 1
    assert torch.equal(repeated.decode(llr), bits[:, :8])


def test_what_the_start_costs_does_not_drown_the_rest() -> None:
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


def test_results_do_not_depend_on_the_batch_or_the_threads() -> None:
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


def test_several_threads_decode_at_once() -> None:
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


def test_inputs_stay_as_they_are() -> None:
    code, bits = Convolutional(10, 32), random_bits(2, 10)
    llr = noisy(code.encode(bits), 0.0)
    bits_before, llr_before = bits.clone(), llr.clone()
    code.encode(bits), code.decode(llr.requires_grad_())
    assert torch.equal(bits, bits_before)
    assert torch.equal(llr, llr_before)


# How often it errs.


def bit_errors(esno_db: float, blocks: int) -> Tensor:
    """Wrong bits in each of 1000-bit blocks at rate 1/2."""
    code = Convolutional(1000, 2012)
    errors = []
    for seed in range(blocks // 1000):
        bits = random_bits(1000, 1000, seed)
        errors.append((code.decode(noisy(code.encode(bits), esno_db, seed)) != bits).sum(dim=1))
    return torch.cat(errors).double()


def union_bound(esno_db: float) -> float:
    """Bit error probability at most: Σ_d B_d Q(√(2 d Es/N0)).

    A. J. Viterbi, "Convolutional codes and their performance in communication systems", IEEE Trans. Commun. Technol.
    19, 1971.
    """
    n0 = esno_to_n0(esno_db)
    terms = ((10 + 2 * i, weight) for i, weight in enumerate(WEIGHTS))
    return sum(weight * math.erfc(math.sqrt(d / n0)) / 2 for d, weight in terms)


def assert_union_bound(off_db: float = 0.0) -> None:
    """At Eb/N0 = 4 dB the bound is tight to a factor of 2, and no code of this distance errs less than its lightest."""
    esno_db = 4.0 + 10 * math.log10(0.5)
    rate = bit_errors(esno_db - off_db, 8000) / 1000
    standard_error = float(rate.std()) / math.sqrt(len(rate))
    bound = union_bound(esno_db)
    assert bound / 2 - Z * standard_error < float(rate.mean()) < bound + Z * standard_error


def test_bit_error_rate_keeps_the_union_bound() -> None:
    assert_union_bound()


def test_union_bound_catches_half_a_decibel() -> None:
    with pytest.raises(AssertionError):
        assert_union_bound(off_db=0.5)


def assert_waterfall(point: tuple[int, tuple[int, int], float], blocks: int, off_db: float = 0.0) -> None:
    """The block error rate is the stored one, within Z standard errors of the difference."""
    k, rate, esno_db = point
    stored_errors, stored_blocks = WATERFALL[point]
    code, bits = Convolutional(k, length(k, rate)), random_bits(blocks, k, seed=k)
    decided = code.decode(noisy(code.encode(bits), esno_db + off_db, seed=rate[1]))
    errors = int((decided != bits).any(dim=1).sum())
    pooled = (errors + stored_errors) / (blocks + stored_blocks)
    standard_error = math.sqrt(pooled * (1 - pooled) * (1 / blocks + 1 / stored_blocks))
    assert abs(errors / blocks - stored_errors / stored_blocks) < Z * standard_error


POINTS = [(200, (1, 2), -1.4), (200, (2, 3), 0.3), (200, (3, 4), 1.2), (200, (5, 6), 2.2)]


@pytest.mark.parametrize("point", POINTS)
def test_waterfall(point: tuple[int, tuple[int, int], float]) -> None:
    assert_waterfall(point, blocks=10_000)


@pytest.mark.parametrize("off_db", [-OFF_DB, OFF_DB])
@pytest.mark.parametrize("point", POINTS)
def test_waterfall_catches_a_fifth_of_a_decibel(point: tuple[int, tuple[int, int], float], off_db: float) -> None:
    with pytest.raises(AssertionError):
        assert_waterfall(point, blocks=10_000, off_db=off_db)


# What it refuses, and where it runs.


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="k=0 must be at least 1"):
        Convolutional(0, 12)
    with pytest.raises(ValueError, match=r"n=127 is out of range for k=100: n ≥ 128 \(rate 5/6 with the 6 tail bits\)"):
        Convolutional(100, 127)
    for generators in [(0o133,), (0o133, 0o171, 0o165), (0o133, 0o170), (0o33, 0o171), (0o100, 0o171), (0o133, 0o201)]:
        with pytest.raises(ValueError, match=r"generators=\(0o.*\) must be two odd numbers from 0o101 to 0o177"):
            Convolutional(100, 212, generators=generators)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="backend='gpu' must be one of: numba, commpy"):
        Convolutional(100, 212, backend="gpu")
    monkeypatch.setitem(sys.modules, "commpy.channelcoding.convcode", None)
    with pytest.raises(ValueError, match=r"backend='commpy' needs scikit-commpy: pip install 'semlink\[dev\]'"):
        Convolutional(100, 212, backend="commpy")


def test_bad_blocks_are_named() -> None:
    code = Convolutional(100, 212)
    with pytest.raises(ValueError, match=r"bits has shape \(1, 99\); it must be \(b, 100\)"):
        code.encode(torch.zeros(1, 99))
    with pytest.raises(ValueError, match="bits holds other values than 0 and 1"):
        code.encode(torch.full((1, 100), 2.0))
    with pytest.raises(ValueError, match=r"llr has shape \(212,\); it must be \(b, 212\)"):
        code.decode(torch.zeros(212))
    llr = torch.zeros(2, 212)
    llr[1, 7] = math.nan
    with pytest.raises(ValueError, match=r"llr holds NaN \(1 of 424 values\)"):
        code.decode(llr)


CHECKED = """
import torch
from jaxtyping import install_import_hook

with install_import_hook(["semlink.phy"], "beartype.beartype"):
    from semlink.phy.fec.code import Uncoded
    from semlink.phy.fec.convolutional import Convolutional

for code in (Uncoded(20), Convolutional(20, 40)):
    bits = torch.ones(3, 20)
    assert torch.equal(code.decode(1 - 2 * code.encode(bits)), bits)
"""


def test_shapes_hold_while_it_runs() -> None:
    """The import hook that checks shapes must leave alone what is compiled."""
    done = subprocess.run([sys.executable, "-c", CHECKED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def sionna_decoder():  # noqa: ANN201
    from sionna.phy.fec.conv import ConvEncoder, ViterbiDecoder

    encoder = ConvEncoder(gen_poly=("1011011", "1111001"), terminate=True)
    return ViterbiDecoder(encoder=encoder, method="soft_llr")


def measure(k: int, rate: tuple[int, int], esno_db: float, blocks: int) -> int:
    """Block errors of Sionna's encoder and Viterbi decoder; bits that are not sent have an LLR of 0."""
    from sionna.phy.fec.conv import ConvEncoder

    encoder, decoder = ConvEncoder(gen_poly=("1011011", "1111001"), terminate=True), sionna_decoder()
    errors, rng, n0 = 0, torch.Generator().manual_seed(1), 10 ** (-esno_db / 10)
    for _ in range(blocks // 100):
        bits = torch.randint(0, 2, (100, k), generator=rng).float()
        symbols = 2 * encoder(bits)[:, sent(k, rate)] - 1
        llr = torch.zeros(100, 2 * (k + 6))
        llr[:, sent(k, rate)] = 4 / n0 * (symbols + torch.randn(symbols.shape, generator=rng) * math.sqrt(n0 / 2))
        errors += int((decoder(llr) != bits).any(dim=1).sum())
    return errors


if __name__ == "__main__":
    for k, rate, esno_db in POINTS:
        print(f"    ({k}, {rate}, {esno_db}): ({measure(k, rate, esno_db, 20_000)}, 20000),", flush=True)
