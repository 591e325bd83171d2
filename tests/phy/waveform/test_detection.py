"""Noise alone is no burst."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from semlink.phy.waveform import BurstHeader, BurstReceiver, OfdmWaveform, Refused, SingleCarrier, Waveform

WAVEFORMS: tuple[Waveform, ...] = (SingleCarrier(), OfdmWaveform())


def false_alarms(waveform: Waveform, samples: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Bursts received in noise, and places at which even the preamble was believed."""
    module, looked = sys.modules[type(waveform).__module__], 0
    name = "read_header" if isinstance(waveform, SingleCarrier) else "_read_header"
    original: Callable[..., BurstHeader | Refused] = getattr(module, name)

    def counted(*arguments: object) -> BurstHeader | Refused:
        nonlocal looked
        looked += 1
        return original(*arguments)

    monkeypatch.setattr(module, name, counted)
    rng, receiver, found = np.random.default_rng(16), BurstReceiver(waveform), 0
    for _ in range(-(-samples // 250_000)):
        found += len(receiver.push(rng.standard_normal((250_000, 2), dtype=np.float32).view(np.complex64)[:, 0]))
    return found, looked


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_noise_is_no_burst(waveform: Waveform, monkeypatch: pytest.MonkeyPatch) -> None:
    assert false_alarms(waveform, 1_000_000, monkeypatch) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_ten_million_samples_of_noise_are_no_burst(waveform: Waveform, monkeypatch: pytest.MonkeyPatch) -> None:
    assert false_alarms(waveform, 10_000_000, monkeypatch) == (0, 0)


@pytest.mark.parametrize("waveform", [SingleCarrier(false_alarm=1e-3), OfdmWaveform(false_alarm=1e-3)])
def test_a_lower_threshold_lets_noise_pass_and_the_header_stops_it(
    waveform: Waveform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin of the tests above, in a tenth of their samples."""
    found, looked = false_alarms(waveform, 100_000, monkeypatch)
    assert found == 0
    assert looked > 10


def test_a_stronger_tone_is_no_burst_and_hides_none(noise: Callable[[np.random.Generator, int], np.ndarray]) -> None:
    rng, waveform = np.random.default_rng(18), SingleCarrier()
    tone = 0.5 * np.exp(2j * np.pi * 0.05 * np.arange(60_000))
    receiver = BurstReceiver(waveform)
    assert receiver.push(tone + 0.01 * noise(rng, 60_000)) == []
    assert receiver.counts.refused == 0
