"""Es/N0 far beyond any use: every channel hands back numbers, and nothing like a symbol where none arrived."""

from __future__ import annotations

import pytest
import torch

from semlink.phy.channels import parse_channel
from semlink.phy.link import ERASED, REACH_DB, esno_to_n0
from semlink.phy.mimo import Single
from semlink.phy.rng import probe

CHANNELS = (
    "awgn", "rayleigh", "rayleigh:mmse", "rayleigh:csi=none", "rayleigh:estimated,mmse",
    "rayleigh:estimated,estimator=ls", "rayleigh:fast,estimated,doppler=0.01,estimator=ls", "nakagami:m=0.5,mmse",
    "mimo:2x2", "mimo:2x2,svd", "mimo:2x2,estimated", "mimo:2x1,alamouti", "uplink:sic", "downlink", "tdl-a:estimated",
    "tdl-a:estimated,estimator=ls", "rayleigh+rapp:ibo=3", "awgn+adc:bits=3", "waveform:segment=64",
)  # fmt: skip


def test_beyond_its_reach_es_n0_is_that_of_the_end() -> None:
    assert esno_to_n0(-4000.0) == esno_to_n0(-REACH_DB) == pytest.approx(1e30)
    assert esno_to_n0(4000.0) == esno_to_n0(REACH_DB) == pytest.approx(1e-30)
    assert esno_to_n0(-REACH_DB + 1) < esno_to_n0(-REACH_DB)


@pytest.mark.parametrize("text", CHANNELS)
@pytest.mark.parametrize("esno_db", [-4000.0, -200.0, 4000.0])
def test_what_is_handed_back_is_numbers(text: str, esno_db: float) -> None:
    got = parse_channel(text)(probe(2, 24), esno_to_n0(esno_db), rng=torch.Generator().manual_seed(1)).unbiased()
    assert torch.view_as_real(got.symbols).isfinite().all()
    assert got.n0.isfinite().all()
    # An LLR is of the size of |y| / n0. Least squares alone takes the noise on its pilots for a gain.
    if esno_db < 0 and "estimator=ls" not in text:
        assert float((got.symbols.abs() / got.n0).max()) < 1e-3


def test_one_tap_of_which_nothing_arrives_is_an_erasure_and_both_equalisers_say_the_same() -> None:
    tap = torch.tensor([1.0, 0.1, 1e-20]).reshape(1, 3, 1, 1).to(torch.complex64)
    observed, noise = 1e4 * torch.ones(1, 3, 1, 1, dtype=torch.complex64), torch.tensor([[1e8, 1e8, 1e8]])
    zf, mmse = (Single(one).detect(observed, tap, noise, 1e8) for one in ("zf", "mmse"))
    assert zf.n0.flatten().tolist() == pytest.approx([1e8, ERASED, ERASED])
    assert zf.symbols.flatten().abs().tolist() == pytest.approx([1e4, 0.0, 0.0])
    assert mmse.bias is not None
    torch.testing.assert_close(mmse.symbols / mmse.bias, zf.symbols)
    torch.testing.assert_close(mmse.n0 / mmse.bias.square(), zf.n0)
