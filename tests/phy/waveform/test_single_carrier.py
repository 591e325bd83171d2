"""A single carrier for symbols of any value, from the transmitter over a loopback to what the receiver hands out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semlink.phy.waveform import BurstHeader, Loopback, ReceivedBurst, SingleCarrier, Waveform

CFO = 4e-3 / 4
"""4e-3 cycles per symbol, at four samples per symbol."""


@pytest.fixture
def campaign(
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> Callable[..., tuple[int, float, float]]:
    """Bursts found with the right header, mean squared error over N0, and over the N0 handed out.

    Every burst has a gain, a phase and a fraction of a sample of its own. Anything received but not sent fails.
    """

    def measure(
        waveform: Waveform,
        bursts: int,
        symbols: int,
        esno_db: float,
        *,
        cfo: float = CFO,
        ppm: float = 20.0,
        seed: int = 0,
    ) -> tuple[int, float, float]:
        found, errors, promised = 0, [], []
        for i in range(bursts):
            rng = np.random.default_rng([seed, i])
            sent, n0 = noise(rng, symbols), 10 ** (-esno_db / 10)
            loopback = Loopback(
                n0=n0,
                cfo=cfo,
                ppm=ppm,
                delay=rng.uniform(0, 50),
                phase=rng.uniform(-3, 3),
                gain_db=rng.uniform(-40, 20),
            )
            got = receive(waveform, loopback(send(waveform, sent, sequence=i % 256), rng=rng))
            assert all(one.header == BurstHeader(symbols=symbols, sequence=i % 256) for one in got)
            assert len(got) <= 1
            found += len(got)
            for one in got:
                squares = np.abs(one.symbols - sent) ** 2
                errors.append(squares.mean() / n0)
                promised.append(np.mean(squares / one.n0))
        return found, float(np.mean(errors)), float(np.mean(promised))

    return measure


# The targets: every burst at 20 dB, 99 in 100 at 3 dB, an error within 1 dB of the noise


@pytest.fixture
def check_single_carrier(campaign: Callable[..., tuple[int, float, float]]) -> Callable[..., None]:
    def check(bursts: int, symbols: int) -> None:
        found, error, promised = campaign(SingleCarrier(), bursts, symbols, 20)
        assert found == bursts
        assert 10 * np.log10(error) < 0.5
        assert 0.93 < promised < 1.1
        found, error, promised = campaign(SingleCarrier(), bursts, symbols, 3, seed=1)
        assert found >= 0.99 * bursts
        assert 10 * np.log10(error) < 0.8
        assert 0.93 < promised < 1.15

    return check


def test_single_carrier_bursts_come_through(check_single_carrier: Callable[..., None]) -> None:
    check_single_carrier(200, 100)


@pytest.mark.slow
def test_a_thousand_single_carrier_bursts_come_through(check_single_carrier: Callable[..., None]) -> None:
    check_single_carrier(500, 100)  # twice


def test_the_error_measured_above_would_show_a_fifth_of_a_decibel(
    campaign: Callable[..., tuple[int, float, float]],
) -> None:
    """The twin of the test above: 0.2 dB more noise than the bound is told apart from none."""
    _, error, _ = campaign(SingleCarrier(), 20, 4000, 20)
    _, more, _ = campaign(SingleCarrier(), 20, 4000, 19.8)
    assert 10 * np.log10(more * 10**0.02 / error) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize(
    ("cfo", "ppm", "esno_db", "waveform"),
    [
        (8e-3 / 4, -100.0, 20.0, SingleCarrier()),
        (-8e-3 / 4, 100.0, 20.0, SingleCarrier()),
        (0.0, 0.0, 40.0, SingleCarrier()),
        (4e-3 / 2, 20.0, 20.0, SingleCarrier(2, rolloff=0.35)),
        (4e-3 / 8, 20.0, 20.0, SingleCarrier(8, rolloff=0.5, span=6)),
    ],
)
def test_offsets_and_other_pulses(
    cfo: float, ppm: float, esno_db: float, waveform: SingleCarrier, campaign: Callable[..., tuple[int, float, float]]
) -> None:
    found, error, _ = campaign(waveform, 5, 3000, esno_db, cfo=cfo, ppm=ppm)
    assert found == 5
    assert 10 * np.log10(error) < 0.5


def test_what_the_receiver_says_of_a_burst_is_true(
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> None:
    rng, waveform = np.random.default_rng(3), SingleCarrier()
    stream = Loopback(n0=0.01, cfo=CFO, ppm=30, delay=0.3, gain_db=-6)(send(waveform, noise(rng, 8000)), rng=rng)
    (got,) = receive(waveform, stream)
    assert got.start == pytest.approx(600.3 + waveform.pulse.half, abs=0.05)
    assert got.cfo == pytest.approx(CFO, abs=1e-6)
    assert got.timing_ppm == pytest.approx(30, abs=3)
    assert got.gain == pytest.approx(10**-0.3, rel=0.02)
    assert got.esno_db == pytest.approx(20, abs=0.4)
    assert got.complete
    assert (got.symbols.dtype, got.n0.dtype) == (np.complex64, np.float32)


def test_a_phase_that_wanders_is_followed(
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> None:
    """A Wiener phase of linewidth 2e-6 of the sample rate: 0.36 radians over 1,000 symbols, one standard deviation."""
    rng = np.random.default_rng(4)
    errors = []
    for memory in (128, 1 << 16):
        waveform = SingleCarrier(memory=memory)
        sent = noise(rng, 8000)
        samples = send(waveform, sent)
        walk = np.cumsum(np.random.default_rng(5).standard_normal(len(samples))) * np.sqrt(2 * np.pi * 2e-6)
        (got,) = receive(waveform, Loopback(n0=0.01)(samples * np.exp(1j * walk), rng=rng))
        errors.append(np.mean(np.abs(got.symbols - sent) ** 2) / 0.01)
    assert errors[0] < 1.6 < 3 < errors[1]


@pytest.mark.parametrize("memory", [128, 512])
def test_an_interferer_over_part_of_a_burst_shows_in_n0(
    memory: int,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> None:
    rng, waveform = np.random.default_rng(6), SingleCarrier(memory=memory)
    sent = noise(rng, 8000)
    samples = Loopback(n0=0.01)(send(waveform, sent), rng=rng)
    samples[20_000:30_000] += 0.3 * noise(rng, 10_000)
    (got,) = receive(waveform, samples)
    assert got.n0[5000] > 4 * got.n0[500]
    squares = np.abs(got.symbols - sent) ** 2
    assert np.mean(squares[4900:6100] / got.n0[4900:6100]) < 1.5


# What is asked for and cannot be


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples_per_symbol": 1}, "samples_per_symbol=1 must be from 2 to 16"),
        ({"samples_per_symbol": 2.5}, "samples_per_symbol=2.5 must be a whole number"),
        ({"rolloff": 0.0}, "rolloff=0.0 must be from 0.1 to 1"),
        ({"span": 3}, "span=3 must be from 4 to 32"),
        ({"memory": 0}, "memory=0"),
        ({"false_alarm": 0.5}, "false_alarm=0.5"),
    ],
)
def test_an_option_out_of_range_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SingleCarrier(**options)  # type: ignore[arg-type]
