"""The header of a burst: its code, its CRC, its fields, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from semlink.phy.fec.crc import append
from semlink.phy.waveform import FIELDS, BurstHeader, golay
from semlink.phy.waveform.header import (
    HEADER_SYMBOLS,
    Refused,
    encode_header,
    likely_symbols,
    read_header,
    segment_bounds,
)

EXAMPLE = BurstHeader(
    codec=5,
    mcs=17,
    height=768,
    width=512,
    sender=200,
    transmission=0xC0FFEE,
    sequence=99,
    segment=7,
    segments=9,
    symbols=70_001,
    scale_db=-2.5,
)


def random_header(rng: np.random.Generator) -> BurstHeader:
    """Any values that a header takes."""
    drawn = {name: int(rng.integers(1 << width)) for name, width in FIELDS.items() if name not in ("version", "scale")}
    drawn |= {name: max(drawn[name], 1) for name in ("height", "width", "segments")}
    drawn["segment"] %= drawn["segments"]
    return BurstHeader(**drawn, scale_db=float(rng.integers(-2048, 2048)) / 32)  # type: ignore[arg-type]


def test_golay_has_the_weights_of_the_extended_golay_code() -> None:
    """F. J. MacWilliams and N. J. A. Sloane, "The Theory of Error-Correcting Codes", chapter 2: 1 + 759 + 2576 + …"""
    weights, counts = np.unique(golay.codebook().sum(axis=1), return_counts=True)
    assert dict(zip(weights.tolist(), counts.tolist(), strict=True)) == {0: 1, 8: 759, 12: 2576, 16: 759, 24: 1}
    words = golay.codebook()[[3, 1000, 77]]
    assert (golay.codebook() == (words[0] ^ words[1] ^ words[2])).all(axis=1).sum() == 1  # it is linear


def test_golay_corrects_any_three_flips_of_24() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (300, 12))
    flipped = golay.encode(bits).copy()
    for row in flipped:
        row[rng.choice(24, 3, replace=False)] ^= 1
    np.testing.assert_array_equal(golay.decode(1.0 - 2 * flipped), bits)


def test_golay_decodes_softly_as_well_as_its_distances_promise() -> None:
    """Word errors at Eb/N0 = 3 dB against the union bound 759 Q(√(2·8·R·Eb/N0)) + …, from which they differ little."""
    rng, words = np.random.default_rng(1), 20_000
    bits = rng.integers(0, 2, (words, 12))
    ebn0 = 10**0.4
    sigma = np.sqrt(1 / (2 * 0.5 * ebn0))
    soft = 1 - 2 * golay.encode(bits) + sigma * rng.standard_normal((words, 24))
    errors = int((golay.decode(soft) != bits).any(axis=1).sum())
    bound = sum(
        count * 0.5 * float(torch.erfc(torch.tensor(np.sqrt(weight * 0.5 * ebn0))))
        for weight, count in ((8, 759), (12, 2576), (16, 759))
    )
    assert 0.4 * bound * words < errors < bound * words + 3 * np.sqrt(bound * words)


def test_a_header_comes_back_field_by_field() -> None:
    rng = np.random.default_rng(2)
    for header in [EXAMPLE, *(random_header(rng) for _ in range(200))]:
        sent = encode_header(header)
        assert sent.shape == (HEADER_SYMBOLS,)
        assert set(np.unique(sent)) <= {-1.0, 1.0}
        assert read_header(sent) == header
        np.testing.assert_array_equal(likely_symbols(sent), sent)
    assert sum(FIELDS.values()) == 144


def test_the_crc_is_that_of_38_212() -> None:
    """Against the CRC of the 5G chain, bit for bit."""
    sent = encode_header(EXAMPLE).reshape(24, 14).T
    bits = golay.decode(sent).ravel()
    assert torch.equal(append(torch.from_numpy(bits[None, :144]).float(), 24)[0], torch.from_numpy(bits).float())


def test_three_flips_in_every_word_are_repaired_and_any_other_word_is_refused() -> None:
    rng = np.random.default_rng(3)
    sent = encode_header(EXAMPLE).reshape(24, 14)  # column i is word i
    flipped = sent.copy()
    for word in range(14):
        flipped[rng.choice(24, 3, replace=False), word] *= -1
    assert read_header(flipped.ravel()) == EXAMPLE
    # A word that is replaced by another codeword cannot be told by the Golay code: by the CRC it is.
    for word in range(14):
        for other in rng.choice(np.arange(1, 4096), 40, replace=False):
            wrong = sent.copy()
            wrong[:, word] *= 1 - 2 * golay.codebook()[other]
            assert isinstance(read_header(wrong.ravel()), Refused)


def test_noise_alone_is_no_header() -> None:
    rng = np.random.default_rng(4)
    assert all(isinstance(read_header(rng.standard_normal(HEADER_SYMBOLS)), Refused) for _ in range(500))


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("semlink.phy.waveform.header.VERSION", 3)
    sent = encode_header(EXAMPLE)
    monkeypatch.undo()
    assert isinstance(read_header(sent), Refused)


def test_headers_survive_3_db() -> None:
    """2,000 headers in coherent BPSK at Es/N0 = 3 dB: the union bound says 8e-5 are lost."""
    rng = np.random.default_rng(5)
    lost = 0
    for _ in range(2000):
        header = random_header(rng)
        soft = encode_header(header) + np.sqrt(10**-0.3 / 2) * rng.standard_normal(HEADER_SYMBOLS)
        lost += read_header(soft) != header
    assert lost <= 2


def test_segments_cover_a_frame_and_differ_by_one_symbol_at_most() -> None:
    for symbols, segments in ((0, 1), (1, 1), (10, 3), (4097, 2), (70_001, 9), (3, 5)):
        bounds = [segment_bounds(symbols, segments, i) for i in range(segments)]
        assert [start for start, _ in bounds[1:]] == [stop for _, stop in bounds[:-1]]
        assert (bounds[0][0], bounds[-1][1]) == (0, symbols)
        sizes = [stop - start for start, stop in bounds]
        assert max(sizes) - min(sizes) <= 1
    assert EXAMPLE.count == 7778


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("codec", 64, "codec=64 must be a whole number from 0 to 63"),
        ("mcs", -1, "mcs=-1"),
        ("height", 0, "height=0 must be a whole number from 1 to 16383"),
        ("width", 1.5, "width=1.5"),
        ("segments", 0, "segments=0"),
        ("segment", 1, "segment=1 must be from 0 to 0"),
        ("symbols", 1 << 24, "symbols=16777216 must be a whole number from 0 to 16777215"),
        ("transmission", 1 << 24, "transmission=16777216 must be a whole number from 0 to 16777215"),
        ("sequence", True, "sequence=True"),
        ("scale_db", 64.0, "scale_db=64.0 must be from -64 to 63.9688 dB"),
        ("scale_db", float("nan"), "scale_db=nan"),
    ],
)
def test_a_field_out_of_range_is_refused_by_name(field: str, value: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        BurstHeader(**{field: value})  # type: ignore[arg-type]


def test_the_scale_is_rounded_to_what_is_sent() -> None:
    assert BurstHeader(scale_db=1.02).scale_db == 33 / 32
