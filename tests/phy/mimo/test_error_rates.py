"""Error rates, diversity and capacity of the schemes, each on its closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import stats

from semlink.phy.constellation import QAM
from semlink.phy.mimo import Alamouti, Mrc, Mrt, Multiplexing, Scheme, Svd
from semlink.phy.mimo.theory import (
    alamouti_qam_ber,
    diversity_slope,
    ergodic_capacity,
    mrc_capacity,
    mrc_qam_ber,
    zf_diversity,
    zf_qam_ber,
    zf_snr_cdf,
)


@pytest.fixture
def check_capacity(send: Callable[..., Any]) -> Callable[..., None]:
    def check(scheme: Scheme, expected: float, off_db: float) -> None:
        esno_db = 10.0
        found = send(scheme, esno_db + off_db, g=20_000).found
        rate = (1 + 1 / found.n0).log2().sum(dim=-1).flatten().double()
        assert abs(rate.mean().item() - expected) <= 4 * rate.std().item() / math.sqrt(rate.numel())

    return check


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        (Svd(4, 4, "equal"), ergodic_capacity(10.0, tx=4, rx=4)),
        (Svd(2, 3, "equal"), ergodic_capacity(10.0, tx=2, rx=3)),
        (Mrc(3), mrc_capacity(10.0, branches=3)),
        (Mrt(3), mrc_capacity(10.0, branches=3)),
    ],
)
def test_ergodic_capacity_of_the_simulated_channel_is_the_integral(
    scheme: Scheme, expected: float, check_capacity: Callable[..., None]
) -> None:
    """With equal power over as many streams as transmit antennas the streams' rates add up to log det."""
    check_capacity(scheme, float(expected), 0.0)
    for off_db in (-0.2, 0.2):
        with pytest.raises(AssertionError):
            check_capacity(scheme, float(expected), off_db)


@pytest.fixture
def bit_errors(send: Callable[..., Any]) -> Callable[..., tuple[float, float]]:
    """Bit error rate, and its standard error from the groups, which are independent."""

    def measure(scheme: Scheme, esno_db: float, order: int, g: int) -> tuple[float, float]:
        qam = QAM(order)
        trial = send(scheme, esno_db, b=1, g=g, order=order)
        bias = 1.0 if trial.found.bias is None else trial.found.bias
        symbols, n0 = (trial.found.symbols / bias).reshape(1, -1), torch.full((1, g * scheme.streams), 1e-3)
        wrong = (qam.llr(symbols, n0) < 0) != (qam.llr(trial.sent.reshape(1, -1), n0) < 0)
        groups = wrong.reshape(g, -1).double().mean(dim=1)
        return groups.mean().item(), groups.std().item() / math.sqrt(g)

    return measure


BIT_ERRORS = [
    (Alamouti(1), 4, 10.0, lambda db: alamouti_qam_ber(4, db, rx=1)),
    (Alamouti(2), 16, 10.0, lambda db: alamouti_qam_ber(16, db, rx=2)),
    (Mrc(2), 4, 8.0, lambda db: mrc_qam_ber(4, db, branches=2)),
    (Mrc(4), 16, 7.0, lambda db: mrc_qam_ber(16, db, branches=4)),
    (Mrt(3), 4, 4.0, lambda db: mrc_qam_ber(4, db, branches=3)),
    (Multiplexing(2, 2, "zf"), 4, 10.0, lambda db: zf_qam_ber(4, db, tx=2, rx=2)),
    (Multiplexing(2, 4, "zf"), 16, 10.0, lambda db: zf_qam_ber(16, db, tx=2, rx=4)),
]


@pytest.mark.parametrize(("scheme", "order", "esno_db", "theory"), BIT_ERRORS)
def test_bit_error_rates_are_on_the_closed_form(
    scheme: Scheme, order: int, esno_db: float, theory: object, bit_errors: Callable[..., tuple[float, float]]
) -> None:
    rate, error = bit_errors(scheme, esno_db, order, 400_000 // scheme.streams)
    assert abs(rate - theory(esno_db)) <= 4 * error  # type: ignore[operator]
    for off_db in (-0.2, 0.2):
        assert abs(rate - theory(esno_db + off_db)) > 4 * error  # type: ignore[operator]


@pytest.mark.parametrize(
    ("scheme", "order", "low_db"),
    [(Alamouti(1), 2, 10.0), (Mrc(3), 3, 5.0), (Multiplexing(2, 2, "zf"), 1, 15.0), (Mrt(2), 2, 8.0)],
)
def test_diversity_order_by_slope(scheme: Scheme, order: int, low_db: float, send: Callable[..., Any]) -> None:
    """Measured with the outage of the SNR, P(SNR < s) ∝ s^L for small s: nothing of the modulation in it."""
    snr = 1 / send(scheme, 0.0, g=100_000).found.n0[..., 0].flatten().double()
    thresholds = torch.tensor([0.15, 0.3]) * 10 ** ((order - 1) / 10)
    outage = torch.stack([(snr < threshold).double().mean() for threshold in thresholds])
    slope = diversity_slope((-10 * thresholds.log10()).numpy(), outage.numpy())[0]
    assert abs(slope - order) < 0.35 * math.sqrt(order)
    assert min(abs(slope - other) for other in (order - 1, order + 1)) > abs(slope - order)


@pytest.mark.parametrize(("tx", "rx"), [(4, 4), (2, 4)])
def test_zero_forced_snr_has_its_distribution(tx: int, rx: int, send: Callable[..., Any]) -> None:
    scheme = Multiplexing(tx, rx, "zf")
    snr = 1 / send(scheme, 10.0, b=1, g=30_000).found.n0[0, :, 0].double().numpy()
    assert stats.kstest(snr, lambda s: zf_snr_cdf(s, 10.0, tx=tx, rx=rx)).pvalue > 1e-3
    assert stats.kstest(snr, lambda s: zf_snr_cdf(s, 10.2, tx=tx, rx=rx)).pvalue < 1e-3
    assert zf_diversity(tx=tx, rx=rx) == rx - tx + 1


@pytest.mark.parametrize("esno_db", [0.0, 10.0, 25.0])
def test_mmse_is_never_worse_than_zero_forcing(esno_db: float, send: Callable[..., Any]) -> None:
    zf, mmse = (send(Multiplexing(4, 4, name), esno_db).found for name in ("zf", "mmse"))  # type: ignore[arg-type]
    assert mmse.bias is not None
    assert (mmse.n0 / mmse.bias.square() <= zf.n0 * (1 + 1e-4)).all()
    trial = send(Multiplexing(4, 4), esno_db)
    error = (trial.found.symbols - trial.sent).abs().square().mean()
    assert error.item() == pytest.approx((1 - mmse.bias).mean().item(), rel=0.05)
