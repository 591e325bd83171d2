"""Regular Gallager codes of pyldpc with our decoder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pyldpc = pytest.importorskip("pyldpc", reason="pyldpc is not installed: it needs --no-build-isolation")

from semlink.phy.fec import N_MAX, BlockCode, Gallager  # noqa: E402
from semlink.phy.fec.gallager import _mother  # noqa: E402


def random_bits(rows: int, k: int) -> torch.Tensor:
    return torch.randint(0, 2, (rows, k), generator=torch.Generator().manual_seed(k)).float()


@pytest.mark.parametrize(("k", "n"), [(1, 8), (40, 80), (64, 512), (100, 300), (512, 1024), (700, 800), (301, 401)])
def test_round_trip(k: int, n: int) -> None:
    code, bits = Gallager(k, n), random_bits(5, k)
    coded = code.encode(bits)
    assert isinstance(code, BlockCode)
    assert coded.shape == (5, n)
    assert torch.equal(code.decode(5 * (1 - 2 * coded)), bits)
    assert torch.equal(code.encode(bits.to(torch.uint8)), coded.to(torch.uint8))


def test_matrix_is_pyldpcs_and_regular() -> None:
    checks, _ = _mother(512, 1024, 6)
    theirs, generator = pyldpc.make_ldpc(checks.shape[1], 3, 6, systematic=True, sparse=False, seed=0)
    assert (checks.toarray() == theirs).all()
    assert set(np.asarray(checks.sum(axis=0)).ravel()) == {3}
    assert set(np.asarray(checks.sum(axis=1)).ravel()) == {6}
    assert not (theirs @ generator % 2).any()


def test_decisions_are_as_good_as_pyldpcs() -> None:
    """On the same received words of the same mother code, where pyldpc's sum-product loses some."""
    rng = np.random.default_rng(1)
    theirs, generator = pyldpc.make_ldpc(300, 3, 6, systematic=True, sparse=False, seed=0)
    info, blocks, snr_db = generator.shape[1], 300, 1.5
    sent = generator @ rng.integers(0, 2, (info, blocks)) % 2
    received = 1.0 - 2.0 * sent + 10 ** (-snr_db / 20) * rng.standard_normal(sent.shape)
    with np.errstate(all="ignore"), pytest.warns(UserWarning, match="Decoding stopped"):
        lost = (pyldpc.decode(theirs, received, snr_db, maxiter=50)[:info] != sent[:info]).any(axis=0).sum()
    from scipy.sparse import csr_matrix

    from semlink.phy.fec import Graph, LayeredDecoder

    decoder = LayeredDecoder(
        Graph.from_matrix(csr_matrix(theirs)), where=np.arange(300), known=(0, 0), info=info, dtype="int8"
    )
    llr = (2 * received.T * 10 ** (snr_db / 10)).astype(np.float32)
    ours = (decoder(np.ascontiguousarray(llr), 50).values != sent[:info].T).any(axis=1).sum()
    assert 15 < lost < 285
    assert ours < lost + 4.5 * np.sqrt(lost)
    assert ours > lost / 3  # a decoder that saw the answer would fail this


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="k=90, n=100: k must be from 1 and k/n up to 7/8"):
        Gallager(90, 100)
    with pytest.raises(ValueError, match=f"n={N_MAX + 1} must be at most {N_MAX}"):
        Gallager(100, N_MAX + 1)
    with pytest.raises(ValueError, match="iterations=0"):
        Gallager(10, 20, iterations=0)
    code = Gallager(40, 80)
    with pytest.raises(ValueError, match=r"bits has shape \(1, 39\)"):
        code.encode(torch.zeros(1, 39))
    with pytest.raises(ValueError, match="llr holds NaN"):
        code.decode(torch.full((1, 80), torch.nan))
