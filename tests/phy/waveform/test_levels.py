"""Level and clipping of samples, of which floats do not tell their full scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semlink.phy.waveform.levels import LevelMeter


def measure(samples: np.ndarray, *, integers: bool = False, pieces: int = 1) -> LevelMeter:
    """A meter that was given samples in pieces."""
    meter = LevelMeter(integers=integers)
    for piece in np.array_split(samples.astype(np.complex64), pieces):
        meter.push(piece)
    return meter


def clip(samples: np.ndarray) -> np.ndarray:
    """As a converter does whose full scale is 1."""
    return np.clip(samples.real, -1, 1) + 1j * np.clip(samples.imag, -1, 1)


def quantise(samples: np.ndarray, bits: int) -> np.ndarray:
    """As a converter does."""
    levels = 2 ** (bits - 1) - 1
    return np.rint(clip(samples) * levels) / levels


@pytest.fixture
def gaussian(noise: Callable[[np.random.Generator, int], np.ndarray]) -> np.ndarray:
    return noise(np.random.default_rng(0), 100_000)


def test_levels_are_those_of_the_samples(gaussian: np.ndarray) -> None:
    meter = measure(0.1 * gaussian)
    assert meter.samples == 100_000
    assert meter.mean_db == pytest.approx(-20, abs=0.05)
    assert meter.peak_db == pytest.approx(20 * np.log10(0.1 * np.abs([gaussian.real, gaussian.imag]).max()), abs=1e-4)
    assert measure(np.zeros(10)).mean_db == -np.inf
    assert np.isnan(measure(np.zeros(0)).mean_db)
    assert measure(np.zeros(0), integers=True).clipped is None


@pytest.mark.parametrize("scale", [0.4, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("bits", [8, 12, 24])
def test_a_plateau_tells_what_was_clipped(gaussian: np.ndarray, scale: float, bits: int) -> None:
    """At any gain behind the converter; with the codes next to full scale, which are rounded to it, counted."""
    samples = quantise(scale * gaussian, bits)
    share = np.mean(np.maximum(np.abs(samples.real), np.abs(samples.imag)) == 1)
    assert share > 5e-4
    for gain in (1.0, 0.3):
        assert measure(gain * samples).clipped == share
    assert measure(samples, integers=True).clipped == share


@pytest.mark.parametrize("bits", [8, 12, 24])
def test_what_was_not_clipped_has_none(gaussian: np.ndarray, bits: int) -> None:
    for scale in (0.2, 0.05, 0.01):
        samples = quantise(scale * gaussian, bits)
        assert measure(samples).clipped is None
        assert measure(samples, integers=True).clipped == 0
    tone = quantise(0.7 * np.exp(0.2j * np.pi * np.arange(20_000)), bits)
    assert measure(tone).clipped is None
    assert measure(np.tile(0.2 * gaussian[:500], 40)).clipped is None  # the same burst again and again


@pytest.mark.parametrize("integers", [False, True])
def test_how_a_stream_is_cut_does_not_matter(gaussian: np.ndarray, integers: bool) -> None:
    for samples in (gaussian[:20_000], quantise(0.5 * gaussian[:20_000], 12)):
        one, other = (measure(samples, integers=integers, pieces=pieces) for pieces in (1, 113))
        assert (one.clipped, one.peak_db, one.samples) == (other.clipped, other.peak_db, other.samples)
        assert one.mean_db == pytest.approx(other.mean_db, abs=1e-6)
