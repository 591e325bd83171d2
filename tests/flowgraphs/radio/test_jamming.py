"""The friendly jammer on a stream of samples, alone and within the simulated line."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.flowgraphs.radio.jamming import Jammer, Jamming, parse_jamming
from semlink.flowgraphs.radio.line import Line
from semlink.phy.waveform import Loopback


def test_it_has_the_power_it_says_however_it_is_cut() -> None:
    n = 100_000
    whole = Jammer(Jamming(-3.0), seed=1).take(n)
    power = 10**-0.3
    measured = float(np.mean(np.abs(whole) ** 2))
    assert abs(measured / power - 1) < 4 / np.sqrt(n)
    assert abs(measured / power - 10**0.02) > 4 / np.sqrt(n)  # 0.2 dB would be seen
    jamming = Jamming(0.0, uniform=True, hold=1000)
    cut, cuts = Jammer(jamming, seed=2), (0, 1, 999, 3000, 2500)
    np.testing.assert_array_equal(
        np.concatenate([cut.take(count) for count in cuts]), Jammer(jamming, seed=2).take(sum(cuts))
    )


def test_a_random_power_is_uniform_and_holds() -> None:
    held = np.abs(Jammer(Jamming(3.0, uniform=True, hold=500), seed=3).take(400 * 500).reshape(400, 500)) ** 2
    share = held.mean(axis=1) / 10**0.3
    assert abs(share.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 400)
    assert abs((share < 0.25).mean() - 0.25) < 4 * np.sqrt(0.19 / 400)


def test_a_line_adds_it_beside_the_noise_and_without_it_is_what_it_was() -> None:
    n = 100_000
    jammed = Line(Loopback(n0=0.1, gain_db=6.0), seed=4, jamming=Jamming(-10.0)).push(np.zeros(n, np.complex64))
    energy = float(np.mean(np.abs(jammed) ** 2)) / 10**0.6
    assert abs(energy / 0.2 - 1) < 4 / np.sqrt(len(jammed))
    alone = Line(Loopback(n0=0.1), seed=4).push(np.zeros(1000, np.complex64))
    silent = Line(Loopback(n0=0.1), seed=4, jamming=Jamming(-100.0)).push(np.zeros(1000, np.complex64))
    np.testing.assert_allclose(alone, silent, atol=1e-4)


def test_its_text() -> None:
    assert parse_jamming(" ") is None
    assert parse_jamming("friendly, jsr=-6dB, power=uniform, hold=100") == Jamming(-6.0, uniform=True, hold=100)
    assert parse_jamming("friendly,jsr=2,power=fixed") == Jamming(2.0)
    for text in ("barrage,jsr=1", "friendly", "friendly,jsr=x", "friendly,jsr=1,jsr=2", "friendly,jsr=1,power=odd"):
        with pytest.raises(ValueError, match=r"jammer='.*' must be friendly,jsr=DB"):
            parse_jamming(text)
    with pytest.raises(ValueError, match=r"jsr=90.0 must be from -100 to 60 dB"):
        parse_jamming("friendly,jsr=90")
    with pytest.raises(ValueError, match="hold=0 must be at least 1 sample"):
        parse_jamming("friendly,jsr=1,hold=0")
