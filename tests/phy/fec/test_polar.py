"""5G polar through Sionna: signs, sizes, and what a list decoder gains on nothing but the channel."""

from __future__ import annotations

import pytest
import torch

from semlink.phy.channels import AWGN
from semlink.phy.constellation import QAM
from semlink.phy.fec import BlockCode, Polar5G, Uncoded
from semlink.phy.link import esno_to_n0


@pytest.mark.parametrize(("k", "n"), [(20, 40), (32, 64), (40, 216)])  # shortened, of a power of two, repeated
def test_bits_come_back(k: int, n: int) -> None:
    code = Polar5G(k, n)
    assert isinstance(code, BlockCode)
    bits = torch.randint(0, 2, (6, k), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    coded = code.encode(bits)
    assert coded.dtype == bits.dtype
    assert coded.shape == (6, n)
    llr = 1 - 2 * coded.double()
    assert torch.equal(code.decode(1e9 * llr), bits.double())
    llr[:, ::9] *= -1  # one coded bit in nine is wrong
    if n > 2 * k:
        assert torch.equal(code.decode(llr), bits.double())
    assert code.decode(torch.empty(0, n)).shape == (0, k)


def test_it_corrects_what_uncoded_bits_lose() -> None:
    """At Es/N0 of 2 dB, QPSK: hardly a block of 32 bits survives uncoded."""
    code, n0, rng = Polar5G(32, 64), esno_to_n0(2.0), torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (64, 32), generator=rng, dtype=torch.uint8)

    def lost(coder: BlockCode) -> int:
        got = AWGN()(QAM(4).map(coder.encode(bits)), n0, rng=torch.Generator().manual_seed(1))
        decoded = coder.decode(QAM(4).llr(got.symbols, got.n0))
        return int((decoded != bits).any(dim=1).sum())

    assert lost(code) <= 24  # 17 of 64 here
    assert lost(Uncoded(32)) > 50


def test_sizes_that_it_does_not_have_are_refused() -> None:
    for k, n, words in (
        (19, 64, "k=19 must be from 20 to 1013"),
        (1014, 1088, "k=1014 must be from 20 to 1013"),
        (100, 110, r"n=110 must be from k \+ 11 = 111"),
        (100, 1089, "to 1088"),
    ):
        with pytest.raises(ValueError, match=words):
            Polar5G(k, n)
    with pytest.raises(ValueError, match="list_size=3 must be a power of two"):
        Polar5G(32, 64, list_size=3)
    with pytest.raises(ValueError, match=r"llr has shape \(1, 63\)"):
        Polar5G(32, 64).decode(torch.zeros(1, 63))
    with pytest.raises(ValueError, match="bits holds other values"):
        Polar5G(32, 64).encode(torch.full((1, 32), 2.0))
