"""Transmissions that number their frames alike are never put together, however their bursts come and get lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semlink.phy.waveform import (
    BurstHeader,
    BurstReceiver,
    Loopback,
    OfdmWaveform,
    Reassembled,
    Reassembler,
    ReceivedBurst,
    Refused,
    Segment,
    SingleCarrier,
    Waveform,
    draw_transmission,
    split,
)
from semlink.phy.waveform.burst import ERASED
from semlink.phy.waveform.header import IMPOSSIBLE, encode_header, read_header

WAVEFORMS: tuple[Waveform, ...] = (SingleCarrier(), OfdmWaveform())


def arrive(part: Segment) -> ReceivedBurst:
    """As a receiver without noise hands it out."""
    n0 = np.full(len(part.symbols), 0.1)
    return ReceivedBurst(part.header, part.symbols, n0, 0.0, 0, 0.0, 0.0, 1.0, 10.0, True)


def value_of(transmission: int, sequence: int) -> complex:
    """What all symbols of a frame are, so that any that is elsewhere is known."""
    return complex(transmission, 1 + sequence)


def send(transmission: int, frames: int, rng: np.random.Generator, loss: float) -> list[Segment]:
    """Frames from 0 on, in one to four segments each, as far as they are not lost; alike but for the transmission."""
    parts = []
    for sequence in range(frames):
        header = BurstHeader(codec=2, height=4, width=5, transmission=transmission, sequence=sequence)
        parts += split(np.full(40, value_of(transmission, sequence)), header, longest=10 + 10 * (sequence % 4))
    return [part for part in parts if rng.random() >= loss]


def interleave(streams: list[list[Segment]], rng: np.random.Generator, *, shuffled: bool) -> list[Segment]:
    """One stream of all, each in its own order or in none."""
    turns = rng.permutation(np.repeat(np.arange(len(streams)), [len(one) for one in streams]))
    iterators = [iter(one) for one in streams]
    mixed = [next(iterators[turn]) for turn in turns.tolist()]
    return [mixed[i] for i in rng.permutation(len(mixed))] if shuffled else mixed


def is_pure(frame: Reassembled) -> bool:
    """Whether it has what was sent in it, or nothing where that is lost."""
    own = value_of(frame.header.transmission, frame.header.sequence)
    return bool(np.isin(frame.symbols, (own, 0)).all() and ((frame.symbols == 0) == (frame.n0 == ERASED)).all())


@pytest.mark.parametrize("seed", range(60))
def test_no_segment_of_one_ever_lands_in_another(seed: int) -> None:
    """Of two to four transmissions, in any order and with any losses, under tight limits of memory as well."""
    rng = np.random.default_rng(seed)
    numbers, loss = [draw_transmission(rng) for _ in range(rng.integers(2, 5))], rng.choice([0.0, 0.1, 0.5])
    streams = [send(number, int(rng.integers(1, 5)), rng, loss) for number in numbers]
    mixed = interleave(streams, rng, shuffled=bool(seed % 2))
    tight = Reassembler(patience=int(rng.integers(1, 9)), most=int(rng.integers(1, 5)))
    roomy = Reassembler(patience=1000, most=100)
    for reassembler in (tight, roomy):
        got = [frame for part in mixed for frame in reassembler.push(arrive(part))] + reassembler.flush()
        assert all(is_pure(frame) for frame in got)
    arrived = {(part.header.transmission, part.header.sequence): part.header.segments for part in mixed}
    assert {(one.header.transmission, one.header.sequence): one.header.segments for one in got} == arrived
    assert len(got) == len(arrived)
    for frame in got:
        key = replace(frame.header, segment=0)
        there = {part.header.segment for part in mixed if replace(part.header, segment=0) == key}
        assert set(frame.lost) == set(range(frame.header.segments)) - there


def test_without_a_number_they_would_be_put_together() -> None:
    """The twin: the same bursts, all said to be of one transmission."""
    rng = np.random.default_rng(0)
    mixed = interleave([send(number, 4, rng, 0.3) for number in (5, 6)], rng, shuffled=False)
    reassembler = Reassembler(patience=1000, most=100)
    nameless = [Segment(replace(part.header, transmission=0), part.symbols) for part in mixed]
    got = [frame for part in nameless for frame in reassembler.push(arrive(part))] + reassembler.flush()
    assert any(len(set(frame.symbols[frame.symbols != 0])) > 1 for frame in got)
    assert reassembler.dropped


def test_whole_frames_come_in_the_order_in_which_they_become_whole() -> None:
    rng = np.random.default_rng(1)
    mixed = interleave([send(number, 4, rng, 0.0) for number in (7, 8, 9)], rng, shuffled=True)
    left = {}
    for i, part in enumerate(mixed):
        left[part.header.transmission, part.header.sequence] = i
    reassembler = Reassembler(patience=1000, most=100)
    got = [frame.header for part in mixed for frame in reassembler.push(arrive(part))]
    assert [(one.transmission, one.sequence) for one in got] == sorted(left, key=lambda key: left[key])


@pytest.mark.parametrize("waveform", WAVEFORMS)
@pytest.mark.parametrize("interleaved", [False, True])
def test_two_images_in_one_recording_both_arrive(waveform: Waveform, interleaved: bool) -> None:
    """Both are number 0, and each lacks another segment."""
    rng, sent, bursts = np.random.default_rng(2), {}, []
    for number, lost in ((11, 0), (22, 2)):
        sent[number] = (rng.standard_normal((900, 2)) @ [1, 1j]) * np.sqrt(0.5)
        parts = split(sent[number], BurstHeader(height=10, width=30, transmission=number), longest=300)
        bursts.append([waveform.modulate(*part) for part in parts if part.header.segment != lost])
    order = [bursts[i][j] for j in (0, 1) for i in (0, 1)] if interleaved else [*bursts[0], *bursts[1]]
    stream = np.concatenate([np.pad(one, (400, 400)) for one in order])
    receiver, reassembler = BurstReceiver(waveform), Reassembler()
    heard = receiver.push(Loopback(n0=1e-3)(stream, rng=rng)) + receiver.flush()
    got = [frame for burst in heard for frame in reassembler.push(burst)] + reassembler.flush()
    assert [(one.header.transmission, one.lost) for one in got] == [(11, (0,)), (22, (2,))]
    for frame in got:
        there = frame.n0 < ERASED
        assert there.sum() == 600
        assert np.mean(np.abs(frame.symbols - sent[frame.header.transmission])[there] ** 2) < 5e-3
        assert not frame.symbols[~there].any()


def test_numbers_are_drawn_from_all_there_are_and_by_the_seed() -> None:
    drawn = [draw_transmission(np.random.default_rng(seed)) for seed in range(400)]
    assert drawn[:3] == [draw_transmission(np.random.default_rng(seed)) for seed in range(3)]
    assert 1 <= min(drawn) < 1 << 18
    assert (1 << 24) - (1 << 18) < max(drawn) < 1 << 24
    assert len(set(drawn)) >= 399  # two of 400 are alike once in 200 times: 400·399/2 / 2^24


def test_pilots_differ_between_transmissions() -> None:
    marks = {BurstHeader(transmission=number).mark % 2048 for number in range(1, 500)}
    assert len(marks) == 499


def test_why_a_header_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = encode_header(BurstHeader(transmission=77))
    assert read_header(sent) == BurstHeader(transmission=77)
    broken = sent.copy()
    broken[::14] *= -1
    assert read_header(broken * np.where(np.arange(336) % 28, 1, -1)) == Refused("checksum")
    monkeypatch.setattr("semlink.phy.waveform.header.VERSION", 3)
    later = encode_header(BurstHeader(transmission=77))
    monkeypatch.undo()
    assert read_header(later) == Refused("version 3")
    impossible = BurstHeader(transmission=77)
    object.__setattr__(impossible, "height", 0)
    assert read_header(encode_header(impossible)) == Refused(IMPOSSIBLE)
