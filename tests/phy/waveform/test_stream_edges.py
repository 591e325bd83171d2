"""A stream that begins amid a preamble, and what a receiver knows to be settled."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.phy.waveform import BurstHeader, BurstReceiver, Loopback, OfdmWaveform, SingleCarrier, Waveform
from semlink.phy.waveform.receiver import LARGEST, checked

SYMBOLS = 300


def stream_of(waveform: Waveform, count: int, *, seed: int = 0) -> np.ndarray:
    """Bursts of QPSK with silence around them, at 30 dB."""
    rng = np.random.default_rng(seed)
    parts = [np.zeros(2000, np.complex64)]
    for _ in range(count):
        symbols = np.exp(0.5j * np.pi * rng.integers(0, 4, SYMBOLS)).astype(np.complex64)
        parts += [waveform.modulate(BurstHeader(symbols=SYMBOLS), symbols), np.zeros(2000, np.complex64)]
    return Loopback(n0=1e-3)(np.concatenate(parts), rng=rng)


@pytest.mark.parametrize("waveform", [SingleCarrier(), SingleCarrier(2), SingleCarrier(8), OfdmWaveform()])
@pytest.mark.parametrize("late", [-2, -1, 0, 1, 2, 3])
def test_a_recording_cut_at_a_burst_is_read_and_what_comes_after_it(waveform: Waveform, late: int) -> None:
    """Cut off at the first symbol as the receiver tells it, or some samples beside."""
    stream = stream_of(waveform, 2)
    whole = BurstReceiver(waveform)
    first, second = [*whole.push(stream), *whole.flush()]
    cut = round(first.start) + late
    receiver = BurstReceiver(waveform)
    found = [*receiver.push(stream[cut:]), *receiver.flush()]
    assert found[-1].start + cut == pytest.approx(second.start, abs=0.5)
    if late <= 0:  # nothing of the burst is gone but its pulse's tail
        assert len(found) == 2
        assert found[0].start + cut == pytest.approx(first.start, abs=0.5)


@pytest.mark.parametrize("waveform", [SingleCarrier(), OfdmWaveform()])
def test_no_burst_begins_before_what_is_settled(waveform: Waveform) -> None:
    stream, receiver, settled = stream_of(waveform, 3), BurstReceiver(waveform), 0
    for start in range(0, len(stream), 1000):
        for burst in receiver.push(stream[start : start + 1000]):
            assert burst.start >= settled - waveform.lead
        assert receiver.settled >= settled
        assert receiver.settled <= start + 1000
        settled = receiver.settled
    receiver.flush()
    assert receiver.counts.received == receiver.counts.headers_read == 3
    assert receiver.settled >= len(stream)


def test_what_is_no_sample_is_taken_for_0() -> None:
    given = np.array([1, np.nan, 1j * np.inf, 2 * LARGEST, LARGEST, -1j * LARGEST, 1e300], dtype=np.complex128)
    right, spoilt = checked(given)
    np.testing.assert_array_equal(right, np.array([1, 0, 0, 0, LARGEST, -1j * LARGEST, 0], dtype=np.complex64))
    assert spoilt == 4
