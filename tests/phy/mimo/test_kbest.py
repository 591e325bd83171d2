"""Joint detection against exhaustive search, Sionna's detector and the linear one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from semlink.phy.constellation import QAM
from semlink.phy.link import ERASED, Spatial
from semlink.phy.mimo import Multiplexing, kbest_llr
from semlink.phy.mimo.kbest import LLR_CLIP


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def receive(order: int, tx: int, rx: int, esno_db: float, *, m: int, width: int, b: int = 2) -> tuple[Tensor, Spatial]:
    """Random bits (b, n·m), and what the antennas received of them."""
    n0, qam = 10 ** (-esno_db / 10), QAM(order)
    bits = torch.randint(2, (b, m * tx * qam.bits_per_symbol), generator=rng(1))
    h = torch.randn(b, m, rx, tx, dtype=torch.complex64, generator=rng(2)) / math.sqrt(tx)
    noise = math.sqrt(n0) * torch.randn(b, m, rx, dtype=torch.complex64, generator=rng(3))
    observed = (h @ qam.map(bits).reshape(b, m, tx, 1))[..., 0] + noise
    return bits, Spatial(observed, h, torch.full((b, m), n0), width)


def exhaustive(spatial: Spatial, order: int) -> Tensor:
    """Max-log LLRs over all combinations of points."""
    qam, streams = QAM(order), spatial.h.shape[-1]
    labels = torch.tensor(list(itertools.product([0, 1], repeat=qam.bits_per_symbol * streams)))
    points = qam.map(labels).to(torch.complex128)
    away = spatial.observed.to(torch.complex128)[..., None] - spatial.h.to(torch.complex128) @ points.T
    distance = away.abs().square().sum(dim=-2) / spatial.n0[..., None]
    llr = [distance[..., bit == 1].amin(dim=-1) - distance[..., bit == 0].amin(dim=-1) for bit in labels.T]
    return torch.stack(llr, dim=-1).flatten(1)


@pytest.mark.parametrize(("order", "tx", "rx"), [(4, 2, 2), (16, 2, 2), (64, 1, 2), (4, 4, 4), (4, 3, 2), (4, 2, 1)])
@pytest.mark.parametrize("esno_db", [0.0, 15.0])
def test_a_list_of_all_points_gives_the_llrs_of_exhaustive_search(order: int, tx: int, rx: int, esno_db: float) -> None:
    _, spatial = receive(order, tx, rx, esno_db, m=60, width=order**tx)
    expected = exhaustive(spatial, order).float()
    torch.testing.assert_close(kbest_llr(spatial, order), expected, rtol=1e-4, atol=1e-4)


def test_one_stream_is_the_demapper_but_for_max_log() -> None:
    bits, spatial = receive(16, 1, 1, 12.0, m=500, width=16)
    gain = spatial.h[..., 0, 0]
    exact = QAM(16).llr(spatial.observed[..., 0] / gain, spatial.n0 / gain.abs().square())
    llr = kbest_llr(spatial, 16)
    assert (llr - exact).abs().max() < 2 * math.log(2) + 1e-3
    sure = exact.abs() > 2 * math.log(2)
    assert torch.equal((llr < 0)[sure], (exact < 0)[sure])
    assert llr.shape == bits.shape


@pytest.mark.parametrize("kind", ["zero", "rank one", "one stream of three dead"])
def test_channels_without_rank_tell_what_they_can(kind: str) -> None:
    _, spatial = receive(4, 3, 3, 10.0, m=40, width=64)
    h = spatial.h.clone()
    if kind == "rank one":
        h[:] = h[..., :1]
    h = h * torch.tensor({"zero": [0, 0, 0], "rank one": [1, 1, 1]}.get(kind, [1, 0, 1]))
    spatial = Spatial(spatial.observed, h, spatial.n0, 64)
    torch.testing.assert_close(kbest_llr(spatial, 4), exhaustive(spatial, 4).float(), rtol=1e-4, atol=1e-4)
    few = kbest_llr(Spatial(spatial.observed, h, spatial.n0, 4), 4).reshape(2, 40, 3, 2)
    assert torch.isfinite(few).all()
    dead = {"zero": [0, 1, 2], "rank one": []}.get(kind, [1])
    assert few[:, :, dead].abs().max() < 1e-5 if dead else few.abs().max() > 1


def test_padding_beyond_the_last_symbol_is_no_symbol() -> None:
    """The streams of the last use that carry nothing must not be taken for points."""
    _, spatial = receive(4, 4, 4, 30.0, m=3, width=16, b=1)
    bits = torch.randint(2, (1, 20), generator=rng(4))
    sent = torch.nn.functional.pad(QAM(4).map(bits), (0, 2)).reshape(1, 3, 4, 1)
    noise = 0.03 * torch.randn(1, 3, 4, dtype=torch.complex64, generator=rng(5))
    spatial = Spatial((spatial.h @ sent)[..., 0] + noise, spatial.h, spatial.n0, 16)
    llr = kbest_llr(spatial, 4, symbols=10)
    assert torch.equal((llr < 0).int(), bits.int())
    torch.testing.assert_close(llr[:, :16], kbest_llr(spatial, 4)[:, :16])
    torch.testing.assert_close(llr[:, :8], kbest_llr(spatial, 4, symbols=4))  # uses of padding alone, too
    last = Spatial(spatial.observed[:, 2:], spatial.h[:, 2:, :, :2], spatial.n0[:, 2:], 64)
    torch.testing.assert_close(llr[:, 16:], exhaustive(last, 4).float(), rtol=1e-3, atol=1e-3)


def test_an_llr_without_counterhypothesis_is_clipped() -> None:
    _, spatial = receive(16, 4, 4, 25.0, m=200, width=1)
    assert kbest_llr(spatial, 16).abs().max() <= LLR_CLIP * 1.0001
    assert kbest_llr(spatial, 16, clip=2.0).abs().max() <= 2.0002
    wide = Spatial(spatial.observed, spatial.h, spatial.n0, 64)
    assert kbest_llr(wide, 16).abs().max() > 10 * LLR_CLIP


def errors(llr: Tensor, bits: Tensor) -> tuple[float, float]:
    wrong = ((llr < 0) != bits.bool()).double().reshape(-1, bits.shape[1] // 200).mean(dim=1)
    return wrong.mean().item(), wrong.std().item() / math.sqrt(len(wrong))


@pytest.mark.parametrize(("order", "esno_db"), [(4, 8.0), (16, 15.0), (64, 22.0)])
def test_bit_errors_are_fewer_than_behind_the_linear_filter_and_fall_with_the_width(order: int, esno_db: float) -> None:
    rates = []
    for width in (4, 16, 64):
        bits, spatial = receive(order, 4, 4, esno_db, m=4000, width=width, b=1)
        rates.append(errors(kbest_llr(spatial, order), bits))
    scheme = Multiplexing(4, 4, "k-best", width=64)
    found = scheme.detect(spatial.observed[:, :, None], spatial.h * 2, spatial.n0, 0.0)
    assert found.bias is not None
    assert found.spatial is not None
    torch.testing.assert_close(kbest_llr(found.spatial, order), kbest_llr(spatial, order))
    linear = QAM(order).llr((found.symbols / found.bias).flatten(1), (found.n0 / found.bias.square()).flatten(1))
    mmse = errors(linear, bits)
    assert rates[1][0] < mmse[0] - 4 * math.hypot(rates[1][1], mmse[1])
    assert rates[0][0] >= rates[1][0] - 4 * rates[1][1]
    assert rates[1][0] >= rates[2][0] - 4 * rates[2][1]


def test_sionnas_detector_with_all_points_gives_the_same() -> None:
    from sionna.phy.mimo import KBestDetector

    _, spatial = receive(4, 2, 2, 10.0, m=100, width=16)
    detector = KBestDetector("bit", 2, 16, constellation_type="qam", num_bits_per_symbol=2, device="cpu")
    covariance = (spatial.n0[..., None, None] * torch.eye(2)).to(torch.complex64)
    theirs = -detector(spatial.observed, spatial.h, covariance).flatten(1)  # Sionna's is log P(1) / P(0)
    ours = kbest_llr(spatial, 4)
    torch.testing.assert_close(ours.clamp(-20, 20), theirs.clamp(-20, 20), rtol=1e-3, atol=1e-2)


def test_at_a_width_the_list_is_no_worse_than_sionnas() -> None:
    from sionna.phy.mimo import KBestDetector

    bits, spatial = receive(16, 4, 4, 15.0, m=1500, width=16, b=1)
    detector = KBestDetector(
        "bit", 4, 16, constellation_type="qam", num_bits_per_symbol=4, use_real_rep=True, device="cpu"
    )
    covariance = (spatial.n0[..., None, None] * torch.eye(4)).to(torch.complex64)
    theirs = errors(-detector(spatial.observed, spatial.h, covariance).flatten(1), bits)
    ours = errors(kbest_llr(spatial, 16), bits)
    assert ours[0] <= theirs[0] + 4 * theirs[1]
    assert ours[0] > 0


def test_one_use_is_detected_the_same_in_any_company() -> None:
    _, spatial = receive(16, 4, 4, 10.0, m=50, width=8)
    alone = Spatial(spatial.observed[1:, 7:8], spatial.h[1:, 7:8], spatial.n0[1:, 7:8], 8)
    assert torch.equal(kbest_llr(alone, 16)[0], kbest_llr(spatial, 16)[1].reshape(50, 16)[7])


def test_erasures_and_no_noise_give_finite_llrs() -> None:
    _, spatial = receive(16, 2, 2, 10.0, m=20, width=16)
    for n0, most in ((ERASED, 1e-6), (0.0, np.inf)):
        llr = kbest_llr(Spatial(spatial.observed, spatial.h, torch.full((2, 20), n0), 16), 16)
        assert torch.isfinite(llr).all()
        assert llr.abs().max() <= most


@pytest.mark.parametrize(
    ("options", "named"), [({"order": 8}, "order=8"), ({"symbols": 41}, "symbols=41"), ({"symbols": 0}, "symbols=0")]
)
def test_bad_options_name_the_value(options: dict[str, int], named: str) -> None:
    _, spatial = receive(4, 2, 2, 10.0, m=20, width=4)
    with pytest.raises(ValueError, match=named):
        kbest_llr(spatial, **{"order": 4, **options})
