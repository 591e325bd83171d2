"""Bursts whose carrier is off as far as is stated, and drifts: what is left of the offset, and of the symbols."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from semlink.phy.impairments import PhaseNoise
from semlink.phy.waveform import (
    OFDM_REACH,
    SINGLE_CARRIER_REACH,
    BurstHeader,
    BurstReceiver,
    Loopback,
    OfdmWaveform,
    ReceivedBurst,
    Samples,
    SingleCarrier,
    Waveform,
    reach_ppm,
)
from semlink.phy.waveform.layout import HEADER_BLOCKS, PILOTS, PREAMBLE, lay_out

Noise = Callable[[np.random.Generator, int], np.ndarray]
Send = Callable[..., np.ndarray]
Receive = Callable[[Waveform, np.ndarray], list[ReceivedBurst]]

REACH = SINGLE_CARRIER_REACH
PPM = reach_ppm(REACH, rate_hz=1e6, carrier_hz=915e6)
"""Of the clock that is off as much as the carrier."""


def drifting(samples: Samples, cfo: float, sweep: float) -> np.ndarray:
    """Turned by a frequency of `cfo` cycles per sample at first, that changes by `sweep` from sample to sample."""
    index = np.arange(len(samples))
    return np.asarray(samples * np.exp(2j * np.pi * (cfo * index + sweep / 2 * index**2)))


def loss_db(got: ReceivedBurst, sent: np.ndarray, n0: float) -> float:
    """Mean squared error over N0."""
    return float(10 * np.log10(np.mean(np.abs(got.symbols - sent) ** 2) / n0))


def bound(places: np.ndarray, n0: float) -> float:
    """Of a frequency's variance in cycles per place squared, from known symbols with an unknown phase: Rife and
    Boorstyn 1974, eq. 17, which with neighbouring places is 6 N0 / (4π² N (N² - 1))."""
    away = places - places.mean()
    return float(n0 / 2 / (4 * np.pi**2 * (away @ away)))


def test_the_bound_is_that_of_the_paper() -> None:
    assert bound(np.arange(96.0), 0.5) == pytest.approx(6 * 0.5 / (4 * np.pi**2 * 96 * (96**2 - 1)))


@pytest.mark.parametrize("cfo", [0.0, 2e-3, -1e-2, REACH])
@pytest.mark.parametrize("esno_db", [3.0, 15.0])
def test_what_is_left_of_the_offset_is_what_the_bound_leaves(
    cfo: float, esno_db: float, noise: Noise, send: Send
) -> None:
    """When the header has been read, by preamble and its pilots; and at the end, by the header and all pilots."""
    rng, waveform, n0, count = np.random.default_rng(9), SingleCarrier(), 10 ** (-esno_db / 10), 60
    samples, errors = send(waveform, noise(rng, 64)), []
    for _ in range(count):
        heard = Loopback(n0=n0, cfo=cfo, delay=rng.uniform(0, 4), phase=rng.uniform(-3, 3))(samples, rng=rng)
        acquired = waveform.acquire(heard, 600 + waveform.pulse.half + 2)
        if acquired is not None:
            got = waveform.demodulate(heard, acquired)
            errors.append([4 * (acquired.cfo - cfo), 4 * (got.cfo - cfo)])
    assert len(errors) >= 0.97 * count
    layout = lay_out(64)
    early = np.concatenate([np.arange(PREAMBLE), layout.pilots[: HEADER_BLOCKS * PILOTS]])
    late = np.concatenate([np.arange(PREAMBLE), layout.header, layout.pilots])
    over = np.mean(np.square(errors), axis=0) / [bound(early, n0), bound(late, n0)]
    # Of 60 squares the mean is good to 18 %.
    assert np.all(over > 0.5)
    assert over[0] < 1.6
    assert over[1] < 1.9  # the smoothing that phase noise needs keeps a little of it


@pytest.mark.parametrize("esno_db", [5.0, 20.0, 40.0])
def test_the_largest_offset_costs_no_more_than_none(esno_db: float, noise: Noise, send: Send, receive: Receive) -> None:
    """The same noise, turned with the signal."""
    waveform, n0, rng = SingleCarrier(), 10 ** (-esno_db / 10), np.random.default_rng(10)
    sent = noise(rng, 2000)
    heard = Loopback(n0=n0, delay=0.4)(send(waveform, sent), rng=rng)
    losses = []
    for cfo in (0.0, REACH, -REACH):
        (got,) = receive(waveform, drifting(heard, cfo, 0.0))
        losses.append(loss_db(got, sent, n0))
    assert max(losses[1:]) < losses[0] + 0.02  # and less by what a mean takes of a carrier that is not turned
    assert min(losses[1:]) > losses[0] - 0.1
    assert losses[0] < 0.6  # 2,000 squares: 0.1 dB a standard error


@pytest.mark.parametrize("sps", [2, 3, 8, 16])
def test_other_rates_bear_as_many_cycles_per_sample(sps: int, noise: Noise, send: Send, receive: Receive) -> None:
    waveform, rng = SingleCarrier(sps), np.random.default_rng(11)
    sent = noise(rng, 2000)
    for cfo in (-REACH, REACH):
        loopback = Loopback(n0=0.01, cfo=cfo, ppm=np.sign(cfo) * PPM, delay=rng.uniform(0, sps))
        (got,) = receive(waveform, loopback(send(waveform, sent), rng=rng))
        assert loss_db(got, sent, 0.01) < 0.7  # 2,000 squares: 0.1 dB a standard error
        assert got.cfo == pytest.approx(cfo, abs=1e-5)


@pytest.mark.parametrize("carriers", [-5.0, -4.97, 4.97, 5.0])
@pytest.mark.parametrize("esno_db", [5.0, 20.0])
def test_ofdm_bears_what_is_stated_as_well(
    carriers: float, esno_db: float, noise: Noise, send: Send, receive: Receive
) -> None:
    """Where noise decides by which shift of two carriers the halves are to be read."""
    waveform, rng, found = OfdmWaveform(), np.random.default_rng(12), 0
    samples = send(waveform, noise(rng, 48))
    for _ in range(20):
        cfo = carriers / 5 * OFDM_REACH
        got = receive(waveform, Loopback(n0=10 ** (-esno_db / 10), cfo=cfo, phase=rng.uniform(-3, 3))(samples, rng=rng))
        found += len(got)
    assert found == 20


# Drift


@pytest.mark.parametrize("esno_db", [3.0, 20.0])
@pytest.mark.parametrize(("sign", "sweep"), [(1, 1e-9), (-1, 1e-9), (1, 1e-8)])
def test_a_carrier_that_drifts_within_a_long_burst_is_followed(
    esno_db: float, sign: int, sweep: float, noise: Noise, send: Send, receive: Receive
) -> None:
    """1 and 11 ppm a second of 915 MHz at 1 Msample/s, with the clock that belongs to the offset: its 22 ppm come to
    one symbol and more in 60,000. A line alone through the phase, without its curvature, loses 6 dB at 20 dB."""
    rng, waveform, n0 = np.random.default_rng(13), SingleCarrier(), 10 ** (-esno_db / 10)
    sent = noise(rng, 60_000)
    heard = Loopback(ppm=sign * PPM, delay=0.3).carry(send(waveform, sent))
    heard = drifting(heard, sign * (REACH - 5e-4), sweep) + np.sqrt(n0) * noise(rng, len(heard))
    (got,) = receive(waveform, heard)
    assert got.complete
    assert got.timing_ppm == pytest.approx(sign * PPM, abs=2)
    assert loss_db(got, sent, n0) < 0.35
    assert np.mean(np.abs(got.symbols - sent) ** 2 / got.n0) == pytest.approx(1, abs=0.06)
    middle = got.start + got.samples / 2
    assert got.cfo == pytest.approx(sign * (REACH - 5e-4) + sweep * middle, abs=1e-6)


@pytest.mark.parametrize("ppm", [-50.0, 50.0])
def test_a_clock_that_slips_by_three_symbols_costs_none(ppm: float, noise: Noise, send: Send, receive: Receive) -> None:
    """To the last symbol of a burst as long as they get; nothing but the pulse's tail is behind it."""
    rng, waveform = np.random.default_rng(14), SingleCarrier()
    sent = noise(rng, 1 << 16)
    samples = send(waveform, sent)[:-540]
    (got,) = receive(waveform, Loopback(n0=0.01, cfo=REACH, ppm=ppm, delay=0.3)(samples, rng=rng))
    assert got.complete
    assert loss_db(got, sent, 0.01) < 0.3
    last = np.abs(got.symbols[-200:] - sent[-200:]) ** 2 / 0.01
    assert last.mean() < 1.5  # 200 squares: 7 % a standard error, and the smoothing has one side alone
    assert got.samples == pytest.approx(4 * (len(sent) + 4500) * (1 - ppm * 1e-6), rel=0.01)


