"""A single carrier for symbols of any value, from the transmitter over a loopback to what the receiver hands out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from semlink.phy import link
from semlink.phy.waveform import (
    BurstHeader,
    BurstReceiver,
    Loopback,
    OfdmWaveform,
    ReceivedBurst,
    SingleCarrier,
    Waveform,
    measure_receivers,
)
from semlink.phy.waveform.burst import ERASED
from semlink.phy.waveform.header import encode_header
from semlink.phy.waveform.pulse import Pulse, root_raised_cosine
from semlink.phy.waveform.sync import cfar_threshold

ROOT = Path(__file__).parents[3]
WAVEFORMS: tuple[Waveform, ...] = (SingleCarrier(), OfdmWaveform())
CFO = 4e-3 / 4
"""4e-3 cycles per symbol, at four samples per symbol."""


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


def campaign(
    waveform: Waveform, bursts: int, symbols: int, esno_db: float, *, cfo: float = CFO, ppm: float = 20.0, seed: int = 0
) -> tuple[int, float, float]:
    """Bursts found with the right header, mean squared error over N0, and over the N0 handed out.

    Every burst has a gain, a phase and a fraction of a sample of its own. Anything received but not sent fails.
    """
    found, errors, promised = 0, [], []
    for i in range(bursts):
        rng = np.random.default_rng([seed, i])
        sent, n0 = noise(rng, symbols), 10 ** (-esno_db / 10)
        loopback = Loopback(
            n0=n0, cfo=cfo, ppm=ppm, delay=rng.uniform(0, 50), phase=rng.uniform(-3, 3), gain_db=rng.uniform(-40, 20)
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


# Pulses


@pytest.mark.parametrize(("rolloff", "span", "floor_db"), [(0.25, 8, -58), (0.35, 8, -52), (1.0, 4, -50)])
def test_pulses_leave_next_to_no_interference(rolloff: float, span: int, floor_db: float) -> None:
    pulse, sent = Pulse(4, rolloff, span), noise(np.random.default_rng(0), 400)
    samples = np.concatenate([np.zeros(8), pulse.shape(sent), np.zeros(8)]).astype(np.complex64)
    got = pulse.matched(samples, 8 + pulse.half + 4 * np.arange(400.0))
    assert 10 * np.log10(np.mean(np.abs(got - sent) ** 2)) < floor_db
    assert np.sum(np.abs(pulse.taps(0.0)) ** 2) == pytest.approx(1, rel=1e-5)


def test_the_pulse_is_smooth_where_its_formula_is_not() -> None:
    for rolloff in (0.25, 0.5, 1.0):
        for at in (0.0, 1 / (4 * rolloff), -1 / (4 * rolloff)):
            near = root_raised_cosine(np.array([at - 1e-5, at, at + 1e-5]), rolloff)
            assert near[1] == pytest.approx((near[0] + near[2]) / 2, abs=1e-6)


def test_the_slope_is_the_derivative_of_what_the_matched_filter_gives() -> None:
    pulse, sent = Pulse(4, 0.25, 16), noise(np.random.default_rng(1), 300)
    samples = np.concatenate([np.zeros(8), pulse.shape(sent), np.zeros(8)]).astype(np.complex64)
    times = 8 + pulse.half + 4 * np.arange(300.0)
    difference = (pulse.matched(samples, times + 0.25) - pulse.matched(samples, times - 0.25)) * 8
    slope = pulse.slope(sent)
    assert np.mean(np.abs(difference - slope)[20:-20] ** 2) < 1e-3 * np.mean(np.abs(slope) ** 2)


def test_half_the_symbol_rate_of_full_rolloff_has_a_slope() -> None:
    assert np.isfinite(Pulse(4, 0.5, 8).slope(np.ones(20))).all()


# The targets: every burst at 20 dB, 99 in 100 at 3 dB, an error within 1 dB of the noise


def check_single_carrier(bursts: int, symbols: int) -> None:
    found, error, promised = campaign(SingleCarrier(), bursts, symbols, 20)
    assert found == bursts
    assert 10 * np.log10(error) < 0.5
    assert 0.93 < promised < 1.1
    found, error, promised = campaign(SingleCarrier(), bursts, symbols, 3, seed=1)
    assert found >= 0.99 * bursts
    assert 10 * np.log10(error) < 0.8
    assert 0.93 < promised < 1.15


def test_single_carrier_bursts_come_through() -> None:
    check_single_carrier(200, 100)


@pytest.mark.slow
def test_a_thousand_single_carrier_bursts_come_through() -> None:
    check_single_carrier(1000, 1024)


def test_the_error_measured_above_would_show_a_fifth_of_a_decibel() -> None:
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
def test_offsets_and_other_pulses(cfo: float, ppm: float, esno_db: float, waveform: SingleCarrier) -> None:
    found, error, _ = campaign(waveform, 5, 3000, esno_db, cfo=cfo, ppm=ppm)
    assert found == 5
    assert 10 * np.log10(error) < 0.5


def test_what_the_receiver_says_of_a_burst_is_true() -> None:
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


def test_a_phase_that_wanders_is_followed() -> None:
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
def test_an_interferer_over_part_of_a_burst_shows_in_n0(memory: int) -> None:
    rng, waveform = np.random.default_rng(6), SingleCarrier(memory=memory)
    sent = noise(rng, 8000)
    samples = Loopback(n0=0.01)(send(waveform, sent), rng=rng)
    samples[20_000:30_000] += 0.3 * noise(rng, 10_000)
    (got,) = receive(waveform, samples)
    assert got.n0[5000] > 4 * got.n0[500]
    squares = np.abs(got.symbols - sent) ** 2
    assert np.mean(squares[4900:6100] / got.n0[4900:6100]) < 1.5


# Both waveforms


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_the_account_is_the_length_of_the_burst(waveform: Waveform) -> None:
    for count in (0, 1, 47, 48, 49, 1000):
        account, header = waveform.account(count), BurstHeader(symbols=count)
        samples = len(waveform.modulate(header, np.ones(count)))
        slot = 4 if isinstance(waveform, SingleCarrier) else 80 / 52
        assert sum(account.values()) * slot == pytest.approx(samples)
        assert account["payload"] == count
        assert all(value >= 0 for value in account.values())


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_bursts_have_the_energy_of_their_symbols(waveform: Waveform) -> None:
    sent = waveform.modulate(BurstHeader(symbols=9600), noise(np.random.default_rng(0), 9600))
    account = waveform.account(9600)
    used = sum(count for purpose, count in account.items() if purpose != "guard")
    if isinstance(waveform, OfdmWaveform):
        used = used * 80 / 64  # the prefix is sent twice
    assert np.sum(np.abs(sent) ** 2) / used == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("piece", [977, 5000, 40_000])
def test_pieces_of_the_stream_do_not_matter(waveform: Waveform, piece: int) -> None:
    rng = np.random.default_rng(7)
    sent = [noise(rng, n) for n in (500, 0, 2000, 64)]
    stream = np.concatenate([send(waveform, one, gap=100, sequence=i) for i, one in enumerate(sent)])
    stream = Loopback(n0=0.01, cfo=1e-4, delay=7.7)(stream, rng=rng)
    whole = receive(waveform, stream)
    assert [one.header.sequence for one in whole] == [0, 1, 2, 3]
    receiver = BurstReceiver(waveform)
    parts = [one for i in range(0, len(stream), piece) for one in receiver.push(stream[i : i + piece])]
    parts += receiver.flush()
    assert len(parts) == receiver.counts.received == 4
    if isinstance(waveform, SingleCarrier):
        assert receiver.counts.refused == 0  # it went for the strongest place at once
    for one, other in zip(whole, parts, strict=True):
        assert one.header == other.header
        assert one.start == pytest.approx(other.start, abs=1e-3)
        np.testing.assert_allclose(one.symbols, other.symbols, atol=1e-3)
    starts = np.diff([one.start for one in whole])
    lengths = [len(waveform.modulate(one.header, sent[i])) + 200 for i, one in enumerate(whole)]
    np.testing.assert_allclose(starts, lengths[:-1], atol=12)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_bursts_back_to_back_are_told_apart(waveform: Waveform) -> None:
    rng = np.random.default_rng(8)
    stream = np.concatenate([send(waveform, noise(rng, 300), gap=0, sequence=i) for i in range(6)])
    got = receive(waveform, Loopback(n0=0.01, delay=50.2)(stream, rng=rng))
    assert [one.header.sequence for one in got] == list(range(6))
    assert all(one.complete for one in got)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_burst_without_payload_is_a_burst(waveform: Waveform) -> None:
    rng = np.random.default_rng(9)
    (got,) = receive(waveform, Loopback(n0=0.1, delay=0.5)(send(waveform, np.zeros(0), codec=9), rng=rng))
    assert (got.header.codec, len(got.symbols), len(got.n0), got.complete) == (9, 0, 0, True)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_burst_cut_at_the_end_of_the_stream_is_dropped_and_counted(waveform: Waveform) -> None:
    rng = np.random.default_rng(10)
    samples = Loopback(n0=0.01)(send(waveform, noise(rng, 2000), gap=0), rng=rng)
    for left in (0.3, 0.7, 0.97):
        receiver = BurstReceiver(waveform)
        assert [*receiver.push(samples[: int(left * len(samples))]), *receiver.flush()] == []
        assert receiver.counts.cut + receiver.counts.refused >= (left > 0.4)
    receiver = BurstReceiver(waveform)
    assert [*receiver.push(samples[200:]), *receiver.flush()] == []  # and without its beginning, it is none


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("esno_db", [3.0, 20.0])
@pytest.mark.parametrize("after", ["noise", "silence"])
def test_a_transmitter_that_stops_within_a_burst_leaves_erasures(
    waveform: Waveform, esno_db: float, after: str
) -> None:
    for i, left in enumerate((0.4, 0.6, 0.9)):
        rng, n0 = np.random.default_rng([11, i]), 10 ** (-esno_db / 10)
        sent = noise(rng, 6000)
        samples = send(waveform, sent, gap=600)
        stop = 600 + int(left * (len(samples) - 1200))
        samples[stop:] = 0
        following = send(waveform, sent[:500], gap=600, sequence=1)
        samples = Loopback(n0=n0)(np.concatenate([samples, following]), rng=rng)
        if after == "silence":
            samples[stop : len(samples) - len(following)] = 0
        got = receive(waveform, samples)
        assert [(one.header.sequence, one.complete) for one in got] == [(0, False), (1, True)]
        (cut, _) = got
        lasted = int((stop - 600) / (len(samples) - len(following) - 1200) * 6000)
        assert (cut.n0[lasted + 300 :] == ERASED).all()
        np.testing.assert_array_equal(cut.symbols[cut.n0 == ERASED], 0)
        assert np.mean(cut.n0[: lasted - 700] == ERASED) < 0.01
        assert np.mean(np.abs(cut.symbols - sent)[: lasted - 700] ** 2) < 1.5 * n0


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_header_with_a_wrong_bit_is_refused(waveform: Waveform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A codeword in place of another: the Golay code cannot tell."""
    rng = np.random.default_rng(12)

    def flipped(header: BurstHeader) -> np.ndarray:
        words = encode_header(header).reshape(24, 12).copy()
        words[:, 5] *= encode_header(BurstHeader(codec=1)).reshape(24, 12)[:, 0]
        words[:, 5] *= encode_header(BurstHeader()).reshape(24, 12)[:, 0]
        return words.ravel()

    module = "layout" if isinstance(waveform, SingleCarrier) else "ofdm_words"
    monkeypatch.setattr(f"semlink.phy.waveform.{module}.encode_header", flipped)
    samples = send(waveform, noise(rng, 500))
    monkeypatch.undo()
    assert np.abs(samples - send(waveform, np.zeros(500)))[:2000].max() > 0.1
    receiver = BurstReceiver(waveform)
    assert [*receiver.push(Loopback(n0=0.001)(samples, rng=rng)), *receiver.flush()] == []
    assert receiver.counts.refused >= 1


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("late", [0, 40, 700, 9000])
def test_of_two_transmitters_at_once_the_stronger_is_heard_and_its_noise_is_known(
    waveform: Waveform, late: int
) -> None:
    rng = np.random.default_rng(13)
    sent, other = noise(rng, 4000), noise(rng, 4000)
    both = send(waveform, sent, sender=1, gap=20_000)
    weak = 10**-0.5 * send(waveform, other, sender=2, gap=20_000)
    both[late:] += (weak * np.exp(2j * np.pi * 1e-4 * np.arange(len(weak))))[: len(both) - late]
    got = receive(waveform, Loopback(n0=0.01)(both, rng=rng))
    strong = [one for one in got if one.header.sender == 1]
    assert len(strong) == 1
    squares = np.abs(strong[0].symbols - sent) ** 2
    overlapped = squares[len(squares) // 2 + 500 :]
    assert np.mean(overlapped) == pytest.approx(np.mean(strong[0].n0[len(squares) // 2 + 500 :]), rel=0.5)
    assert all(one.header.sender in (1, 2) for one in got)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_transmitters_of_equal_strength_give_no_false_symbols(waveform: Waveform) -> None:
    """Whatever is handed out has the error that it says, but for where the other one begins and ends."""
    for i in range(6):
        rng = np.random.default_rng([14, i])
        sent = {1: noise(rng, 1500), 2: noise(rng, 1500)}
        one, two = (send(waveform, symbols, sender=sender, gap=7000) for sender, symbols in sent.items())
        late = int(rng.integers(0, 7000))
        one[late:] += (1j * two * np.exp(2j * np.pi * 1e-4 * np.arange(len(two))))[: len(one) - late]
        for got in receive(waveform, Loopback(n0=0.01, delay=0.4)(one, rng=rng)):
            squares = np.abs(got.symbols - sent[got.header.sender]) ** 2
            assert np.mean(squares / got.n0) < 6


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("level_db", [-10, 0])
@pytest.mark.parametrize("cfo", [0.0, 3e-4])
def test_a_constant_beside_the_signal_is_taken_out(waveform: Waveform, level_db: float, cfo: float) -> None:
    """Of the power of the signal's samples; 0 dB would leave an Es/N0 of -6 dB (single carrier) as noise."""
    rng = np.random.default_rng(15)
    sent, power = noise(rng, 4000), 0.25 if isinstance(waveform, SingleCarrier) else 0.8
    dc = complex(np.sqrt(power * 10 ** (level_db / 10)) * np.exp(2j))
    (got,) = receive(waveform, Loopback(n0=0.01, cfo=cfo, dc=dc, delay=0.7)(send(waveform, sent), rng=rng))
    assert 10 * np.log10(np.mean(np.abs(got.symbols - sent) ** 2) / 0.01) < 1


# Noise alone


def false_alarms(waveform: Waveform, samples: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Bursts received in noise, and places at which even the preamble was believed."""
    module, looked = sys.modules[type(waveform).__module__], 0
    name = "decode_header" if isinstance(waveform, SingleCarrier) else "_read_header"
    original: Callable[..., BurstHeader | None] = getattr(module, name)

    def counted(*arguments: object) -> BurstHeader | None:
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


@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_the_detector_has_the_false_alarm_rate_that_it_is_told(rate: float) -> None:
    """Noise of any colour and level; neighbouring samples are not independent, so every 16th is looked at."""
    rng, waveform = np.random.default_rng(17), SingleCarrier()
    threshold = cfar_threshold(4, 96, rate)
    seen = np.concatenate(
        [waveform.score(noise(rng, waveform.block) * 10 ** rng.uniform(-3, 3))[0][::16] for _ in range(200)]
    )
    assert abs(np.mean(seen > threshold) - rate) < 5 * np.sqrt(rate / len(seen))


def test_a_stronger_tone_is_no_burst_and_hides_none() -> None:
    rng, waveform = np.random.default_rng(18), SingleCarrier()
    tone = 0.5 * np.exp(2j * np.pi * 0.05 * np.arange(60_000))
    receiver = BurstReceiver(waveform)
    assert receiver.push(tone + 0.01 * noise(rng, 60_000)) == []
    assert receiver.counts.refused == 0


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


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_symbols_and_samples_that_cannot_be_are_refused(waveform: Waveform) -> None:
    with pytest.raises(ValueError, match=r"shape \(3,\): the header's segment has 4"):
        waveform.modulate(BurstHeader(symbols=4), np.ones(3))
    with pytest.raises(ValueError, match="finite"):
        waveform.modulate(BurstHeader(symbols=1), np.array([np.nan]))
    receiver = BurstReceiver(waveform)
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        receiver.push(np.zeros((1, 3)))
    assert receiver.push(np.zeros(0)) == []
    assert receiver.flush() == []
    assert receiver.flush() == []
    with pytest.raises(ValueError, match="new BurstReceiver"):
        receiver.push(np.zeros(3))
    with pytest.raises(ValueError, match="max_symbols=-1"):
        BurstReceiver(waveform, max_symbols=-1)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_payload_longer_than_allowed_is_not_waited_for(waveform: Waveform) -> None:
    rng = np.random.default_rng(19)
    stream = np.concatenate([send(waveform, noise(rng, 900)), send(waveform, noise(rng, 100), sequence=1)])
    receiver = BurstReceiver(waveform, max_symbols=800)
    got = [*receiver.push(Loopback(n0=0.01)(stream, rng=rng)), *receiver.flush()]
    assert [one.header.sequence for one in got] == [1]
    assert receiver.counts.too_long == 1


def test_erasures_are_those_of_the_link() -> None:
    assert ERASED == link.ERASED


def test_the_speed_is_measured_on_bursts_that_arrive() -> None:
    for speed in measure_receivers(symbols=500, bursts=4):
        assert speed.found == speed.bursts == 4
        assert speed.samples_per_s > speed.symbols_per_s > 1000
        assert speed.idle_samples_per_s > 1000
