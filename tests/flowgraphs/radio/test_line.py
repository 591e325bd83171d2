"""The simulated line: a stream through it gives what the loopback gives of all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semlink.flowgraphs.radio.line import Line, parse_taps, to_n0
from semlink.phy.waveform import Loopback


def smooth(samples: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """White noise within a third of the band, as an interpolator wants it."""
    n, spectrum = len(samples), np.fft.fft(samples)
    spectrum[n // 6 : -n // 6] = 0
    return np.fft.ifft(spectrum).astype(np.complex64)


def in_pieces(line: Line, samples: NDArray[Any], seed: int) -> NDArray[np.complex64]:
    rng, out, start = np.random.default_rng(seed), [], 0
    while start < len(samples):
        count = int(rng.integers(0, 3000))
        out.append(line.push(samples[start : start + count]))
        start += count
    return np.concatenate(out)


# The line


@pytest.mark.parametrize(
    "options",
    [
        Loopback(),
        Loopback(delay=3.0, gain_db=-6.0, dc=0.1j, phase=2.0),
        Loopback(cfo=1e-3, ppm=50, delay=17.25, phase=1.0, taps=(1, 0, 0.3 - 0.2j)),
        Loopback(cfo=-0.01, ppm=-80),
    ],
)
def test_a_stream_gives_what_the_loopback_gives_of_all_of_it(
    options: Loopback, gaussian: Callable[..., NDArray[np.complex64]]
) -> None:
    samples = smooth(gaussian(60_000))
    whole = options(samples, rng=np.random.default_rng(0))
    for seed in (1, 2):
        got = in_pieces(Line(options), samples, seed)
        assert len(got) > len(whole) - 60
        np.testing.assert_allclose(got, whole[: len(got)], atol=2e-4)


def test_a_line_adds_the_noise_it_says() -> None:
    n = 200_000
    got = in_pieces(Line(Loopback(n0=0.25), seed=3), np.zeros(n), 1)
    energy = float(np.mean(np.abs(got) ** 2))
    error = 0.25 / np.sqrt(len(got))  # of the mean of exponentially distributed energies
    assert abs(energy - 0.25) < 4 * error
    assert abs(energy - 0.25 * 10**0.02) > 4 * error  # 0.2 dB would be seen
    other = in_pieces(Line(Loopback(n0=0.25), seed=4), np.zeros(n), 1)
    assert abs(np.mean(got[: len(other)] * other[: len(got)].conj())) < 4 * error


def test_a_change_leaves_carrier_and_clock_without_a_jump() -> None:
    tone, line = np.ones(40_000, dtype=np.complex64), Line(Loopback(cfo=1e-3))
    first = line.push(tone[:20_000])
    line.set(cfo=-2e-3, n0=0.0)
    turned = np.angle(np.concatenate([first, line.push(tone[20_000:])])[100:])
    steps = np.abs(np.diff(np.unwrap(turned))) / (2 * np.pi)
    assert np.minimum(np.abs(steps - 1e-3), np.abs(steps - 2e-3)).max() < 1e-5
    assert steps.min() < 1.1e-3 < 1.9e-3 < steps.max()
    line.set(ppm=100)
    ramp = np.cumsum(np.full(5000, 1e-3)).astype(np.complex64)
    quiet = Line(Loopback())
    before = quiet.push(ramp[:2500])
    quiet.set(ppm=100)
    clock = np.diff(np.concatenate([before, quiet.push(ramp[2500:])])[50:].real)
    assert 0.99e-3 < clock.min() < clock.max() < 1.01e-3


def test_a_line_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"cfo=0.7 must be from -0.5 to 0.5"):
        Line(Loopback()).set(cfo=0.7)
    with pytest.raises(ValueError, match="taps='1;2' must be numbers between commas"):
        parse_taps("1;2")
    assert parse_taps("1, 0, 0.2 - 0.1j") == (1, 0, 0.2 - 0.1j)
    assert to_n0(10) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="esno_db=300 must be from -50 to 200 dB"):
        to_n0(300)
