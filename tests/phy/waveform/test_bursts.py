"""What both waveforms keep to, from the transmitter over a loopback to what the receiver hands out."""

from __future__ import annotations

from collections.abc import Callable

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

WAVEFORMS: tuple[Waveform, ...] = (SingleCarrier(), OfdmWaveform())


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
def test_bursts_have_the_energy_of_their_symbols(
    waveform: Waveform, noise: Callable[[np.random.Generator, int], np.ndarray]
) -> None:
    sent = waveform.modulate(BurstHeader(symbols=9600), noise(np.random.default_rng(0), 9600))
    account = waveform.account(9600)
    used = sum(count for purpose, count in account.items() if purpose != "guard")
    if isinstance(waveform, OfdmWaveform):
        used = used * 80 / 64  # the prefix is sent twice
    assert np.sum(np.abs(sent) ** 2) / used == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("piece", [977, 5000, 40_000])
def test_pieces_of_the_stream_do_not_matter(
    waveform: Waveform,
    piece: int,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> None:
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
def test_bursts_back_to_back_are_told_apart(
    waveform: Waveform,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> None:
    rng = np.random.default_rng(8)
    stream = np.concatenate([send(waveform, noise(rng, 300), gap=0, sequence=i) for i in range(6)])
    got = receive(waveform, Loopback(n0=0.01, delay=50.2)(stream, rng=rng))
    assert [one.header.sequence for one in got] == list(range(6))
    assert all(one.complete for one in got)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_burst_without_payload_is_a_burst(
    waveform: Waveform, send: Callable[..., np.ndarray], receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]]
) -> None:
    rng = np.random.default_rng(9)
    (got,) = receive(waveform, Loopback(n0=0.1, delay=0.5)(send(waveform, np.zeros(0), codec=9), rng=rng))
    assert (got.header.codec, len(got.symbols), len(got.n0), got.complete) == (9, 0, 0, True)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_burst_cut_at_the_end_of_the_stream_is_dropped_and_counted(
    waveform: Waveform, noise: Callable[[np.random.Generator, int], np.ndarray], send: Callable[..., np.ndarray]
) -> None:
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
    waveform: Waveform,
    esno_db: float,
    after: str,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
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
def test_a_header_with_a_wrong_bit_is_refused(
    waveform: Waveform,
    monkeypatch: pytest.MonkeyPatch,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
) -> None:
    """A codeword in place of another: the Golay code cannot tell."""
    rng = np.random.default_rng(12)

    def flipped(header: BurstHeader) -> np.ndarray:
        words = encode_header(header).reshape(24, 14).copy()
        words[:, 5] *= encode_header(BurstHeader(codec=1)).reshape(24, 14)[:, 0]
        words[:, 5] *= encode_header(BurstHeader()).reshape(24, 14)[:, 0]
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
    waveform: Waveform,
    late: int,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
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
def test_transmitters_of_equal_strength_give_no_false_symbols(
    waveform: Waveform,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> None:
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
def test_a_constant_beside_the_signal_is_taken_out(
    waveform: Waveform,
    level_db: float,
    cfo: float,
    noise: Callable[[np.random.Generator, int], np.ndarray],
    send: Callable[..., np.ndarray],
    receive: Callable[[Waveform, np.ndarray], list[ReceivedBurst]],
) -> None:
    """Of the power of the signal's samples; 0 dB would leave an Es/N0 of -6 dB (single carrier) as noise."""
    rng = np.random.default_rng(15)
    sent, power = noise(rng, 4000), 0.25 if isinstance(waveform, SingleCarrier) else 0.8
    dc = complex(np.sqrt(power * 10 ** (level_db / 10)) * np.exp(2j))
    (got,) = receive(waveform, Loopback(n0=0.01, cfo=cfo, dc=dc, delay=0.7)(send(waveform, sent), rng=rng))
    assert 10 * np.log10(np.mean(np.abs(got.symbols - sent) ** 2) / 0.01) < 1


# What is asked for and cannot be


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
def test_a_payload_longer_than_allowed_is_not_waited_for(
    waveform: Waveform, noise: Callable[[np.random.Generator, int], np.ndarray], send: Callable[..., np.ndarray]
) -> None:
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
