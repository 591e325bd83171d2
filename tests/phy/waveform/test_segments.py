"""Frames split over bursts and put together again, whatever happens to them on the way."""

from __future__ import annotations

import numpy as np
import pytest

from semlink.phy.waveform import BurstHeader, Reassembled, Reassembler, ReceivedBurst, Segment, split
from semlink.phy.waveform.burst import ERASED


def frame(n: int, seed: int = 0) -> np.ndarray:
    """Symbols (n,)."""
    return (np.random.default_rng(seed).standard_normal((n, 2)) @ [1, 1j]).astype(np.complex64)


def arrive(segment: Segment, n0: float = 0.1, error: complex = 0) -> ReceivedBurst:
    """A segment as received."""
    n = len(segment.symbols)
    return ReceivedBurst(
        header=segment.header, symbols=segment.symbols + error, n0=np.full(n, n0, np.float32), start=0.0, samples=n,
        cfo=0.0, timing_ppm=0.0, gain=1.0, esno_db=-10 * np.log10(n0), complete=True,
    )  # fmt: skip


def run(bursts: list[ReceivedBurst], **limits: int) -> list[Reassembled]:
    """All frames, those given up at the end included."""
    reassembler = Reassembler(**limits)
    return [*(one for burst in bursts for one in reassembler.push(burst)), *reassembler.flush()]


@pytest.mark.parametrize(
    ("n", "longest", "segments"), [(0, 10, 1), (1, 10, 1), (10, 10, 1), (11, 10, 2), (1000, 64, 16)]
)
def test_a_frame_is_split_evenly_and_comes_back(n: int, longest: int, segments: int) -> None:
    parts = split(frame(n), BurstHeader(codec=3, scale_db=1.5), longest=longest)
    assert [part.header.segment for part in parts] == list(range(segments))
    assert all(part.header.count == len(part.symbols) <= longest for part in parts)
    order = np.random.default_rng(1).permutation(segments)
    (got,) = run([arrive(parts[i]) for i in order])
    np.testing.assert_array_equal(got.symbols, frame(n))
    np.testing.assert_array_equal(got.n0, np.full(n, 0.1, np.float32))
    assert (got.lost, got.header.codec, got.header.scale_db) == ((), 3, 1.5)
    assert np.isfinite(got.esno_db).all()


def test_lost_segments_are_erased_whichever_they_are() -> None:
    parts = split(frame(1000), BurstHeader(), longest=300)
    for lost in range(4):
        (got,) = run([arrive(part) for part in parts if part.header.segment != lost])
        assert got.lost == (lost,)
        erased = np.arange(1000) // 250 == lost
        np.testing.assert_array_equal(got.symbols, np.where(erased, 0, frame(1000)))
        np.testing.assert_array_equal(got.n0 == np.float32(ERASED), erased)
        np.testing.assert_array_equal(np.isnan(got.esno_db), np.arange(4) == lost)


def test_two_frames_at_a_time_do_not_mix() -> None:
    one = split(frame(900, 1), BurstHeader(sequence=7, sender=1), longest=300)
    other = split(frame(900, 2), BurstHeader(sequence=7, sender=2), longest=300)
    third = split(frame(900, 3), BurstHeader(sequence=8, sender=1), longest=300)
    mixed = [arrive(part) for parts in zip(one, other, reversed(third), strict=True) for part in parts]
    got = run(mixed)
    assert [(frame_.header.sender, frame_.header.sequence) for frame_ in got] == [(1, 7), (2, 7), (1, 8)]
    for i, frame_ in enumerate(got):
        np.testing.assert_array_equal(frame_.symbols, frame(900, i + 1))


def test_of_a_segment_that_comes_twice_the_better_one_stays() -> None:
    parts = split(frame(20), BurstHeader(), longest=10)
    for order in ([0.5, 0.01], [0.01, 0.5]):
        (got,) = run([*(arrive(parts[0], n0, error=n0) for n0 in order), arrive(parts[1])])
        np.testing.assert_allclose(got.symbols[:10], frame(20)[:10] + 0.01, rtol=1e-6)
        assert got.n0[0] == np.float32(0.01)


def test_a_segment_that_comes_again_after_its_frame_opens_no_other() -> None:
    parts = split(frame(20), BurstHeader(), longest=10)
    reassembler = Reassembler()
    assert [len(reassembler.push(arrive(part))) for part in (*parts, parts[0], parts[1])] == [0, 1, 0, 0]
    assert reassembler.dropped == 2
    assert reassembler.flush() == []


def test_a_frame_that_lacks_segments_is_given_up_by_count() -> None:
    lacking = split(frame(20), BurstHeader(sequence=1), longest=10)
    others = [split(frame(5), BurstHeader(sequence=2 + i), longest=10)[0] for i in range(5)]
    reassembler = Reassembler(patience=3)
    assert reassembler.push(arrive(lacking[0])) == []
    released = [[one.header.sequence for one in reassembler.push(arrive(other))] for other in others]
    assert released == [[2], [3], [4], [1, 5], [6]]
    assert reassembler.push(arrive(lacking[1])) == []  # too late
    assert reassembler.dropped == 1


def test_only_so_many_frames_are_open() -> None:
    parts = [split(frame(20), BurstHeader(sequence=i), longest=10)[0] for i in range(4)]
    reassembler = Reassembler(most=2)
    released = [[one.header.sequence for one in reassembler.push(arrive(part))] for part in parts]
    assert released == [[], [], [0], [1]]
    assert [one.header.sequence for one in reassembler.flush()] == [2, 3]


def test_a_header_alone_takes_no_memory() -> None:
    huge = BurstHeader(symbols=(1 << 24) - 1, segments=4095)
    reassembler = Reassembler(max_symbols=1000)
    assert reassembler.push(arrive(Segment(huge, np.zeros(huge.count)))) == []
    assert (reassembler.dropped, reassembler.flush()) == (1, [])


def test_limits_and_shapes_are_checked() -> None:
    for name in ("patience", "most", "max_symbols"):
        with pytest.raises(ValueError, match=f"{name}=0 must be 1 or more"):
            Reassembler(**{name: 0})
    with pytest.raises(ValueError, match="longest=0"):
        split(frame(3), BurstHeader(), longest=0)
    with pytest.raises(ValueError, match="segments=5000"):
        split(frame(5000), BurstHeader(), longest=1)
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        split(frame(3)[None], BurstHeader())
