"""How fast the burst receivers are on this machine. NumPy alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from semlink.phy.waveform.burst import Samples, Waveform
from semlink.phy.waveform.header import BurstHeader
from semlink.phy.waveform.loopback import Loopback
from semlink.phy.waveform.ofdm import OfdmWaveform
from semlink.phy.waveform.receiver import BurstReceiver
from semlink.phy.waveform.segments import split
from semlink.phy.waveform.single_carrier import SingleCarrier

_ESNO_DB = 20.0


@dataclass(frozen=True)
class ReceiverSpeed:
    """One receiver, fed piece by piece.

    Attributes:
        what: the waveform.
        samples_per_s: of a stream with bursts one after another.
        symbols_per_s: of their payload.
        idle_samples_per_s: of noise alone.
        transmit_samples_per_s: of the transmitter.
        bursts: sent.
        found: received.
    """

    what: str
    samples_per_s: float
    symbols_per_s: float
    idle_samples_per_s: float
    transmit_samples_per_s: float
    bursts: int
    found: int


def measure_receivers(*, symbols: int = 4096, bursts: int = 50, piece: int = 32768) -> list[ReceiverSpeed]:
    """Both waveforms at 20 dB with a carrier offset and 20 ppm; some seconds, on one core and by processor time.

    NumPy's linear algebra must have one thread (OPENBLAS_NUM_THREADS=1): more only wait for each other.

    Args:
        symbols: payload of a burst.
        bursts: in the stream.
        piece: samples that are pushed at a time.
    """
    waveforms: dict[str, Waveform] = {"sc": SingleCarrier(), "ofdm": OfdmWaveform()}
    return [_measure(name, one, symbols, bursts, piece) for name, one in waveforms.items()]


def _measure(name: str, waveform: Waveform, symbols: int, bursts: int, piece: int) -> ReceiverSpeed:
    rng = np.random.default_rng(0)
    payload = (rng.standard_normal((bursts * symbols, 2)) @ [1, 1j]) * np.sqrt(0.5)
    parts = split(payload, BurstHeader(height=1, width=1), longest=symbols)
    begin = time.process_time()
    sent = np.concatenate([waveform.modulate(*part) for part in parts])
    transmitting = time.process_time() - begin
    stream = Loopback(n0=10 ** (-_ESNO_DB / 10), cfo=1e-3, ppm=20, delay=1000.5)(sent, rng=rng)
    _run(waveform, stream[: 4 * piece], piece)  # tables are made at first use
    receiving, found = _run(waveform, stream, piece)
    noise = Loopback(n0=1.0)(np.zeros(len(stream)), rng=rng)
    idling, _ = _run(waveform, noise, piece)
    return ReceiverSpeed(
        what=name,
        samples_per_s=len(stream) / receiving,
        symbols_per_s=found * symbols / receiving,
        idle_samples_per_s=len(noise) / idling,
        transmit_samples_per_s=len(sent) / transmitting,
        bursts=bursts,
        found=found,
    )


def _run(waveform: Waveform, stream: Samples, piece: int) -> tuple[float, int]:
    """Seconds, and bursts found."""
    receiver = BurstReceiver(waveform)
    begin = time.process_time()
    for start in range(0, len(stream), piece):
        receiver.push(stream[start : start + piece])
    receiver.flush()
    return time.process_time() - begin, receiver.counts.received
