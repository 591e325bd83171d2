"""What a decoder is about to write is checked before it sees a file, whatever the container claims."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from semlink.baselines.sources import SOURCES, Pixels, SourceCoder, find_source
from semlink.baselines.sources.guard import is_expected, read_image

KINDS = {"jpeg": "JPEG", "jpeg2000": "JPEG2000", "webp": "WEBP", "avif": "AVIF", "heic": "HEIF"}
SIDE, OTHER = 96, 72
HELD = ("avif", "heic")  # in boxes


@pytest.fixture(params=list(KINDS))
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "heic":
        pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    return str(request.param)


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that a decoder would have seen."""
    seen: list[bytes] = []
    monkeypatch.setattr("semlink.baselines.sources.guard._decode", lambda file, *_: seen.append(file))
    return seen


def picture(h: int, w: int, c: int = 3) -> Pixels:
    return (np.add.outer(np.arange(h), 2 * np.arange(w))[:, :, None] % 200 + np.arange(c)).astype(np.uint8)


@cache
def coding(name: str, h: int, w: int, c: int = 3) -> bytes:
    """A whole, valid file."""
    data = find_source(name).encode(picture(h, w, c), 4000)
    assert data is not None
    return data


def test_every_coder_is_guarded() -> None:
    """Of those that ship; what registers others, prompts say, may have run before in this process."""
    assert set(KINDS) == {name for name, made in SOURCES.items() if isinstance(made, str)}


@pytest.mark.parametrize("c", [1, 3])
def test_a_valid_file_of_another_size_reaches_no_decoder(name: str, c: int, reached: list[bytes]) -> None:
    """Smaller ones as well: harmless, and of the same kind as those that would fill the memory."""
    coder, shape = find_source(name), (SIDE, SIDE, c)
    sizes = (OTHER, SIDE), (SIDE, OTHER), (2 * SIDE, SIDE), (SIDE, 2 * SIDE), (SIDE + 64, SIDE)
    right, *others = [coding(name, h, w, c) for h, w in ((SIDE, SIDE), *sizes)]
    reached.clear()  # an encoder may decode what it has made
    for other in others:
        assert coder.decode(other, shape, complete=True) is None
        assert coder.decode(other, shape, complete=False) is None
        assert read_image(other, shape, KINDS[name]) is None
    assert not reached
    coder.decode(right, shape, complete=True)
    assert len(reached) == 1


def boxes(file: bytes, at: int, stop: int) -> dict[bytes, tuple[int, int]]:
    """Where each box starts and ends, by type."""
    found = {}
    while at < stop:
        end = at + int.from_bytes(file[at : at + 4])
        found[file[at + 4 : at + 8]] = at, end
        at = end
    return found


def with_a_decoy(name: str) -> bytes:
    """A file whose item is not what lies where the coded picture is looked for, but another, larger one behind it."""
    small, large = coding(name, SIDE, SIDE), coding(name, 2 * SIDE, SIDE)
    top = boxes(small, 0, len(small))
    behind = large[slice(*boxes(large, 0, len(large))[b"mdat"])]
    at = top[b"meta"][0] + 12
    iloc = boxes(small, at, top[b"meta"][1])[b"iloc"]
    place = (top[b"mdat"][1] + 8).to_bytes(4), (len(behind) - 8).to_bytes(4)
    field = small.index((top[b"mdat"][0] + 8).to_bytes(4), iloc[0])
    length = small.index((top[b"mdat"][1] - top[b"mdat"][0] - 8).to_bytes(4), iloc[0])
    file = small[:field] + place[0] + small[field + 4 :]
    return file[:length] + place[1] + file[length + 4 :] + behind


