"""Streams as they come from outside: with a constant above the signal, and with samples that are none."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.phy.waveform import (
    BurstHeader,
    BurstReceiver,
    Loopback,
    OfdmWaveform,
    ReceivedBurst,
    SingleCarrier,
    Waveform,
)

WAVEFORMS: tuple[Waveform, ...] = (SingleCarrier(), OfdmWaveform())


def symbols(seed: int, n: int = 600) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((n, 2)) @ [1, 1j]) * np.sqrt(0.5)


def stream(waveform: Waveform, bursts: int) -> np.ndarray:
    """Bursts, numbered, with silence between them."""
    parts = [np.zeros(600)]
    for i in range(bursts):
        parts += [waveform.modulate(BurstHeader(symbols=600, sequence=i), symbols(i)), np.zeros(600)]
    return np.concatenate(parts)


def receive(waveform: Waveform, samples: np.ndarray) -> tuple[list[ReceivedBurst], BurstReceiver]:
    receiver = BurstReceiver(waveform)
    return [*receiver.push(samples), *receiver.flush()], receiver


def error_db(got: ReceivedBurst) -> float:
    return float(10 * np.log10(np.mean(np.abs(got.symbols - symbols(got.header.sequence)) ** 2)))


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("level_db", [6, 20])
@pytest.mark.parametrize("cfo", [0.0, 1e-3])
def test_bursts_are_found_under_a_constant(waveform: Waveform, level_db: float, cfo: float) -> None:
    """Of more power than the signal's samples; 0.01 of noise, and 1 dB more than that is borne in the symbols."""
    power = 0.25 if isinstance(waveform, SingleCarrier) else 0.8
    dc = complex(np.sqrt(power * 10 ** (level_db / 10)) * np.exp(2j))
    loopback = Loopback(n0=0.01, cfo=cfo, dc=dc, delay=0.7)
    got, _ = receive(waveform, loopback(stream(waveform, 3), rng=np.random.default_rng(1)))
    assert [one.header.sequence for one in got] == [0, 1, 2]
    assert all(error_db(one) < -19 for one in got)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_constant_costs_nothing(waveform: Waveform) -> None:
    """The same noise with and without it: offsets, places and symbols are the same to within rounding."""
    sent, pairs = stream(waveform, 2), []
    for dc in (0.0, 1 - 1j):
        got, _ = receive(waveform, Loopback(n0=0.1, cfo=5e-4, dc=dc)(sent, rng=np.random.default_rng(2)))
        pairs.append(got)
    for without, under in zip(*pairs, strict=True):
        assert under.cfo == pytest.approx(without.cfo, abs=1e-7)
        assert under.start == pytest.approx(without.start, abs=1e-2)
        assert np.mean(np.abs(under.symbols - without.symbols) ** 2) < 1e-5


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("value", [complex(0, np.nan), 1e300])
def test_samples_that_are_none_cost_no_burst(waveform: Waveform, value: complex) -> None:
    """In the second burst's preamble, in its payload, and in the silence, however the stream is cut."""
    sent = Loopback(n0=0.001)(stream(waveform, 3), rng=np.random.default_rng(3)).astype(np.complex128)
    burst = (len(sent) - 600) // 3
    places = (300, 600 + burst + 40, 600 + burst + 2 * burst // 3)
    for place in places:
        sent[place] = value
    got, receiver = receive(waveform, sent)
    assert [one.header.sequence for one in got] == [0, 1, 2]
    assert all(error_db(one) < -24 for one in got)
    assert receiver.counts.spoilt == len(places)
    receiver, pieces = BurstReceiver(waveform), np.array_split(sent, 7)
    again = [one for piece in pieces for one in receiver.push(piece)] + receiver.flush()
    assert [one.start for one in again] == [one.start for one in got]


def test_samples_that_all_are_none_are_silence() -> None:
    got, receiver = receive(SingleCarrier(), np.full(50_000, np.nan, dtype=np.complex64))
    assert (got, receiver.counts.spoilt, receiver.counts.refused) == ([], 50_000, 0)
