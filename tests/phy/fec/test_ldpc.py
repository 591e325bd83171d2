"""The 5G LDPC code: round trips, the bit order of the standard, its waterfall, and our coder against Sionna's.

`python tests/phy/fec/test_ldpc.py` measures the waterfall again, with Sionna's own blocks and none of ours.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.fec import LDPC5G
from semlink.phy.fec.ldpc import _sionna_encoder, _SumProduct
from semlink.phy.fec.ldpc_graph import nr_graph
from semlink.phy.link import esno_to_n0

Z = 4.5
OFF_DB = 0.2

# (k, n, bits per symbol, Es/N0 in dB): (block errors, blocks), from `python tests/phy/fec/test_ldpc.py`, Sionna 2.2.0.
WATERFALL: dict[tuple[int, int, int, float], tuple[int, int]] = {
    (200, 400, 2, 1.4): (1374, 6000),
    (512, 1024, 2, 1.2): (1061, 3900),
    (1536, 3072, 4, 6.2): (457, 1300),
}


def random_bits(rows: int, k: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 2, (rows, k), generator=torch.Generator().manual_seed(seed)).float()


BACKENDS = ["numba", "sionna"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("k", "n", "m"),
    [(12, 60, None), (36, 72, 2), (40, 64, 4), (292, 584, 2), (500, 600, 6), (1000, 3000, None), (8448, 16896, 4)],
)
def test_round_trip(k: int, n: int, m: int | None, backend: str) -> None:
    code, bits = LDPC5G(k, n, bits_per_symbol=m, backend=backend), random_bits(3, k)
    coded = code.encode(bits)
    assert coded.shape == (3, n)
    assert torch.equal(code.decode(4 * (1 - 2 * coded)), bits)
    assert torch.equal(code.encode(bits.long()), coded.long())


def drawn_sizes(count: int) -> list[tuple[int, int, int]]:
    """(k, n, bits per symbol) all over what Sionna's encoder takes, half of them short."""
    rng, sizes = np.random.default_rng(7), []
    while len(sizes) < count:
        k = int(rng.integers(12, 8449 if len(sizes) % 2 else 400))
        m = int(rng.choice([1, 2, 4, 6, 8]))
        n = int(rng.integers(math.ceil(k * 1024 / 948), k * (5 if k <= 3824 else 3)) // m * m)
        if n * 948 >= k * 1024 and not (k > 3840 and n >= 4 * k):
            sizes.append((k, n, m))
    return sizes


@pytest.mark.parametrize(("k", "n", "m"), [*drawn_sizes(24), (8448, 9126, 2), (24, 120, 2), (3840, 15360, 2)])
def test_code_is_sionnas_bit_for_bit(k: int, n: int, m: int) -> None:
    from sionna.phy.fec.ldpc import LDPC5GDecoder

    theirs, code, bits = _sionna_encoder(k, n, m, "cpu"), LDPC5G(k, n, bits_per_symbol=m), random_bits(3, k)
    coded = code.encode(bits)
    assert torch.equal(coded, theirs(bits))
    assert torch.equal(code.decode(5 * (1 - 2 * coded)), bits)
    graph = nr_graph(k, n, m)
    assert (graph.full.matrix() != theirs.pcm).nnz == 0
    # Theirs is pruned to the bit, ours to the base row; the core rows are never pruned.
    checks = LDPC5GDecoder(theirs).pcm.shape[0]
    assert graph.pruned.rows == max(4, -(-checks // graph.pruned.z))


def test_every_lifting_size_of_both_base_graphs() -> None:
    """The decoder finds our encoder's words to be code words, and finds its way back through erasures."""
    lifting = {a * 2**j for a in (2, 3, 5, 7, 9, 11, 13, 15) for j in range(8) if a * 2**j <= 384}
    assert len(lifting) == 51
    met = set()
    for z, columns in ((z, columns) for z in sorted(lifting) for columns in (6, 8, 9, 10, 22)):
        k = columns * z
        if not 12 <= k <= 8448:
            continue
        code = LDPC5G(k, int(1.4 * k) if columns == 22 else 4 * k, iterations=10)
        graph, bits = nr_graph(k, code.n, None), random_bits(2, k)
        llr = 4 * (1 - 2 * code.encode(bits))
        llr[0, ::11] = 0
        decoding = code.decode_soft(llr)
        assert torch.equal((decoding.llr < 0).float(), bits)
        assert decoding.converged.all()
        met.add((graph.base_graph, graph.full.z))
    assert {z for base_graph, z in met if base_graph == 2} == lifting
    assert {z for base_graph, z in met if base_graph == 1} == {z for z in lifting if 22 * z - 16 > 292}  # without CRC


@pytest.mark.parametrize(("k", "n"), [(100, 5000), (3840, 32768), (8448, 30000)])
def test_below_the_mother_rate_bits_are_repeated(k: int, n: int) -> None:
    """TS 38.212 clause 5.4.2.1: the circular buffer, 66 Z or 50 Z bits without fillers, is read again."""
    code, bits = LDPC5G(k, n), random_bits(2, k)
    coded = code.encode(bits)
    z, columns = nr_graph(k, n, None).full.z, 22 if nr_graph(k, n, None).base_graph == 1 else 10
    buffer = (66 if columns == 22 else 50) * z - (columns * z - k)
    assert n > buffer
    assert torch.equal(coded[:, buffer:], coded[:, : n - buffer])
    # All copies count: the later ones are wrong, but weaker together.
    llr = 2 * (1 - 2 * coded)
    llr[:, buffer:] *= -0.5 * buffer / n
    assert torch.equal(code.decode(llr), bits)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_soft_output(backend: str, precision: str) -> None:
    code = LDPC5G(300, 700, iterations=9, backend=backend, precision=precision)
    bits = random_bits(3, 300)
    llr = 3 * (1 - 2 * code.encode(bits))
    llr[1] = torch.randn(700, generator=torch.Generator().manual_seed(0))
    soft = code.decode_soft(llr)
    assert soft.llr.shape == (3, 300)
    assert torch.equal((soft.llr < 0).float(), code.decode(llr))
    assert torch.equal((soft.llr[0] < 0).float(), bits[0])
    assert soft.converged.tolist() == [True, False, True]
    assert soft.iterations[1] == 9
    assert soft.iterations[0] <= 4
    assert float(soft.llr[0].abs().min()) > 3  # the code adds to what the channel said


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_infinite_llrs_are_certainty(precision: str) -> None:
    code, bits = LDPC5G(300, 700, precision=precision), random_bits(2, 300)
    llr = torch.inf * (1 - 2 * code.encode(bits))
    llr[:, ::3] = 0.0
    assert torch.equal(code.decode(llr), bits)


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_llrs_that_say_nothing_settle_nothing(precision: str) -> None:
    code = LDPC5G(500, 1000, precision=precision)
    decoding = code.decode_soft(torch.stack([torch.zeros(1000), torch.full((1000,), -0.1)]))
    assert not decoding.converged.any()
    contradiction = torch.full((1, 5000), torch.inf)
    contradiction[:, 2500:] = -torch.inf
    assert LDPC5G(100, 5000, precision=precision).decode_soft(contradiction).llr.isfinite().all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_llrs_of_any_type_and_layout(backend: str) -> None:
    code, bits = LDPC5G(300, 700, backend=backend), random_bits(4, 300)
    llr = 3 * (1 - 2 * code.encode(bits))
    assert torch.equal(code.decode(llr.double()), bits.double())
    assert torch.equal(code.decode(llr.half()), bits.half())
    assert torch.equal(code.decode(llr.T.contiguous().T), bits)
    assert code.decode(llr[:0]).shape == (0, 300)
    assert code.encode(bits[:0]).shape == (0, 700)


def test_threads_do_not_meet() -> None:
    """Several threads decode and encode with one code at once, as a comparison does."""
    code, bits = LDPC5G(512, 1024), random_bits(200, 512)
    llr = 2 * (1 - 2 * code.encode(bits)) + 2 * torch.randn(200, 1024, generator=torch.Generator().manual_seed(0))
    expected = code.decode(llr)
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(got, expected) for got in pool.map(code.decode, [llr] * 8))
        assert all(torch.equal(got, code.encode(bits)) for got in pool.map(code.encode, [bits] * 8))


def test_llr_means_log_p0_over_p1() -> None:
    code, bits = LDPC5G(100, 200), random_bits(2, 100)
    assert not torch.equal(code.decode(4 * (2 * code.encode(bits) - 1)), bits)


def test_decoding_repairs_erasures_and_inverted_bits() -> None:
    code, bits = LDPC5G(500, 1500), random_bits(1, 500)
    llr = 3 * (1 - 2 * code.encode(bits))
    llr[:, ::5] = 0.0
    llr[:, 1::20] *= -1
    assert torch.equal(code.decode(llr), bits)


def test_sum_product_stops_once_the_parity_checks_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [], _SumProduct._unsatisfied

    def counted(decoder: _SumProduct) -> Tensor:
        looks.append(decoder)
        return look(decoder)

    monkeypatch.setattr(_SumProduct, "_unsatisfied", counted)
    code, bits = LDPC5G(100, 300, iterations=20, backend="sionna"), random_bits(2, 100)
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


def block_errors(k: int, n: int, m: int, esno_db: float, blocks: int, **options: str | int) -> int:
    code, qam, bits = LDPC5G(k, n, bits_per_symbol=m, **options), QAM(1 << m), random_bits(blocks, k, seed=k)
    received = AWGN()(qam.map(code.encode(bits)), esno_to_n0(esno_db), rng=torch.Generator().manual_seed(n))
    return int((code.decode(qam.llr(received.symbols, received.n0)) != bits).any(dim=1).sum())


def excess_of(point: tuple[int, int, int, float], blocks: int, off_db: float, **options: str | int) -> float:
    """By how many standard errors of the difference the block error rate exceeds the stored one."""
    k, n, m, esno_db = point
    stored_errors, stored_blocks = WATERFALL[point]
    errors = block_errors(k, n, m, esno_db + off_db, blocks, **options)
    pooled = (errors + stored_errors) / (blocks + stored_blocks)
    standard_error = math.sqrt(pooled * (1 - pooled) * (1 / blocks + 1 / stored_blocks))
    return (errors / blocks - stored_errors / stored_blocks) / standard_error


SIZES = {(200, 400, 2): 600, (512, 1024, 2): 500, (1536, 3072, 4): 120}
POINTS = [(200, 400, 2, 1.4), (512, 1024, 2, 1.2), (1536, 3072, 4, 6.2)]


@pytest.mark.parametrize("point", POINTS)
def test_waterfall_of_sum_product_is_sionnas(point: tuple[int, int, int, float]) -> None:
    assert abs(excess_of(point, SIZES[point[:3]], 0.0, backend="sionna", iterations=20)) < Z


@pytest.mark.parametrize("off_db", [-OFF_DB, OFF_DB])
@pytest.mark.parametrize("point", POINTS)
def test_waterfall_catches_a_fifth_of_a_decibel(point: tuple[int, int, int, float], off_db: float) -> None:
    assert abs(excess_of(point, SIZES[point[:3]], off_db, backend="sionna", iterations=20)) > Z


@pytest.mark.parametrize("point", POINTS)
def test_ten_layered_iterations_are_within_a_tenth_of_a_decibel_of_sionnas_twenty(
    point: tuple[int, int, int, float],
) -> None:
    """With 4,000 blocks Z standard errors are less than the tenth: 0.1 dB the other way is caught."""
    assert excess_of(point, 4000, 0.1, iterations=10) < 0
    assert excess_of(point, 4000, -0.1, iterations=10) > Z / 2


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("point", POINTS)
def test_thirty_layered_iterations_beat_sionnas_twenty(point: tuple[int, int, int, float], precision: str) -> None:
    assert excess_of(point, 2000, 0.0, precision=precision) < -2


@pytest.mark.parametrize(("k", "n"), [(512, 1024), (40, 80), (2200, 4400)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_results_do_not_depend_on_the_batch(k: int, n: int, backend: str) -> None:
    code, qam = LDPC5G(k, n, bits_per_symbol=2, backend=backend), QAM(4)
    sent = qam.map(code.encode(random_bits(100, k)))
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
    with pytest.raises(ValueError, match="n=100 is out of range for k=100: n ≥ 109"):
        LDPC5G(100, 100)
    with pytest.raises(ValueError, match="n=32000 is out of range for k=8000: n < 32000"):
        LDPC5G(8000, 32000)
    with pytest.raises(ValueError, match="n=201 must be a multiple of bits_per_symbol=2"):
        LDPC5G(100, 201, bits_per_symbol=2)
    with pytest.raises(ValueError, match="backend='gpu' must be one of: numba, sionna"):
        LDPC5G(100, 200, backend="gpu")
    with pytest.raises(ValueError, match="iterations=0 must be at least 1"):
        LDPC5G(100, 200, iterations=0)
    with pytest.raises(ValueError, match="precision='int4' must be one of: int8, float32"):
        LDPC5G(100, 200, precision="int4")
    with pytest.raises(ValueError, match="n=501 is out of range for k=100 with backend='sionna'"):
        LDPC5G(100, 501, backend="sionna")
    code = LDPC5G(100, 200)
    with pytest.raises(ValueError, match=r"llr holds NaN \(1 of 200 values\)"):
        code.decode(torch.tensor([[math.nan] + [1.0] * 199]))
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