def test_at_the_noise_that_still_lets_headers_through_long_bursts_stay_whole(
    noise: Noise, send: Send, receive: Receive
) -> None:
    """Where the clock is known ill, what lies ahead is looked at step by step: further away its pilots would be
    sought half a symbol off, found to be gone, and the burst be cut there."""
    waveform = SingleCarrier()
    for seed in range(8):
        rng = np.random.default_rng([seed, 7])
        sent = noise(rng, 12_000)
        loopback = Loopback(n0=10**-0.2, cfo=REACH, ppm=PPM, delay=rng.uniform(0, 2))
        for got in receive(waveform, loopback(send(waveform, sent), rng=rng)):
            assert got.complete
            assert loss_db(got, sent, 10**-0.2) < 0.6


def test_the_carrier_may_have_drifted_from_burst_to_burst(noise: Noise, send: Send, receive: Receive) -> None:
    """From end to end of the reach within one stream, as after a radio was switched on."""
    rng, waveform = np.random.default_rng(15), SingleCarrier()
    sent = [noise(rng, 500) for _ in range(9)]
    offsets = np.linspace(-REACH, REACH, len(sent))
    bursts = [drifting(send(waveform, one, sequence=i), offsets[i], 1e-9) for i, one in enumerate(sent)]
    heard = np.concatenate(bursts)
    got = receive(waveform, heard + 0.1 * noise(rng, len(heard)))
    assert [one.header.sequence for one in got] == list(range(9))
    for one, cfo, symbols in zip(got, offsets, sent, strict=True):
        assert one.cfo == pytest.approx(cfo, abs=1e-5)
        assert loss_db(one, symbols, 0.01) < 1.2  # 500 squares: 0.2 dB a standard error


