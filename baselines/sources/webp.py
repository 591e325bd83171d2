"""Lossy WebP (RFC 9649, with VP8 of RFC 6386 in it) through Pillow, to a byte budget."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import partial

from PIL import Image

from semlink.baselines.sources.guard import read_image
from semlink.baselines.sources.source import (
    Pixels,
    Shape,
    best_within,
    check_image,
    is_small,
    known_lengths,
    to_picture,
)

METHOD = 6
"""libwebp's slowest and best search."""

_SETTINGS = 254  # two to each step of libwebp's quantiser
_START, _GROWTH = 200, 0.016  # about what photographs take at a bit per pixel, and there
_MAX_SIDE = 16383  # 14 bits (RFC 6386 clause 9.1)
_RIFF_BYTES, _TAG_BYTES, _START_BYTES = 20, 3, 7
_START_CODE = b"\x9d\x01\x2a"
# What a cut stream is filled up with, per macroblock: a zero bit never costs the boolean decoder more than a byte, and
# 25 blocks of coefficients end after one zero bit each.
_FILL = 32


@dataclass(frozen=True)
class WebP:
    """Lossy WebP at the highest quality that fits; always 4:2:0, and a grey image is sent as a coloured one.

    Up to 64×64 pixels the coding is the VP8 frame without its start code and dimensions (RFC 6386 clause 9.1) and
    without the RIFF and chunk headers around it; a larger image is sent as the whole file.
    """

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) of the highest quality (0 … 100) within `budget` bytes; None if none fits.

        Raises:
            ValueError: other than 1 or 3 channels, or a side over 16383 pixels.
        """
        check_image(image, name="WebP", max_side=_MAX_SIDE)
        coding_at = partial(_coding, to_picture(image))
        known = known_lengths(self, image)
        best = best_within(budget, coding_at, low=0, high=_SETTINGS, start=_START, growth=_GROWTH, known=known)
        return best and best[1]

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image (h, w, c) from a coding that may be cut short.

        What is missing is read as zeros, that is as blocks without a residual: the prediction from what arrived goes
        on to the edge. None when the headers are damaged or the prediction modes, which come first, did not arrive.
        """
        frame = data[:_TAG_BYTES] + _start(shape) + data[_TAG_BYTES:] if is_small(shape) else _frame(data)
        if not _is_key_frame(frame, shape):
            return None
        # The first partition's length is in the 19 upper bits of the tag.
        if len(frame) <= _TAG_BYTES + _START_BYTES + (int.from_bytes(frame[:_TAG_BYTES], "little") >> 5):
            return None
        if not complete:
            frame += bytes(_FILL * math.ceil(shape[0] / 16) * math.ceil(shape[1] / 16))
        return read_image(_file(frame), shape, "WEBP")

    def note(self, shape: Shape) -> str:
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        if is_small(shape):
            return "WebP's VP8 frame without start code and dimensions; the receiver knows the image size"
        return "whole WebP file with its headers"


def _coding(picture: Image.Image, setting: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=_quality(setting), method=METHOD)
    file = out.getvalue()
    if not is_small((picture.height, picture.width, 1)):
        return file
    frame = file[_RIFF_BYTES : _RIFF_BYTES + int.from_bytes(file[16:20], "little")]  # without the chunk's padding
    return frame[:_TAG_BYTES] + frame[_TAG_BYTES + _START_BYTES :]


def _quality(setting: int) -> float:
    """The quality, fractional, at which libwebp's quantiser, from coarse to fine, stands at `setting` / `_SETTINGS`.

    That share is the cube root of 2/3 of the quality up to 3/4, and from there on of 2·quality - 1 (libwebp's
    `QualityToCompression`).
    """
    cube = (setting / _SETTINGS) ** 3
    return 100 * min(cube * 3 / 2, (cube + 1) / 2)


def _start(shape: Shape) -> bytes:
    h, w, _ = shape
    return _START_CODE + w.to_bytes(2, "little") + h.to_bytes(2, "little")


def _frame(file: bytes) -> bytes:
    """The VP8 frame of a file, as far as it is there; nothing if the file is of another kind."""
    if file[:4] != b"RIFF" or file[8:16] != b"WEBPVP8 ":
        return b""
    return file[_RIFF_BYTES : _RIFF_BYTES + int.from_bytes(file[16:20], "little")]


def _is_key_frame(frame: bytes, shape: Shape) -> bool:
    """Whether this is a key frame of this very size: damage must not make the decoder allocate another one."""
    return frame[_TAG_BYTES : _TAG_BYTES + _START_BYTES] == _start(shape) and not frame[0] & 1


def _file(frame: bytes) -> bytes:
    """A simple file (RFC 9649 clause 2.5) of one frame."""
    padded = frame + bytes(len(frame) % 2)
    chunk = b"VP8 " + len(frame).to_bytes(4, "little") + padded
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk
