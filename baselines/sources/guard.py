"""The one way from a received file to pixels: what a decoder is about to write is checked before it sees the file.

The size is taken from the coded picture itself, as the decoder takes it, not from what a container says of it; and the
container must leave no doubt which coded picture that is.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from semlink.baselines.sources.source import Pixels, Shape

_CODED_STEP = 64
"""HEVC codes whole coding tree units of up to so many pixels; the file tells how to crop them."""
_MODES = {1: "L", 3: "RGB"}
_META = [b"hdlr", b"iinf", b"iloc", b"iprp", b"pitm"]
_PROPERTIES = {b"ispe", b"pixi", b"colr", b"clap", b"pasp"}
_SEQUENCE_HEADER, _DELIMITER, _FRAME = 1, 2, 6  # OBU types (AV1 specification, clause 6.2.2)
_VPS, _SPS, _PPS, _SEI = 32, 33, 34, 39  # NAL unit types (ITU-T H.265 table 7-1)
_SOS, _SOF0 = 0xDA, 0xC0
_PLAIN_SEGMENTS = {0xC4, _SOF0, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0), _SOS}  # DHT, DQT, DRI, COM, APPn

Size = tuple[int, int, int | None]
"""(h, w, c) that a decoder is about to write; c is None where the coded picture does not tell it simply."""


def read_image(file: bytes, shape: Shape, kind: str) -> Pixels | None:
    """The image (h, w, c) in a file of the format `kind`; None if it is damaged or another size.

    Args:
        kind: JPEG, JPEG2000 (a codestream), WEBP (simple, lossy), AVIF or HEIF (of one picture).
    """
    return _decode(file, shape, kind) if is_expected(file, shape, kind) else None


def is_expected(file: bytes, shape: Shape, kind: str) -> bool:
    """Whether a decoder of the format `kind` would write an image (h, w, c) from this file, and no other."""
    written = _SIZES[kind](file)
    if written is None:
        return False
    step = _CODED_STEP if kind == "HEIF" else 1
    h, w, c = written
    return 0 <= h - shape[0] < step and 0 <= w - shape[1] < step and c in (None, shape[2])


def segments(file: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker code, start and end of the content of each marker segment of a JPEG up to the first scan's header.

    It ends at anything that could be read in two ways: fill bytes, markers without a length, a frame that is not
    baseline.
    """
    at = 2
    while file[:2] == b"\xff\xd8" and at + 4 <= len(file) and file[at] == 0xFF and file[at + 1] in _PLAIN_SEGMENTS:
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4])
        yield file[at + 1], at + 4, end
        if file[at + 1] == _SOS:
            return
        at = end


def whole_boxes(data: bytes) -> bytes:
    """A file of boxes (ISO/IEC 14496-12) without what follows the last whole one, such as padding."""
    return data[: max((end for _, _, end in _boxes(data, 0, len(data))), default=0)]


def _decode(file: bytes, shape: Shape, kind: str) -> Pixels | None:
    """As `read_image`, of a file that is as expected. Nothing else in this package calls a decoder."""
    try:
        return _decode_heif(file, shape) if kind == "HEIF" else _decode_by_pillow(file, shape, kind)
    except Exception:  # the libraries raise a dozen types for damaged data; all mean that nothing can be shown
        return None


def _decode_by_pillow(file: bytes, shape: Shape, kind: str) -> Pixels | None:
    with Image.open(io.BytesIO(file), formats=[kind]) as image:
        if (image.height, image.width) != shape[:2] or image.mode not in ("L", "RGB"):
            return None
        mode = _MODES[shape[2]]
        return np.asarray(image if image.mode == mode else image.convert(mode)).reshape(shape)


def _decode_heif(file: bytes, shape: Shape) -> Pixels | None:
    opened = importlib.import_module("pillow_heif").open_heif(file)
    if opened.size != (shape[1], shape[0]) or opened.mode != _MODES[shape[2]]:
        return None
    pixels: Pixels = np.array(opened, dtype=np.uint8).reshape(shape)
    return pixels


def _jpeg_size(file: bytes) -> Size | None:
    """Of the only frame header (ITU-T T.81 clause B.2.2), if a scan follows."""
    found = list(segments(file))
    frames = [file[start:end] for marker, start, end in found if marker == _SOF0]
    if len(frames) != 1 or len(frames[0]) < 6 or found[-1][0] != _SOS:
        return None
    return int.from_bytes(frames[0][1:3]), int.from_bytes(frames[0][3:5]), frames[0][5]


