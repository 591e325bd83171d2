"""The convolutional code: the standard's bits, Sionna's decisions, the union bound and the waterfall.

`python tests/phy/fec/test_convolutional.py` measures the waterfall again, with Sionna's own blocks and none of ours.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy.fec import Convolutional
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
def test_encoder_agrees_with_commpy(k: int, generators: tuple[int, int], random_bits: Callable[..., Tensor]) -> None:
    from commpy.channelcoding.convcode import Trellis, conv_encode

    bits, trellis = random_bits(4, k), Trellis(np.array([6]), np.array([generators]), polynomial_format="Matlab")
    coded = Convolutional(k, 2 * (k + 6), generators=generators).encode(bits)
    for row, theirs in zip(coded, bits.int().numpy(), strict=True):
        assert row.tolist() == conv_encode(theirs, trellis).tolist()


@pytest.mark.parametrize("rate", DRAWN)
@pytest.mark.parametrize("k", [24, 114, 25, 26, 27, 28, 1])  # k + 6 is a multiple of every period, and is not
def test_patterns_are_those_of_the_standard(k: int, rate: tuple[int, int], random_bits: Callable[..., Tensor]) -> None:
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


@pytest.mark.parametrize("esno_db", [-2.0, -1.0, 0.0, 2.0])
def test_decisions_are_those_of_sionna(
    esno_db: float, random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]
) -> None:
    code, bits = Convolutional(200, 412), random_bits(100, 200)
    llr = noisy(code.encode(bits), esno_db)
    decided = code.decode(llr)
    assert torch.equal(decided, sionna_decoder()(-llr))  # Sionna's LLRs are log P(1) / P(0)
    assert esno_db > 0 or not torch.equal(decided, bits)


# How often it errs.


@pytest.fixture
def bit_errors(random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrong bits in each of 1000-bit blocks at rate 1/2."""

    def count(esno_db: float, blocks: int) -> Tensor:
        code = Convolutional(1000, 2012)
        errors = []
        for seed in range(blocks // 1000):
            bits = random_bits(1000, 1000, seed)
            errors.append((code.decode(noisy(code.encode(bits), esno_db, seed)) != bits).sum(dim=1))
        return torch.cat(errors).double()

    return count


def union_bound(esno_db: float) -> float:
    """Bit error probability at most: Σ_d B_d Q(√(2 d Es/N0)).

    A. J. Viterbi, "Convolutional codes and their performance in communication systems", IEEE Trans. Commun. Technol.
    19, 1971.
    """
    n0 = esno_to_n0(esno_db)
    terms = ((10 + 2 * i, weight) for i, weight in enumerate(WEIGHTS))
    return sum(weight * math.erfc(math.sqrt(d / n0)) / 2 for d, weight in terms)


@pytest.fixture
def assert_union_bound(bit_errors: Callable[..., Tensor]) -> Callable[..., None]:
    """At Eb/N0 = 4 dB the bound is tight to a factor of 2, and no code of this distance errs less than its lightest."""

    def check(off_db: float = 0.0) -> None:
        esno_db = 4.0 + 10 * math.log10(0.5)
        rate = bit_errors(esno_db - off_db, 8000) / 1000
        standard_error = float(rate.std()) / math.sqrt(len(rate))
        bound = union_bound(esno_db)
        assert bound / 2 - Z * standard_error < float(rate.mean()) < bound + Z * standard_error

    return check


def test_bit_error_rate_keeps_the_union_bound(assert_union_bound: Callable[..., None]) -> None:
    assert_union_bound()


def test_union_bound_catches_half_a_decibel(assert_union_bound: Callable[..., None]) -> None:
    with pytest.raises(AssertionError):
        assert_union_bound(off_db=0.5)


@pytest.fixture
def assert_waterfall(random_bits: Callable[..., Tensor], noisy: Callable[..., Tensor]) -> Callable[..., None]:
    """The block error rate is the stored one, within Z standard errors of the difference."""

    def check(point: tuple[int, tuple[int, int], float], blocks: int, off_db: float = 0.0) -> None:
        k, rate, esno_db = point
        stored_errors, stored_blocks = WATERFALL[point]
        code, bits = Convolutional(k, length(k, rate)), random_bits(blocks, k, seed=k)
        decided = code.decode(noisy(code.encode(bits), esno_db + off_db, seed=rate[1]))
        errors = int((decided != bits).any(dim=1).sum())
        pooled = (errors + stored_errors) / (blocks + stored_blocks)
        standard_error = math.sqrt(pooled * (1 - pooled) * (1 / blocks + 1 / stored_blocks))
        assert abs(errors / blocks - stored_errors / stored_blocks) < Z * standard_error

    return check


POINTS = [(200, (1, 2), -1.4), (200, (2, 3), 0.3), (200, (3, 4), 1.2), (200, (5, 6), 2.2)]


@pytest.mark.parametrize("point", POINTS)
def test_waterfall(point: tuple[int, tuple[int, int], float], assert_waterfall: Callable[..., None]) -> None:
    assert_waterfall(point, blocks=10_000)


@pytest.mark.parametrize("off_db", [-OFF_DB, OFF_DB])
@pytest.mark.parametrize("point", POINTS)
def test_waterfall_catches_a_fifth_of_a_decibel(
    point: tuple[int, tuple[int, int], float], off_db: float, assert_waterfall: Callable[..., None]
) -> None:
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