@pytest.mark.parametrize("name", HELD, indirect=True)
def test_what_is_looked_at_is_what_is_decoded(name: str, reached: list[bytes]) -> None:
    coder, decoy, whole = find_source(name), with_a_decoy(name), coding(name, SIDE, SIDE)
    reached.clear()
    assert coder.decode(decoy, (SIDE, SIDE, 3), complete=True) is None
    assert coder.decode(decoy[: len(whole)], (SIDE, SIDE, 3), complete=True) is None  # beyond the end
    for mark, other in ((b"iref", b"hdlr"), (b"grid", b"av01" if name == "avif" else b"hvc1"), (b"ispe", b"pixi")):
        assert coder.decode(whole.replace(other, mark), (SIDE, SIDE, 3), complete=True) is None
    assert not reached


def test_a_second_parameter_set_is_none(reached: list[bytes]) -> None:
    """Of HEVC: which of them the slice means is not looked into."""
    pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    whole = coding("heic", SIDE, SIDE)
    reached.clear()
    at = whole.index(b"\x44\x01")  # the picture parameter set becomes another sequence's
    assert find_source("heic").decode(whole[:at] + b"\x42" + whole[at + 1 :], (SIDE, SIDE, 3), complete=True) is None
    assert not reached


def segment(code: int, content: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(content) + 2).to_bytes(2) + content


def test_a_jpeg_that_can_be_read_in_two_ways_is_none() -> None:
    whole, shape = coding("jpeg", SIDE, SIDE), (SIDE, SIDE, 3)
    frame = whole.index(b"\xff\xc0")
    large = b"\x08" + (9999).to_bytes(2) + (9999).to_bytes(2) + whole[frame + 9 : frame + 19]
    assert is_expected(whole, shape, "JPEG")
    assert is_expected(whole[:2] + segment(0xFE, b"a comment") + whole[2:], shape, "JPEG")
    for code in (0xC0, 0xC1, 0xC2, 0xC9):  # baseline, extended, progressive, arithmetic
        for at in (2, frame):
            assert not is_expected(whole[:at] + segment(code, large) + whole[at:], shape, "JPEG")
    for doubtful in (b"\xff", b"\xff\x01", b"\xff\xd8", b"\xff\xd9"):  # fill byte, markers without a length
        assert not is_expected(whole[:frame] + doubtful + whole[frame:], shape, "JPEG")


def test_a_webp_of_several_chunks_is_none() -> None:
    """Its canvas is as large as an extended header claims."""
    whole, shape = coding("webp", SIDE, SIDE), (SIDE, SIDE, 3)
    assert is_expected(whole, shape, "WEBP")
    canvas = b"VP8X" + (10).to_bytes(4, "little") + bytes(4) + (9999).to_bytes(3, "little") * 2
    body = b"WEBP" + canvas + whole[12:]
    assert not is_expected(b"RIFF" + len(body).to_bytes(4, "little") + body, shape, "WEBP")
    assert not is_expected(whole + whole, shape, "WEBP")
    assert not is_expected(whole[:4] + (9999).to_bytes(4, "little") + whole[8:], shape, "WEBP")


@pytest.mark.parametrize("field", range(8, 44))
def test_a_codestream_of_an_odd_kind_is_none(field: int) -> None:
    """JPEG 2000's size segment: offsets, tiles, channels, subsampling."""
    out = io.BytesIO()
    Image.fromarray(picture(SIDE, SIDE)).save(out, "JPEG2000", no_jp2=True)
    whole = out.getvalue()
    assert is_expected(whole, (SIDE, SIDE, 3), "JPEG2000")
    if whole[field] != 0x07 and not 24 <= field < 32:  # bits a sample; a tile may be larger than the image
        changed = whole[:field] + bytes([whole[field] ^ 1]) + whole[field + 1 :]
        assert not is_expected(changed, (SIDE, SIDE, 3), "JPEG2000")


def test_cut_files_are_none_at_every_length(name: str) -> None:
    """And none of them makes the guard raise."""
    coder: SourceCoder = find_source(name)
    whole = coding(name, SIDE, SIDE)
    for length in range(min(len(whole), 500)):
        is_expected(whole[:length], (SIDE, SIDE, 3), KINDS[name])
    assert coder.decode(whole[:20], (SIDE, SIDE, 3), complete=True) is None
