"""Symbols without a constellation, sent as one burst, and all bursts of a stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semlink.phy.waveform import BurstHeader, BurstReceiver, ReceivedBurst, Waveform


def noise(rng: np.random.Generator, n: int) -> np.ndarray:
    """CN(0, 1): of all symbols those that are furthest from any constellation."""
    return (rng.standard_normal((n, 2)) @ [1, 1j]) * np.sqrt(0.5)


def send(waveform: Waveform, symbols: np.ndarray, *, gap: int = 600, **header: int) -> np.ndarray:
    """One burst between silence."""
    silence = np.zeros(gap)
    burst = waveform.modulate(BurstHeader(symbols=len(symbols), **header), symbols)
    return np.concatenate([silence, burst, silence])


def receive(waveform: Waveform, samples: np.ndarray) -> list[ReceivedBurst]:
    """All bursts of a stream."""
    receiver = BurstReceiver(waveform)
    return [*receiver.push(samples), *receiver.flush()]


@pytest.fixture(name="noise")
def give_noise() -> Callable[[np.random.Generator, int], np.ndarray]:
    return noise


@pytest.fixture(name="send")
def give_send() -> Callable[..., np.ndarray]:
    return send


@pytest.fixture(name="receive")
def give_receive() -> Callable[[Waveform, np.ndarray], list[ReceivedBurst]]:
    return receive
