"""AVIF (AV1 still pictures in ISO BMFF) through Pillow, libavif, libaom and dav1d, to a byte budget."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from PIL import Image

from semlink.baselines.sources.source import Pixels, Shape, best_chroma, check_image, read_image, to_picture

SPEED = 6
"""libaom's speed: slower ones gained little for their time, faster ones lost more."""

_MAX_SIDE = 16384  # libavif's limit is 16384² pixels
_SEQUENCE_HEADER, _DELIMITER, _FRAME = 1, 2, 6  # OBU types (AV1 specification, clause 6.2.2)


@dataclass(frozen=True)
class AVIF:
    """AVIF at the highest quality that fits, tuned for squared error, at 4:2:0 or 4:4:4, whichever has the lower error.

    The whole file is counted. It begins with about 270 bytes of headers, more than all the rest of it at 32×32.
    """

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) within `budget` bytes that has the least squared error; None if none fits.

        Raises:
            ValueError: other than 1 or 3 channels, or a side over 16384 pixels; or Pillow was built without AVIF.
        """
        check_image(image, name="AVIF", max_side=_MAX_SIDE)
        return best_chroma(
            self,
            image,
            budget,
            partial(_coding, to_picture(image)),
            low=0,
            high=100,
            start=45,
            growth=0.045,
            lead=2,
            full_chroma_from=25,
        )

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image (h, w, c); None from part of a file, which no decoder shows, or when damage is noticed."""
        file = whole_boxes(data)
        # Sizes are checked before a decoder sees the file: damage must not make it allocate a huge image.
        if not complete or not _extents_agree(file, shape) or _frame_size(media(file)) != shape[:2]:
            return None
        return read_image(file, shape, "AVIF")

    def note(self, shape: Shape) -> str:  # noqa: ARG002
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        return "whole AVIF file, of which some 270 bytes are headers"


def boxes(file: bytes, at: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Type, start of content and end of each box from `at` on (ISO/IEC 14496-12 clause 4.2), up to one that is cut."""
    while at + 8 <= len(file):
        end = at + int.from_bytes(file[at : at + 4])
        if end < at + 8 or end > len(file):
            return
        yield file[at + 4 : at + 8], at + 8, end
        at = end


def whole_boxes(data: bytes) -> bytes:
    """The file without what follows its last whole box, such as padding."""
    return data[: max((end for _, _, end in boxes(data)), default=0)]


def media(file: bytes) -> bytes:
    """The content of the first media data box; nothing if there is none."""
    return next((file[start:end] for kind, start, end in boxes(file) if kind == b"mdat"), b"")


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


def _extents_agree(file: bytes, shape: Shape) -> bool:
    """Whether all spatial extents (ISO/IEC 23008-12 clause 6.5.3) are those of an image (h, w, c), if there are any."""
    h, w, _ = shape
    return file.count(b"ispe") == file.count(b"ispe" + bytes(4) + w.to_bytes(4) + h.to_bytes(4)) > 0


def _coding(picture: Image.Image, quality: int, *, full_chroma: bool = False) -> bytes:
    out = io.BytesIO()
    chroma = "4:0:0" if picture.mode == "L" else "4:4:4" if full_chroma else "4:2:0"
    # One thread and no tiles: the same file on every machine. libavif's default tuning is not for squared error.
    options = {"max_threads": 1, "autotiling": False, "advanced": {"tune": "psnr"}}
    try:
        picture.save(out, "AVIF", quality=quality, speed=SPEED, subsampling=chroma, **options)
    except KeyError:
        raise ValueError("source 'avif' needs a Pillow with AVIF: from version 11.3 on its wheels have it") from None
    return out.getvalue()


def _frame_size(units: bytes) -> tuple[int, int] | None:
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