def _jpeg2000_size(file: bytes) -> Size | None:
    """Of the image and tile size segment, which comes first (ITU-T T.800 annex A.5.1); one tile, no subsampling."""
    size = file[6:42]
    if file[:4] != b"\xff\x4f\xff\x51" or len(size) < 36:
        return None
    right, bottom, left, top, tile_w, tile_h, tile_x, tile_y = (
        int.from_bytes(size[at : at + 4]) for at in range(2, 34, 4)
    )
    channels = int.from_bytes(size[34:36])
    steps = file[42 : 42 + 3 * channels]
    plain = left == top == tile_x == tile_y == 0 and tile_w >= right and tile_h >= bottom
    plain = plain and len(steps) == 3 * channels and all(step == 1 for at, step in enumerate(steps) if at % 3)
    return (bottom, right, channels) if plain else None


def _webp_size(file: bytes) -> Size | None:
    """Of the key frame in a simple file (RFC 9649 clause 2.5, RFC 6386 clause 9.1), which is all that there is."""
    length = int.from_bytes(file[16:20], "little")
    whole = len(file) == 20 + length + length % 2 == 8 + int.from_bytes(file[4:8], "little")
    if not whole or file[:4] != b"RIFF" or file[8:16] != b"WEBPVP8 ":
        return None
    if length < 10 or file[20] & 1 or file[23:26] != b"\x9d\x01\x2a":
        return None
    w, h = int.from_bytes(file[26:28], "little"), int.from_bytes(file[28:30], "little")
    return h, w, None  # the two upper bits, of scaling, must be zero: with them no size is the expected one


def _avif_size(file: bytes) -> Size | None:
    item = _only_item(file, b"av01", b"av1C")
    frame = item and _av1_size(item.units)
    return (*frame, None) if item and frame == item.extent else None


def _av1_size(units: bytes) -> tuple[int, int] | None:
    """(h, w) of the sequence header, if that and one frame is all there is (AV1 specification, clause 5.5)."""
    found = [(kind, content) for kind, content in _units(units) if kind != _DELIMITER]
    if [kind for kind, _ in found] != [_SEQUENCE_HEADER, _FRAME]:
        return None
    bits = BitReader(found[0][1])
    bits.read(3)  # seq_profile
    if bits.read(2) != 3:  # still_picture, reduced_still_picture_header: the frame has the sequence's size
        return None
    bits.read(5)  # seq_level_idx
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    w, h = bits.read(width_bits) + 1, bits.read(height_bits) + 1
    return h, w


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of the open bitstream units (AV1 specification, clause 5.3), up to one that is cut."""
    at = 0
    while at + 2 <= len(data):
        first, at = data[at], at + 1
        if first & 0x86 != 2:  # forbidden bit, extension, size field
            yield -1, b""
            return
        size, shift = 0, 0  # leb128 (clause 4.10.5)
        while at < len(data):
            size |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80 or shift > 28:
                break
        if at + size > len(data):
            return
        yield first >> 3 & 0xF, data[at : at + size]
        at += size


def _heif_size(file: bytes) -> Size | None:
    item = _only_item(file, b"hvc1", b"hvcC")
    size = item and _is_one_slice(item.units) and _hevc_size(item.configuration)
    if not item or not size:
        return None
    padded = all(0 <= coded - said < _CODED_STEP for coded, said in zip(size, item.extent, strict=True))
    return (*size, None) if padded else None


def _is_one_slice(units: bytes) -> bool:
    """Whether the media data are one coded slice of an IDR picture: no parameter sets hide there."""
    return len(units) > 5 and int.from_bytes(units[:4]) == len(units) - 4 and units[4] >> 1 in (19, 20)


def _hevc_size(configuration: bytes) -> tuple[int, int] | None:
    """(h, w) of the only sequence parameter set (ITU-T H.265 clause 7.3.2.2) of a decoder's configuration."""
    units = list(_parameter_sets(configuration))
    sets = [unit for unit in units if unit[0] >> 1 == _SPS]
    if len(sets) != 1 or any(unit[0] >> 1 not in (_VPS, _SPS, _PPS, _SEI) for unit in units):
        return None
    bits = BitReader(sets[0][2:50].replace(b"\0\0\3", b"\0\0"))  # without emulation prevention (clause 7.3.1.1)
    bits.read(4)
    if bits.read(3):  # sub-layers, which a still picture has none of
        return None
    bits.read(1 + 96)  # temporal nesting; profile, tier and level (clause 7.3.3)
    bits.read_exp_golomb()
    if bits.read_exp_golomb() == 3:  # chroma_format_idc
        bits.read(1)
    w, h = bits.read_exp_golomb(), bits.read_exp_golomb()
    return h, w


