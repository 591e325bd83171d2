"""Lossy WebP (RFC 9649, with VP8 of RFC 6386 in it) through Pillow, to a byte budget."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import partial

from PIL import Image

from semlink.baselines.sources.guard import read_image
from semlink.baselines.sources.ladder import Key, Ladder, Measure, Rough, best_coding
from semlink.baselines.sources.source import Pixels, Shape, check_image, is_small, to_picture

METHOD = 6
"""libwebp's slowest and best search."""

_SETTINGS = 254  # two to each step of libwebp's quantiser
_GROWTH = 0.016  # of photographs at a bit per pixel
_ROUGH = (0, 40, 70, *range(90, _SETTINGS, 20), _SETTINGS)
_ROUGH_METHOD = 2  # in a sixth of the time
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

    spare = range(1, 33, 2)
    """First bytes that no coding has: a key frame's tag is even, and so is the R of RIFF."""

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) of the highest quality (0 … 100) within `budget` bytes; None if none fits.

        Raises:
            ValueError: other than 1 or 3 channels, or a side over 16383 pixels.
        """
        return best_coding(self, image, budget)

    def ladder(self, image: Pixels, key: Key, measure: Measure) -> Ladder:
        """Its settings for an image (h, w, c).

        Raises:
            ValueError: as `encode`.
        """
        shape, picture = check_image(image, name="WebP", max_side=_MAX_SIDE), to_picture(image)
        return Ladder(
            key,
            partial(_coding, picture),
            partial(self.decode, shape=shape, complete=True),
            measure,
            low=0,
            high=_SETTINGS,
            growth=_GROWTH,
            rough=Rough(_ROUGH)
            if is_small(shape)
            else Rough(_ROUGH, partial(_coding, picture, method=_ROUGH_METHOD), _shortening),
            close=0.8 * _GROWTH,
        )

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


def _shortening(setting: int) -> float:
    """Length by `METHOD` over that by `_ROUGH_METHOD`, as photographs have it on average."""
    return 0.79 + 0.0007 * setting


def _coding(picture: Image.Image, setting: int, *, method: int = METHOD, full_chroma: bool = False) -> bytes:  # noqa: ARG001
    """`full_chroma` is there for the ladder's sake: lossy WebP has 4:2:0 alone."""
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=_quality(setting), method=method)
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