@pytest.mark.parametrize("cfo", [0.0, REACH])
def test_phase_noise_is_followed_at_the_largest_offset(cfo: float, noise: Noise, send: Send, receive: Receive) -> None:
    """A linewidth of 2e-6 of the sample rate, 2 Hz at 1 Msample/s."""
    rng, waveform = np.random.default_rng(16), SingleCarrier(memory=128)
    sent = noise(rng, 8000)
    samples = torch.from_numpy(send(waveform, sent).astype(np.complex64))[None]
    wandering = PhaseNoise(2e-6)(samples, rng=[torch.Generator().manual_seed(5)]).samples[0].numpy()
    (got,) = receive(waveform, Loopback(n0=0.01, cfo=cfo, ppm=PPM)(wandering, rng=rng))
    assert loss_db(got, sent, 0.01) < 2
    assert np.mean(np.abs(got.symbols - sent) ** 2 / got.n0) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("cfo", [-REACH, REACH])
@pytest.mark.parametrize("level_db", [0, 20])
def test_a_constant_hides_no_burst_at_the_largest_offset(
    cfo: float, level_db: float, noise: Noise, send: Send, receive: Receive
) -> None:
    rng, waveform = np.random.default_rng(17), SingleCarrier()
    sent = noise(rng, 600)
    dc = complex(0.5 * 10 ** (level_db / 20) * np.exp(2j))
    (got,) = receive(waveform, Loopback(n0=0.01, cfo=cfo, dc=dc, delay=0.7)(send(waveform, sent), rng=rng))
    assert loss_db(got, sent, 0.01) < 1


def test_the_cuts_of_a_stream_change_nothing(noise: Noise, send: Send, receive: Receive) -> None:
    rng, waveform = np.random.default_rng(18), SingleCarrier()
    bursts = np.concatenate([send(waveform, noise(rng, 300), sequence=i) for i in range(3)])
    heard = Loopback(n0=0.05, cfo=-REACH, ppm=-PPM, delay=0.2)(bursts, rng=rng)
    whole, receiver = receive(waveform, heard), BurstReceiver(waveform)
    pieces = [one for piece in np.array_split(heard, 23) for one in receiver.push(piece)] + receiver.flush()
    assert len(whole) == 3
    for one, other in zip(whole, pieces, strict=True):
        assert one.header == other.header == BurstHeader(symbols=300, sequence=one.header.sequence)
        assert one.start == other.start
        np.testing.assert_array_equal(one.symbols, other.symbols)


# In parts per million


def test_the_reach_in_parts_per_million() -> None:
    """20 kHz of 915 MHz, and what a doubled rate or carrier makes of it."""
    assert reach_ppm(REACH, rate_hz=1e6, carrier_hz=915e6) == pytest.approx(20e3 / 915)
    assert reach_ppm(REACH, rate_hz=2e6, carrier_hz=2.4e9) == pytest.approx(40e3 / 2400)
    assert reach_ppm(OFDM_REACH, rate_hz=1e6, carrier_hz=915e6) == pytest.approx(78125 / 915)


@pytest.mark.parametrize("options", [{"rate_hz": 0.0}, {"carrier_hz": -1.0}, {"rate_hz": float("nan")}])
def test_a_rate_or_a_carrier_that_is_none_is_refused(options: dict[str, float]) -> None:
    (name, value) = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name}={value!r} must be a number of Hz above 0"):
        reach_ppm(REACH, **{"rate_hz": 1e6, "carrier_hz": 915e6, **options})
