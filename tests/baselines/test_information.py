"""Mutual information of any constellation: on that of QAM, on a published figure, and by simulation."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from semlink.baselines import capacity
from semlink.baselines.doors import parse_scheme, points_of
from semlink.baselines.information import effective_esno_db, esno_db_for, information
from semlink.baselines.mcs import MCS
from semlink.phy.constellation import QAM
from semlink.phy.modulation import apsk, bpsk, psk

LEVELS = [-10.0, 0.0, 6.0, 12.0, 20.0]


def test_of_qam_it_is_what_capacity_has() -> None:
    points = points_of(MCS(16, Fraction(1, 2)))
    for kind, exact in (("constrained", capacity.constrained), ("bicm", capacity.bicm)):
        assert information(points, LEVELS, kind) == pytest.approx(exact(16, LEVELS), abs=1e-4)  # type: ignore[arg-type]


def test_8psk_carries_two_bits_at_what_ungerboeck_printed() -> None:
    """ "Theoretically, error-free transmission of 2 bit/T with 8-PSK is possible already at SNR = 5.9 dB" (1987)."""
    assert float(esno_db_for(parse_scheme("1/2", "8psk"), 2.0)) == pytest.approx(5.9, abs=0.15)


def test_bpsk_is_half_of_qpsk_at_twice_the_energy() -> None:
    got = information(bpsk(), LEVELS)
    assert 2 * got == pytest.approx(capacity.constrained(4, np.array(LEVELS) + 10 * math.log10(2)), abs=1e-4)


def test_apsk_carries_what_a_simulation_counts() -> None:
    """E log2(M p(y|x) / Σ p(y|x')) over drawn noise, in standard errors; and 0.2 dB would be caught."""
    points, esno_db, count = apsk(32, "3/4"), 11.0, 60_000
    rng = np.random.default_rng(0)
    sent = points.points[rng.integers(0, 32, count)]
    n0 = 10 ** (-esno_db / 10)
    y = sent + math.sqrt(n0 / 2) * (rng.standard_normal(count) + 1j * rng.standard_normal(count))
    metric = -(np.abs(y[:, None] - points.points) ** 2) / n0
    each = 5 + (-(np.abs(y - sent) ** 2) / n0 - logsumexp(metric, axis=1)) / math.log(2)
    error = each.std() / math.sqrt(count)
    assert abs(float(information(points, esno_db)) - each.mean()) < 4.5 * error
    assert abs(float(information(points, esno_db - 0.2)) - each.mean()) > 4.5 * error


def test_rings_carry_more_than_one_circle_and_less_than_shannon() -> None:
    for level in (8.0, 12.0):
        ring, circle = float(information(apsk(16, "2/3"), level)), float(information(psk(16), level))
        assert circle < ring < float(capacity.shannon(level))
        assert float(information(psk(16), level, "bicm")) <= circle + 1e-9


@pytest.mark.parametrize("name", ["8psk", "16apsk", "pi2bpsk"])
def test_the_inverse_leads_back(name: str) -> None:
    scheme = parse_scheme("3/4", name)
    bits = 0.75 * scheme.bits_per_symbol
    level = float(esno_db_for(scheme, bits))
    assert float(information(points_of(scheme), level)) == pytest.approx(bits, abs=2e-3)
    with pytest.raises(ValueError, match=f"must be at least 0 and below {scheme.bits_per_symbol}"):
        esno_db_for(scheme, float(scheme.bits_per_symbol))


def test_a_constant_channel_is_worth_itself_and_a_varying_one_less_than_its_mean() -> None:
    scheme = parse_scheme("3/4", "8psk")
    same = effective_esno_db(scheme, np.full((2, 7), 10.0))
    assert same == pytest.approx([10.0, 10.0], abs=0.05)
    assert float(effective_esno_db(scheme, np.array([1.0, 19.0]))) < 9.0
    assert float(effective_esno_db(scheme, np.array([0.0, 0.0]))) <= -39


def test_points_of_a_mapper_are_what_it_sends() -> None:
    points = points_of(MCS(64, Fraction(1, 2)))
    assert points.bits_per_symbol == 6
    bits = torch.randint(0, 2, (1, 60), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert torch.allclose(points.map(bits), QAM(64).map(bits))