def _parameter_sets(configuration: bytes) -> Iterator[bytes]:
    """The NAL units of an HEVC decoder configuration record (ISO/IEC 14496-15 clause 8.3.3.1)."""
    at = 23
    for _ in range(configuration[22] if len(configuration) > 22 else 0):
        count, at = int.from_bytes(configuration[at + 1 : at + 3]), at + 3
        for _ in range(count):
            end = at + 2 + int.from_bytes(configuration[at : at + 2])
            yield configuration[at + 2 : end] or b"\0"
            at = end
            if at > len(configuration):
                return


class _Item(NamedTuple):
    """A coded picture: its data, (h, w) as the container tells it, and what its decoder is set up with."""

    units: bytes
    extent: tuple[int, int]
    configuration: bytes


def _only_item(file: bytes, kind: bytes, configuration: bytes) -> _Item | None:
    """The coded picture of a file with one item, which is all of its media data (ISO/IEC 23008-12).

    None for anything else: grids, overlays, several items, data in several places.
    """
    top = list(_boxes(file, 0, len(file)))
    if [name for name, _, _ in top] != [b"ftyp", b"meta", b"mdat"]:
        return None
    listed = [(name, file[start:end]) for name, start, end in _boxes(file, top[1][1] + 4, top[1][2])]
    meta = dict(listed)
    if sorted(name for name, _ in listed) != _META or _only_extent(meta[b"iloc"]) != top[2][1:]:
        return None
    properties = _properties(meta[b"iprp"])
    told = dict(properties)
    names = {b"ispe", configuration, *told}
    if meta[b"iinf"][4:6] != b"\0\1" or meta[b"iinf"][22:26] != kind or len(properties) != len(names):
        return None
    if names - {configuration} - _PROPERTIES or len(told[b"ispe"]) != 12:
        return None
    width, height = told[b"ispe"][4:8], told[b"ispe"][8:]
    extent = int.from_bytes(height), int.from_bytes(width)
    return _Item(file[top[2][1] : top[2][2]], extent, told[configuration])


def _properties(content: bytes) -> list[tuple[bytes, bytes]]:
    """Type and content of the item properties (ISO/IEC 23008-12 clause 9.3)."""
    containers = [(start, end) for name, start, end in _boxes(content, 0, len(content)) if name == b"ipco"]
    return [(name, content[a:b]) for start, end in containers for name, a, b in _boxes(content, start, end)]


def _only_extent(content: bytes) -> tuple[int, int] | None:
    """Start and end of the only extent of the only item (ISO/IEC 14496-12 clause 8.11.3), if it lies in the file."""
    version, sizes = content[0] if content else 2, content[4:6]
    if version > 1 or len(sizes) < 2 or content[6:8] != b"\0\1":
        return None
    at = 10  # after the item's number
    if content[at : at + 4][: 2 + 2 * version] != bytes(2 + 2 * version):  # construction method, data reference
        return None
    at += 2 + 2 * version
    base, at = _number(content, at, sizes[1] >> 4)
    count, at = _number(content, at, 2)
    if version:
        _, at = _number(content, at, sizes[1] & 15)
    offset, at = _number(content, at, sizes[0] >> 4)
    length, at = _number(content, at, sizes[0] & 15)
    return (base + offset, base + offset + length) if count == 1 and at == len(content) else None


def _number(content: bytes, at: int, length: int) -> tuple[int, int]:
    return int.from_bytes(content[at : at + length]), at + length


def _boxes(file: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start of content and end of each box (ISO/IEC 14496-12 clause 4.2), up to one that is cut."""
    while at + 8 <= stop:
        end = at + int.from_bytes(file[at : at + 4])
        if end < at + 8 or end > stop:
            return
        yield file[at + 4 : at + 8], at + 8, end
        at = end


class BitReader:
    """Bits from the most significant on; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data)
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        """The next `count` bits as a number."""
        self._left -= count
        return self._bits >> self._left & (1 << count) - 1 if self._left >= 0 else 0

    def read_exp_golomb(self) -> int:
        """The next ue(v) of ITU-T H.265 clause 9.2."""
        zeros = 0
        while zeros < 32 and not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)


_SIZES: dict[str, Callable[[bytes], Size | None]] = {
    "JPEG": _jpeg_size,
    "JPEG2000": _jpeg2000_size,
    "WEBP": _webp_size,
    "AVIF": _avif_size,
    "HEIF": _heif_size,
}
