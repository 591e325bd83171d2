"""What was seen, as a line and as data; and what a stream may be in which nothing was."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from semlink.phy.waveform import (
    BurstHeader,
    BurstReceiver,
    Excerpt,
    Loopback,
    OfdmWaveform,
    Seen,
    SeenFrame,
    SingleCarrier,
    Spread,
    Waveform,
    find_hints,
)
from semlink.phy.waveform.hints import LONGEST
from semlink.phy.waveform.seen import Running

WAVEFORMS: tuple[Waveform, ...] = (SingleCarrier(), OfdmWaveform())

ALL = Seen(
    samples=1000, spoilt=3, rate_hz=1e6, level_db=-23.04, peak_db=-3.21, clipped=0.0123, received=5,
    headers_failed={"checksum": 3, "version 1": 1}, cut=1, too_long=2, cfo=Spread(-1e-3, 2e-3, 4e-3),
    clock_ppm=Spread(19.0, 20.06, 21.0), esno_db=Spread(9.96, 12.0, 14.04), frames=2, segments=4, missing=2, repeated=1,
    latest=(SeenFrame(77, 0, 1, 2, 3, 1),), hints=("a hint",), images=0, undecoded={"codec=63": 2},
)  # fmt: skip


def test_the_line_says_all_of_it() -> None:
    assert ALL.line() == (
        "1000 samples at -23.0 dB, peak -3.2 dB of full scale, 1.2 % clipped, 3 taken for 0, 12 bursts found, "
        "4 headers failed (checksum: 3, version 1: 1), 1 without their end, 2 too long, carrier off by +2000 Hz, "
        "clock by +20.1 ppm, Es/N0 10.0 to 14.0 dB, 2 of 6 segments missing, "
        "1 burst of frames that were there already, 2 frames not decoded (codec=63), a hint"
    )
    assert Seen().line() == "no samples"
    assert Seen(samples=1, level_db=-3.0, peak_db=-3.0).line() == (
        "1 sample at -3.0 dB, peak -3.0 dB of full scale, clipping unknown, 0 bursts found"
    )


def test_the_data_say_all_of_it() -> None:
    data = json.loads(json.dumps(ALL.as_data(), allow_nan=False))
    assert data["cfo_hz"] == {"lowest": -1000.0, "mean": 2000.0, "highest": 4000.0}
    assert data["latest"] == [{"transmission": 77, "sender": 0, "sequence": 1, "codec": 2, "segments": 3, "missing": 1}]
    assert (data["bursts"], data["headers_failed"], data["hints"]) == (12, {"checksum": 3, "version 1": 1}, ["a hint"])
    named = set(data) - {"bursts", "cfo_hz"}
    assert named == set(Seen.__dataclass_fields__)
    assert json.loads(json.dumps(Seen().as_data(), allow_nan=False))["level_db"] is None


def test_spreads_are_of_all_that_was_taken() -> None:
    running = Running()
    assert running.spread is None
    for value in (3.0, -1.0, 4.0):
        running.take(value)
    assert running.spread == Spread(-1.0, 2.0, 4.0)


@pytest.mark.parametrize("waveform", WAVEFORMS)
def test_a_receiver_counts_what_becomes_of_bursts(
    waveform: Waveform, noise: Callable[[np.random.Generator, int], np.ndarray], send: Callable[..., np.ndarray]
) -> None:
    rng = np.random.default_rng(0)
    stream = np.concatenate([send(waveform, noise(rng, 500)), send(waveform, noise(rng, 900))])
    heard = Loopback(n0=0.01, cfo=1e-3, ppm=20)(
        np.concatenate([stream, send(waveform, noise(rng, 500))[:-900]]), rng=rng
    )
    receiver = BurstReceiver(waveform, max_symbols=600)
    receiver.push(heard)
    receiver.flush()
    seen = receiver.seen()
    assert (seen.bursts, seen.received, seen.too_long, seen.cut, seen.headers_failed) == (3, 1, 1, 1, {})
    assert seen.samples == len(heard)
    assert seen.level_db == pytest.approx(10 * np.log10(np.mean(np.abs(heard) ** 2)), abs=1e-4)
    assert seen.cfo is not None
    assert seen.esno_db is not None
    assert seen.cfo.mean == pytest.approx(1e-3, abs=2e-5)
    assert seen.esno_db.mean == pytest.approx(20, abs=1)


def test_an_excerpt_is_the_strongest_stretch_however_it_comes() -> None:
    stream = np.full(3 * LONGEST + 999, 0.1, dtype=np.complex64)
    stream[LONGEST + 5 : LONGEST + 100] = 9
    stream[LONGEST + 50] = np.nan
    expected = np.nan_to_num(stream[LONGEST : 2 * LONGEST])
    for pieces in (1, 7):
        excerpt = Excerpt()
        for piece in np.array_split(stream, pieces):
            excerpt.push(piece)
        np.testing.assert_array_equal(excerpt.take(), expected)
    short = Excerpt()
    assert len(short.take()) == 0
    short.push(stream[:10])
    assert len(short.take()) == 10


def test_nothing_is_said_of_what_is_like_nothing_known(
    noise: Callable[[np.random.Generator, int], np.ndarray],
) -> None:
    """Coloured noise, and what can be read as it is."""
    coloured = np.convolve(noise(np.random.default_rng(0), 20_000), np.ones(3))
    assert find_hints(coloured, SingleCarrier()) == ()
    assert find_hints(coloured[:100], SingleCarrier()) == ()
    assert find_hints(np.zeros(9_000), SingleCarrier()) == ()


def test_a_header_alone_is_enough_for_a_hint(noise: Callable[[np.random.Generator, int], np.ndarray]) -> None:
    """The burst ends where the excerpt does."""
    burst = SingleCarrier(6).modulate(BurstHeader(symbols=3000), noise(np.random.default_rng(1), 3000))[:9_000]
    assert find_hints(burst, SingleCarrier()) == ("headers can be read as a single carrier of 6 samples per symbol",)
    assert find_hints(burst, OfdmWaveform()) == ("headers can be read as a single carrier of 6 samples per symbol",)
