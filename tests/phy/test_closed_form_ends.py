"""Closed forms at both ends: no Es/N0 at all, without end, and where 1 less something near 1 has no digits left."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semlink.baselines.fading_ceilings import outage_capacity_rayleigh
from semlink.phy.mimo.theory import (
    alamouti_qam_ber,
    mrc_capacity,
    mrc_outage_capacity,
    mrc_outage_probability,
    mrc_qam_ber,
    zf_snr_cdf,
)
from semlink.phy.theory import qam_ber_rayleigh

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


@pytest.mark.parametrize("order", [4, 16, 256])
def test_bit_error_rates_on_fading_have_all_digits(order: int) -> None:
    """Far up the rate falls by a decade in 10 dB for each branch, as the first term of its series does."""
    levels = np.array([-math.inf, 130.0, 150.0, 170.0, math.inf])
    for ber, branches in (
        (qam_ber_rayleigh(order, levels), 1),
        (mrc_qam_ber(order, levels, branches=1), 1),
        (mrc_qam_ber(order, levels, branches=2), 2),
        (alamouti_qam_ber(order, levels, rx=1), 2),
    ):
        assert ber[0] == pytest.approx(0.5)
        assert ber[1:4] == pytest.approx(ber[1] * 100.0 ** (-branches * np.arange(3)), rel=1e-6)
        assert ber[4] == 0.0
    assert qam_ber_rayleigh(order, levels) == pytest.approx(mrc_qam_ber(order, levels, branches=1), rel=1e-12)


def test_combined_capacity_is_its_integral_where_the_series_takes_over() -> None:
    gain, weight = np.polynomial.laguerre.laggauss(60)  # E log2(1 + γ g), g of density g e^-g
    levels = np.array([-19.9, -20.1, -27.7, -27.9, -40.0])
    integral = [weight @ (gain * np.log1p(10 ** (level / 10) * gain)) / math.log(2) for level in levels]
    assert mrc_capacity(levels, branches=2) == pytest.approx(integral, rel=1e-10)
    assert float(mrc_capacity(-math.inf, branches=2)) == 0.0
    assert float(mrc_capacity(math.inf, branches=2)) == math.inf


@pytest.mark.parametrize("esno_db", [-math.inf, -400.0, 0.0, 400.0, math.inf])
def test_nothing_to_carry_never_fails_and_what_never_fails_carries_nothing(esno_db: float) -> None:
    assert float(mrc_outage_probability(0.0, esno_db, branches=2)) == 0.0
    assert float(zf_snr_cdf(0.0, esno_db, tx=2, rx=2)) == 0.0
    assert float(mrc_outage_capacity(0.0, esno_db, branches=2)) == 0.0
    assert float(outage_capacity_rayleigh(esno_db, 0.0)) == 0.0
    certain = {-math.inf: 1.0, -400.0: 1.0, 400.0: 0.0, math.inf: 0.0}
    if esno_db in certain:
        assert float(mrc_outage_probability(1.0, esno_db, branches=2)) == pytest.approx(certain[esno_db])
        assert float(zf_snr_cdf(1.0, esno_db, tx=2, rx=2)) == pytest.approx(certain[esno_db])


def test_a_small_capacity_keeps_its_digits() -> None:
    """log2(1 + x) is x / ln 2 for x as small as this."""
    once = float(mrc_outage_capacity(0.5, -200.0, branches=1))
    assert once == pytest.approx(1e-20 * math.log(2) / math.log(2), rel=1e-9)
