"""The loopback's impairments, each against arithmetic or against the torch stages of the same name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semlink.phy.impairments import SamplingOffset
from semlink.phy.waveform import Loopback, resample


def tones(times: np.ndarray) -> np.ndarray:
    """A signal that is known at any time, up to 0.42 of the sample rate."""
    return sum(np.exp(2j * np.pi * (f * times + f**2)) for f in (-0.42, -0.2, 0.01, 0.3, 0.41))


def test_values_between_samples_are_those_of_the_signal() -> None:
    times = np.arange(40_000) * (1 + 37e-6) + 0.3
    got = resample(tones(np.arange(40_100.0)), times)
    assert 20 * np.log10(np.abs(got - tones(times))[100:-100].max()) < -60


def test_the_clock_is_that_of_the_torch_stage() -> None:
    rng = np.random.default_rng(0)
    samples = np.convolve(rng.standard_normal(3000) + 1j * rng.standard_normal(3000), np.sinc(np.arange(-20, 21) / 2))
    theirs = SamplingOffset(50.0, delay=3.4)(torch.from_numpy(samples)[None], rng=[torch.Generator()]).samples[0]
    ours = Loopback(ppm=50, delay=3.4).carry(samples)
    np.testing.assert_allclose(ours[50:2900], theirs.numpy()[50:2900], atol=5e-3 * np.abs(samples).max())


def test_nothing_is_done_when_nothing_is_asked_for() -> None:
    samples = tones(np.arange(100.0))
    np.testing.assert_allclose(Loopback()(samples, rng=np.random.default_rng(0)), samples, rtol=1e-6)


def test_noise_gain_offset_constant_and_echoes_are_as_told() -> None:
    rng, n = np.random.default_rng(1), 100_000
    got = Loopback(n0=0.5, gain_db=-20, dc=1 + 2j)(np.zeros(n), rng=rng)
    assert np.mean(got) == pytest.approx(1 + 2j, abs=1e-3)
    assert np.var(got) == pytest.approx(0.5 * 0.01, rel=0.02)
    assert np.var(got.real) == pytest.approx(0.25 * 0.01, rel=0.02)
    turned = Loopback(cfo=0.01, phase=0.5)(np.ones(100), rng=rng)
    np.testing.assert_allclose(turned, np.exp(1j * (0.5 + 2 * np.pi * 0.01 * np.arange(100))), atol=1e-5)
    echo = Loopback(taps=(0.5, 0, 0.25j))(np.array([1.0, 2.0]), rng=rng)
    np.testing.assert_allclose(echo, [0.5, 1, 0.25j, 0.5j])


def test_a_delay_is_longer_and_the_same_seed_gives_the_same() -> None:
    line = Loopback(n0=1, delay=10.25)
    one, other = (line(np.ones(100), rng=np.random.default_rng(3)) for _ in range(2))
    assert len(one) == 111
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n0": -1.0}, "n0=-1.0 must be from 0"),
        ({"cfo": 0.6}, "cfo=0.6 must be from -0.5 to 0.5"),
        ({"ppm": float("nan")}, "ppm=nan"),
        ({"delay": -1.0}, "delay=-1.0"),
        ({"taps": ()}, r"taps=\(\)"),
        ({"dc": complex("nan")}, "dc="),
    ],
)
def test_what_is_out_of_range_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Loopback(**options)  # type: ignore[arg-type]
