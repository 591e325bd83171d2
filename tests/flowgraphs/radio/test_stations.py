"""Frames as bursts, and what a station makes of those that arrive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from semlink.flowgraphs.radio.stations import FrameReceiver, frame_samples, tail
from semlink.phy.waveform import BurstHeader, OfdmWaveform, ReceivedBurst, SingleCarrier, Waveform

WAVEFORMS: dict[str, Waveform] = {"sc": SingleCarrier(), "ofdm": OfdmWaveform()}


# Stations


@pytest.mark.parametrize("kind", WAVEFORMS)
@pytest.mark.parametrize("late", [0, 1777, 9001])
def test_the_silence_behind_a_burst_is_enough_to_have_it_out(
    kind: str, late: int, gaussian: Callable[..., NDArray[np.complex64]]
) -> None:
    """Nothing else ends a stream under GNU Radio."""
    waveform, sent = WAVEFORMS[kind], gaussian(700)
    samples = frame_samples(waveform, BurstHeader(height=10, width=70), sent, segment=300)
    receiver = FrameReceiver(waveform)
    silence = np.zeros(late, dtype=np.complex64)
    (frame,) = receiver.push(np.concatenate([silence, *samples, np.zeros(tail(waveform), dtype=np.complex64)]))
    assert (frame.lost, frame.header.segments) == (0, 3)
    assert np.abs(frame.symbols - sent).max() < 0.02


def test_a_frame_that_lacks_a_segment_is_given_up_after_patience(
    gaussian: Callable[..., NDArray[np.complex64]],
) -> None:
    waveform = SingleCarrier()
    samples = frame_samples(waveform, BurstHeader(height=10, width=70), gaussian(700), segment=300)
    heard: list[ReceivedBurst] = []
    receiver = FrameReceiver(waveform, patience=50_000, heard=heard.append)
    piece = np.zeros(10_000, dtype=np.complex64)
    assert receiver.push(np.concatenate(samples[:2])) == []
    frames = [len(receiver.push(piece)) for _ in range(8)]
    assert sum(frames) == 1
    assert frames.index(1) >= 4
    assert [burst.header.segment for burst in heard] == [0, 1]
    with pytest.raises(ValueError, match="patience=0 must be 1 or more"):
        FrameReceiver(waveform, patience=0)


def test_a_burst_that_lasts_longer_than_patience_is_no_silence(gaussian: Callable[..., NDArray[np.complex64]]) -> None:
    waveform, sent = SingleCarrier(), gaussian(9000)
    samples = frame_samples(waveform, BurstHeader(height=10, width=900), sent, segment=4500)
    assert len(samples[1]) > 15_000
    receiver = FrameReceiver(waveform, patience=8_000)
    stream = np.concatenate([*samples, np.zeros(tail(waveform), dtype=np.complex64)])
    (frame,) = [frame for i in range(0, len(stream), 1000) for frame in receiver.push(stream[i : i + 1000])]
    assert (frame.lost, frame.header.segments) == (0, 2)


def test_a_transmitter_that_starts_again_is_heard_again(gaussian: Callable[..., NDArray[np.complex64]]) -> None:
    """With the numbers it began with before, and another image."""
    waveform, silence = SingleCarrier(), np.zeros(60_000, dtype=np.complex64)
    receiver = FrameReceiver(waveform, patience=50_000)
    header, got = BurstHeader(height=10, width=50), []
    for seed in (0, 1):
        burst = np.concatenate(frame_samples(waveform, header, gaussian(500, seed)))
        got += [*receiver.push(np.concatenate([burst, silence])), *receiver.push(silence)]
    assert len(got) == 2
    for seed in (0, 1):
        assert np.abs(got[seed].symbols - gaussian(500, seed)).max() < 0.02
