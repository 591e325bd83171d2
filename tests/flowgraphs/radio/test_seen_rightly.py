"""Frames that are too long, cut or late, and hints: what a receiver of frames says of them is right."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.flowgraphs.radio.stations import FrameReceiver
from semlink.phy.waveform import BurstHeader, SingleCarrier

WAVEFORM = SingleCarrier()


def burst(symbols: int, *, segment: int = 0, segments: int = 1, each: int = 0) -> np.ndarray:
    """QPSK, one of the bursts of a frame of so many symbols."""
    rng = np.random.default_rng(symbols + segment)
    sent = np.exp(0.5j * np.pi * rng.integers(0, 4, each or symbols)).astype(np.complex64)
    return WAVEFORM.modulate(BurstHeader(symbols=symbols, segment=segment, segments=segments), sent)


def noise(count: int, n0: float = 1e-3, seed: int = 3) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((count, 2), dtype=np.float32)
    return (values * np.float32(np.sqrt(n0 / 2))).view(np.complex64)[:, 0]


def noisy(*parts: np.ndarray) -> np.ndarray:
    whole = np.concatenate(parts)
    return whole + noise(len(whole))


def silence(count: int) -> np.ndarray:
    return np.zeros(count, np.complex64)


def received(samples: np.ndarray, **options: int) -> FrameReceiver:
    receiver = FrameReceiver(WAVEFORM, **options)
    receiver.push(samples)
    receiver.flush()
    return receiver


def test_a_burst_of_a_frame_that_is_too_long_is_one_burst() -> None:
    seen = received(noisy(silence(2000), burst(2000), silence(2000)), max_symbols=1000).seen()
    assert (seen.bursts, seen.received, seen.too_long) == (1, 0, 1)
    assert "1 burst found, 1 too long" in seen.line()


@pytest.mark.parametrize("keep", [6000, 9000])
def test_where_a_header_was_read_nothing_is_guessed(keep: int) -> None:
    """The recording ends within its only burst, whose carrier is off."""
    stream = noisy(silence(2000), burst(2000), silence(2000))[:keep]
    seen = received(stream * np.exp(2j * np.pi * 0.005 * np.arange(keep))).seen(hints=True)
    assert (seen.received, seen.cut) == (0, 1)
    assert seen.hints == ()


def test_one_huge_sample_hides_no_hint() -> None:
    stream = np.conj(noisy(silence(3000), *(burst(500 + i) for i in range(5)), silence(3000))).astype(np.complex128)
    assert received(stream).seen(hints=True).hints == ("headers can be read with I and Q swapped",)
    stream[100] = 1e25
    assert received(stream).seen(hints=True).hints == ("headers can be read with I and Q swapped",)


def test_a_weak_burst_in_much_silence_is_not_called_noise() -> None:
    """At 2 dB, in a fortieth of the samples: the spectrum is as flat as that of noise."""
    stream = np.concatenate([silence(60_000), burst(400), silence(60_000)])
    stream = np.conj(stream + noise(len(stream), n0=10**-0.2))
    assert received(stream).seen(hints=True).hints == ("headers can be read with I and Q swapped",)
    assert received(noise(120_000)).seen(hints=True).hints == ("its spectrum is flat, as that of noise",)


@pytest.mark.parametrize("piece", [1000, 32_768, 1 << 20])
@pytest.mark.parametrize(("pause", "lost"), [(90_000, [0]), (115_000, [1, 1])])
def test_when_a_frame_is_given_up_does_not_depend_on_the_pieces(piece: int, pause: int, lost: list[int]) -> None:
    """From the end of one burst to the begin of the next, 100,000 samples of silence are too many."""
    parts = [burst(1000, segment=i, segments=2, each=500) for i in (0, 1)]
    stream = noisy(silence(2000), parts[0], silence(pause), parts[1], silence(2000))
    receiver, frames = FrameReceiver(WAVEFORM, patience=100_000), []
    for start in range(0, len(stream), piece):
        frames += receiver.push(stream[start : start + piece])
    frames += receiver.flush()
    assert [frame.lost for frame in frames] == lost
    assert receiver.seen().missing == sum(lost)
