"""Mutual information of many points at once, and the search for an Es/N0, against a plain sum and SciPy's roots."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from semlink.baselines import capacity
from semlink.baselines.capacity import bicm, bicm_by_bit, constrained, esno_db_for


@pytest.mark.parametrize("order", [4, 16, 256])
def test_each_label_is_what_a_plain_sum_says(order: int) -> None:
    """Of every point and label by itself, at its own noise: nothing is mirrored and no distance shared."""
    bits, esno_db = math.isqrt(order).bit_length() - 1, np.array([-3.0, 8.0, 19.0])
    points = np.arange(1.0 - 2**bits, 2**bits, 2.0)
    labels = capacity._gray_labels(bits)
    noise = np.linspace(-9, 9, 721)
    weight = norm.pdf(noise) / norm.pdf(noise).sum()
    for level, found in zip(esno_db, bicm_by_bit(order, esno_db).T, strict=True):
        at = points * np.sqrt(3 * 10 ** (level / 10) / (order - 1))
        likely = norm.pdf((at[:, None] + noise)[:, :, None] - at)  # (sent, noise, point)
        for label, told in zip(labels.T, found, strict=True):
            same = (likely * (label[:, None] == label)[:, None]).sum(axis=2)
            missing = (np.log2(likely.sum(axis=2) / same) @ weight).mean()
            assert told == pytest.approx(1 - missing, abs=1e-9)


def test_pieces_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many levels are taken at a time, and an empty list has none."""
    levels = np.linspace(-10, 30, 23)
    whole = bicm(64, levels), bicm_by_bit(64, levels)
    monkeypatch.setattr(capacity, "_MOST", 1)
    np.testing.assert_allclose(bicm(64, levels), whole[0], atol=1e-13)
    np.testing.assert_allclose(bicm_by_bit(64, levels), whole[1], atol=1e-13)
    assert bicm_by_bit(64, levels[:0]).shape == (3, 0)
    assert constrained(64, np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("order", [4, 64, 1024])
def test_the_search_finds_the_root(order: int) -> None:
    """One by one or all at once, up to next to nothing missing; Brent's method brackets it by itself."""
    shares = np.array([1e-4, 0.05, 0.3, 0.77, 0.926, 0.97, 0.999])
    bits = shares * math.log2(order)
    found = esno_db_for(bits, order=order)
    for wanted, one in zip(bits, found, strict=True):
        assert float(esno_db_for(float(wanted), order=order)) == pytest.approx(one, abs=2e-9)
        own = brentq(lambda level, wanted=wanted: float(constrained(order, level)) - wanted, -60, 60, xtol=1e-11)
        assert one == pytest.approx(own, abs=1e-8)


def test_the_search_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rates of links: five evaluations and a last one or two, where bisection to 1e-9 dB would take 35."""
    asked: list[int] = []
    plain = capacity.constrained
    monkeypatch.setattr(capacity, "constrained", lambda *given: (asked.append(1), plain(*given))[1])
    for order, share in ((4, 0.5), (16, 0.6), (64, 0.75), (256, 0.9)):
        asked.clear()
        capacity.esno_db_for(share * math.log2(order), order=order)
        assert len(asked) <= 10
