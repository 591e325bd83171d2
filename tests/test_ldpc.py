"""The 5G LDPC code: round trips, the bit order of the standard, and its waterfall.

`python tests/test_ldpc.py` measures the waterfall again, with Sionna's own blocks and none of ours.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.ldpc import LDPC5G, _SumProduct
from semlink.phy.link import esno_to_n0

Z = 4.5
OFF_DB = 0.2

# (k, n, bits per symbol, Es/N0 in dB): (block errors, blocks), from `python tests/test_ldpc.py`, Sionna 2.2.0.
WATERFALL: dict[tuple[int, int, int, float], tuple[int, int]] = {
    (200, 400, 2, 1.4): (1374, 6000),
    (512, 1024, 2, 1.2): (1061, 3900),
    (1536, 3072, 4, 6.2): (457, 1300),
}


def random_bits(rows: int, k: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, (rows, k), generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize(
    ("k", "n", "m"),
    [(12, 60, None), (36, 72, 2), (40, 64, 4), (292, 584, 2), (500, 600, 6), (1000, 3000, None), (8448, 16896, 4)],
)
def test_round_trip(k: int, n: int, m: int | None) -> None:
    code, bits = LDPC5G(k, n, bits_per_symbol=m), random_bits(3, k)
    coded = code.encode(bits)
    assert coded.shape == (3, n)
    assert torch.equal(code.decode(4 * (1 - 2 * coded)), bits)
    assert torch.equal(code.encode(bits.long()), coded.long())


def test_llr_means_log_p0_over_p1() -> None:
    code, bits = LDPC5G(100, 200), random_bits(2, 100)
    assert not torch.equal(code.decode(4 * (2 * code.encode(bits) - 1)), bits)


def test_decoding_repairs_erasures_and_inverted_bits() -> None:
    code, bits = LDPC5G(500, 1500), random_bits(1, 500)
    llr = 3 * (1 - 2 * code.encode(bits))
    llr[:, ::5] = 0.0
    llr[:, 1::20] *= -1
    assert torch.equal(code.decode(llr), bits)


def test_decoding_stops_once_the_parity_checks_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [], _SumProduct._unsatisfied

    def counted(decoder: _SumProduct) -> Tensor:
        looks.append(decoder)
        return look(decoder)

    monkeypatch.setattr(_SumProduct, "_unsatisfied", counted)
    code, bits = LDPC5G(100, 300), random_bits(2, 100)
    llr = 4 * (1 - 2 * code.encode(bits))
    assert torch.equal(code.decode(llr), bits)
    assert len(looks) == 1
    code.decode(torch.cat([llr, torch.randn(1, 300, generator=torch.Generator().manual_seed(0))]))
    assert len(looks) == 1 + 10  # the hopeless row takes all 20 iterations


def test_coded_bits_start_with_the_information_bits_after_the_punctured_ones() -> None:
    """TS 38.212 clause 5.3.2: the first 2 Z bits are not sent; Z = 88 for k = 1936 = 22 · 88 on base graph 1."""
    code, bits = LDPC5G(1936, 2400), random_bits(1, 1936)
    assert torch.equal(code.encode(bits)[:, : 1936 - 176], bits[:, 176:])


@pytest.mark.parametrize("m", [2, 4, 8])
def test_interleaver_is_that_of_the_standard(m: int) -> None:
    """TS 38.212 clause 5.4.2.2: f(i + j Q) = e(i E/Q + j)."""
    bits = random_bits(1, 100)
    plain, interleaved = LDPC5G(100, 240).encode(bits), LDPC5G(100, 240, bits_per_symbol=m).encode(bits)
    assert torch.equal(interleaved, plain.reshape(m, 240 // m).T.reshape(1, -1))


def block_errors(k: int, n: int, m: int, esno_db: float, blocks: int) -> int:
    code, qam, bits = LDPC5G(k, n, bits_per_symbol=m), QAM(1 << m), random_bits(blocks, k, seed=k)
    received = AWGN()(qam.map(code.encode(bits)), esno_to_n0(esno_db), rng=torch.Generator().manual_seed(n))
    return int((code.decode(qam.llr(received.symbols, received.n0)) != bits).any(dim=1).sum())


def assert_waterfall(point: tuple[int, int, int, float], blocks: int, off_db: float = 0.0) -> None:
    """The block error rate is the stored one, within Z standard errors of the difference."""
    k, n, m, esno_db = point
    stored_errors, stored_blocks = WATERFALL[point]
    errors = block_errors(k, n, m, esno_db + off_db, blocks)
    pooled = (errors + stored_errors) / (blocks + stored_blocks)
    standard_error = math.sqrt(pooled * (1 - pooled) * (1 / blocks + 1 / stored_blocks))
    assert abs(errors / blocks - stored_errors / stored_blocks) < Z * standard_error


SIZES = {(200, 400, 2): 600, (512, 1024, 2): 500, (1536, 3072, 4): 120}
POINTS = [(200, 400, 2, 1.4), (512, 1024, 2, 1.2), (1536, 3072, 4, 6.2)]


@pytest.mark.parametrize("point", POINTS)
def test_waterfall(point: tuple[int, int, int, float]) -> None:
    assert_waterfall(point, blocks=SIZES[point[:3]])


@pytest.mark.parametrize("off_db", [-OFF_DB, OFF_DB])
@pytest.mark.parametrize("point", POINTS)
def test_waterfall_catches_a_fifth_of_a_decibel(point: tuple[int, int, int, float], off_db: float) -> None:
    with pytest.raises(AssertionError):
        assert_waterfall(point, blocks=SIZES[point[:3]], off_db=off_db)


def test_results_do_not_depend_on_the_batch() -> None:
    code, qam = LDPC5G(512, 1024, bits_per_symbol=2), QAM(4)
    sent = qam.map(code.encode(random_bits(100, 512)))
    received = AWGN()(sent, esno_to_n0(1.2), rng=torch.Generator().manual_seed(0))
    llr = qam.llr(received.symbols, received.n0)
    one_by_one = torch.cat([code.decode(row[None]) for row in llr[:20]])
    assert torch.equal(code.decode(llr)[:20], one_by_one)
    assert torch.equal(code.decode(llr[torch.arange(19, -1, -1)]).flip(0), one_by_one)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="k=11 is out of range: 12 ≤ k ≤ 8448"):
        LDPC5G(11, 60)
    with pytest.raises(ValueError, match="k=8449 is out of range"):
        LDPC5G(8449, 20000)
    with pytest.raises(ValueError, match="n=100 is out of range for k=100: 109 ≤ n ≤ 500"):
        LDPC5G(100, 100)
    with pytest.raises(ValueError, match="n=30000 is out of range for k=8000: 8642 ≤ n ≤ 24000"):
        LDPC5G(8000, 30000)
    with pytest.raises(ValueError, match="n=201 must be a multiple of bits_per_symbol=2"):
        LDPC5G(100, 201, bits_per_symbol=2)
    with pytest.raises(ValueError, match="backend='gpu' must be one of: sionna"):
        LDPC5G(100, 200, backend="gpu")
    with pytest.raises(ValueError, match="iterations=0 must be at least 1"):
        LDPC5G(100, 200, iterations=0)
    code = LDPC5G(100, 200)
    with pytest.raises(ValueError, match=r"bits has shape \(1, 99\); it must be \(b, 100\)"):
        code.encode(torch.zeros(1, 99))
    with pytest.raises(ValueError, match="other values than 0 and 1"):
        code.encode(torch.full((1, 100), 2.0))
    with pytest.raises(ValueError, match=r"llr has shape \(200,\); it must be \(b, 200\)"):
        code.decode(torch.zeros(200))


def measure(k: int, n: int, m: int, esno_db: float, blocks: int) -> int:
    """Block errors of Sionna's own chain: no early stopping, its default check-node rule, demapping over all points."""
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
    from sionna.phy.mapping import Demapper, Mapper

    encoder = LDPC5GEncoder(k, n, num_bits_per_symbol=m)
    decoder = LDPC5GDecoder(encoder, cn_update="boxplus-phi", num_iter=20)
    mapper, demapper, n0 = Mapper("qam", m), Demapper("app", "qam", m), torch.tensor(10 ** (-esno_db / 10))
    errors, rng = 0, torch.Generator().manual_seed(1)
    for _ in range(blocks // 20):
        bits = torch.randint(0, 2, (20, k), generator=rng).float()
        sent = mapper(encoder(bits))
        noise = torch.view_as_complex(torch.randn(*sent.shape, 2, generator=rng)) * (n0 / 2).sqrt()
        errors += int((decoder(demapper(sent + noise, n0)) != bits).any(dim=1).sum())
    return errors


if __name__ == "__main__":
    for k, n, m, esno_db in POINTS:
        blocks = min(6000, 2_000_000 // k // 20 * 20)
        print(f"    ({k}, {n}, {m}, {esno_db}): ({measure(k, n, m, esno_db, blocks)}, {blocks}),", flush=True)
