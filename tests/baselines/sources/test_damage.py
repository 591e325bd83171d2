"""Damaged and forged streams: an image or None, in time and without a word."""

from __future__ import annotations

import io
import resource
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from jaxtyping import UInt8
from PIL import Image

from semlink.baselines.sources import SourceCoder
from semlink.baselines.sources.guard import read_image
from semlink.baselines.sources.source import SMALL_SIDE

Pixels = UInt8[np.ndarray, "h w c"]
FRAGMENTS = [b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"RIFF", b"\0\0\0\x1cftypavif"]


@pytest.mark.parametrize("complete", [False, True])
def test_nothing_usable_is_none(coder: SourceCoder, complete: bool) -> None:
    for shape in ((32, 32, 3), (32, 32, 1), (80, 80, 3), (80, 80, 1)):
        for data in (b"", b"\0", bytes(100), *(FRAGMENTS if max(shape) > SMALL_SIDE else [])):
            assert coder.decode(data, shape, complete=complete) is None


def mutations(coding: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Bit flips (some of them in the headers), cuts, overwritten runs, other streams' tails and noise."""
    rng = np.random.default_rng(seed)
    for trial in range(count):
        data = bytearray(coding)
        kind = trial % 6
        reach = min(len(data), 400) if kind == 1 else len(data)
        if kind <= 1:
            for _ in range(int(rng.integers(1, 9))):
                data[int(rng.integers(reach))] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del data[int(rng.integers(len(data))) :]
        elif kind == 3:
            at = int(rng.integers(len(data)))
            data[at : at + 16] = rng.bytes(len(data[at : at + 16]))
        elif kind == 4:
            at = int(rng.integers(len(data)))
            data[at:] = rng.bytes(len(data) - at)
        else:
            at = int(rng.integers(reach))
            data[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\xea\x60", b"\x7f\xff\xff\xff"][trial // 6 % 4]
        yield bytes(data)


def survives(coder: SourceCoder, image: Pixels, count: int, seed: int) -> int:
    """How many damaged streams gave an image; all gave that or None, in time, and without a word."""
    coding = coder.encode(image, 900)
    assert coding is not None
    shown, slowest = 0, 0.0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for trial, data in enumerate(mutations(coding, count, seed)):
            start = time.perf_counter()
            decoded = coder.decode(data, image.shape, complete=trial % 4 != 0)
            slowest = max(slowest, time.perf_counter() - start)
            if decoded is not None:
                shown += 1
                assert decoded.shape == image.shape
                assert decoded.dtype == np.uint8
    assert not said
    assert slowest < 2
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(32, 32, 3), (72, 40, 3), (17, 33, 1), (66, 9, 1)])
def test_damage_is_survived(
    coder: SourceCoder,
    shape: tuple[int, int, int],
    capfd: pytest.CaptureFixture[str],
    photograph: Callable[..., Pixels],
) -> None:
    """2,500 damaged streams of each of four images: 10,000 of each format."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shown = survives(coder, photograph(*shape), 2500, seed=sum(shape))
    assert shown > 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # in KiB
    assert capfd.readouterr() == ("", "")


def test_some_damage_is_survived(coder: SourceCoder, photograph: Callable[..., Pixels]) -> None:
    assert survives(coder, photograph(32, 32, 3), 300, seed=1) > 2


def test_a_stream_of_another_size_or_kind_is_none(coder: SourceCoder, photograph: Callable[..., Pixels]) -> None:
    side = SMALL_SIDE + 16  # whole files
    coding = coder.encode(photograph(side, side, 3), 4000)
    assert coding is not None
    for shape in ((side, side + 1, 3), (side + 64, side, 3), (2 * side, side, 3)):
        assert coder.decode(coding, shape, complete=True) is None


def with_other_size(name: str, coding: bytes) -> Iterator[bytes]:
    """The file of an 80×80 image with one of the fields that tell a size enlarged, for each of these."""
    fields = {  # where the two fields start, after what, and how long each is
        "jpeg": (b"\xff\xc0", 3, 2),
        "jpeg2000": (b"\xff\x51", 6, 4),
        "webp": (b"\x9d\x01\x2a", 0, 2),
        "avif": (b"ispe", 4, 4),
        "heic": (b"ispe", 4, 4),
    }
    mark, gap, length = fields[name]
    at = coding.index(mark) + len(mark) + gap
    enlarged = (10_000).to_bytes(length, "little" if name == "webp" else "big")
    for field in (at, at + length):
        yield coding[:field] + enlarged + coding[field + length :]
    if name == "avif":  # AV1 sequence header: seven bits each for 80 − 1 and 80 − 1, from bit 18 on
        at = coding.index(b"mdat") + 4 + 4
        for bit in range(10, 32):
            yield (
                coding[: at + bit // 8] + bytes([coding[at + bit // 8] ^ 0x80 >> bit % 8]) + coding[at + bit // 8 + 1 :]
            )
    if name == "heic":  # a parameter set where the coded slice should be
        at = coding.index(b"mdat") + 4 + 4
        yield coding[:at] + b"\x42" + coding[at + 1 :]
    if name == "heic":  # HEVC sequence parameter set: the sides as ue(v), somewhere after profile and level
        at = coding.index(b"\x42\x01")
        bits = "".join(f"{byte:08b}" for byte in coding[at : at + 40])
        sides = [exp_golomb(side) for side in range(80, 129, 8)]
        (coded,) = (side for side in sides if side * 2 in bits)
        for claimed in (coded + exp_golomb(4000), exp_golomb(4000) + coded, exp_golomb(16) + coded):
            changed = bits.replace(coded * 2, claimed)[: 8 * 40].ljust(8 * 40, "0")
            yield coding[:at] + int(changed, 2).to_bytes(40) + coding[at + 40 :]


def exp_golomb(value: int) -> str:
    """ue(v) of ITU-T H.265 clause 9.2."""
    return "0" * (len(f"{value + 1:b}") - 1) + f"{value + 1:b}"


def test_a_file_that_claims_another_size_reaches_no_decoder(
    name: str, coder: SourceCoder, monkeypatch: pytest.MonkeyPatch, photograph: Callable[..., Pixels]
) -> None:
    image = photograph(80, 80, 3)
    coding = coder.encode(image, 2000)
    assert coding is not None
    reached: list[bytes] = []
    monkeypatch.setattr("semlink.baselines.sources.guard._decode", lambda file, *_: reached.append(file))
    coder.decode(coding, image.shape, complete=True)
    assert len(reached) == 1
    for damaged in with_other_size(name, coding):
        assert damaged != coding
        assert coder.decode(damaged, image.shape, complete=True) is None
    assert len(reached) == 1


def test_what_pillow_reads_has_the_size_asked_for(photograph: Callable[..., Pixels]) -> None:
    image = photograph(40, 24, 3)
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG")
    np.testing.assert_array_equal(read_image(out.getvalue(), (40, 24, 3), "JPEG"), np.asarray(Image.open(out)))
    for shape in ((24, 40, 3), (40, 25, 3), (20, 48, 3), (40, 24, 1)):
        assert read_image(out.getvalue(), shape, "JPEG") is None
    assert read_image(out.getvalue(), (40, 24, 3), "WEBP") is None
    assert read_image(out.getvalue()[:60], (40, 24, 3), "JPEG") is None


@pytest.mark.parametrize("name", ["jpeg2000", "avif", "heic"], indirect=True)
def test_a_cut_file_that_should_be_whole_is_none(coder: SourceCoder, photograph: Callable[..., Pixels]) -> None:
    image = photograph(96, 96, 3)
    coding = coder.encode(image, 4000)
    assert coding is not None
    assert coder.decode(coding[: len(coding) * 2 // 3], image.shape, complete=True) is None
