"""Root-raised-cosine pulses: what is left of interference, and the slope of the matched filter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semlink.phy.waveform.pulse import Pulse, root_raised_cosine


@pytest.mark.parametrize(("rolloff", "span", "floor_db"), [(0.25, 8, -58), (0.35, 8, -52), (1.0, 4, -50)])
def test_pulses_leave_next_to_no_interference(
    rolloff: float, span: int, floor_db: float, noise: Callable[[np.random.Generator, int], np.ndarray]
) -> None:
    pulse, sent = Pulse(4, rolloff, span), noise(np.random.default_rng(0), 400)
    samples = np.concatenate([np.zeros(8), pulse.shape(sent), np.zeros(8)]).astype(np.complex64)
    got = pulse.matched(samples, 8 + pulse.half + 4 * np.arange(400.0))
    assert 10 * np.log10(np.mean(np.abs(got - sent) ** 2)) < floor_db
    assert np.sum(np.abs(pulse.taps(0.0)) ** 2) == pytest.approx(1, rel=1e-5)


def test_the_pulse_is_smooth_where_its_formula_is_not() -> None:
    for rolloff in (0.25, 0.5, 1.0):
        for at in (0.0, 1 / (4 * rolloff), -1 / (4 * rolloff)):
            near = root_raised_cosine(np.array([at - 1e-5, at, at + 1e-5]), rolloff)
            assert near[1] == pytest.approx((near[0] + near[2]) / 2, abs=1e-6)


def test_the_slope_is_the_derivative_of_what_the_matched_filter_gives(
    noise: Callable[[np.random.Generator, int], np.ndarray],
) -> None:
    pulse, sent = Pulse(4, 0.25, 16), noise(np.random.default_rng(1), 300)
    samples = np.concatenate([np.zeros(8), pulse.shape(sent), np.zeros(8)]).astype(np.complex64)
    times = 8 + pulse.half + 4 * np.arange(300.0)
    difference = (pulse.matched(samples, times + 0.25) - pulse.matched(samples, times - 0.25)) * 8
    slope = pulse.slope(sent)
    assert np.mean(np.abs(difference - slope)[20:-20] ** 2) < 1e-3 * np.mean(np.abs(slope) ** 2)


def test_half_the_symbol_rate_of_full_rolloff_has_a_slope() -> None:
    assert np.isfinite(Pulse(4, 0.5, 8).slope(np.ones(20))).all()
