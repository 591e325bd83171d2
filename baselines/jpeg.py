"""Baseline JPEG (ITU-T T.81) through Pillow, to a byte budget."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from semlink.baselines.source import Shape, grey_image

SMALL_SIDE = 64
"""Up to this height and width only the entropy-coded segment is sent; the headers would take most of the budget."""

_SOI, _EOI, _SOS, _SOF0 = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xC0


@dataclass(frozen=True)
class JPEG:
    """Sequential JPEG, 4:2:0 (one component for a grey image), at the highest quality that fits.

    Up to 64×64 pixels the coding is one byte that tells the quality and then the entropy-coded segment, with the
    standard Huffman tables, the quantisation tables of that quality and the image size known at the receiver: the
    abbreviated format of T.81 clause B.5. A larger image is sent as the whole file, with optimised Huffman tables.
    """

    def encode(self, image: UInt8[np.ndarray, "h w c"], budget: int) -> bytes | None:
        """The coding of the highest quality (1 … 100) within `budget` bytes, found by bisection; None if none fits.

        Raises:
            ValueError: an image that `jpeg_file` refuses.
        """
        best = _coding(image, 1)
        if len(best) > budget:
            return None
        low, high = 1, 101  # `low` fits, `high` does not
        while high - low > 1:
            middle = (low + high) // 2
            coding = _coding(image, middle)
            if len(coding) <= budget:
                low, best = middle, coding
            else:
                high = middle
        return best

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> UInt8[np.ndarray, "h w c"]:
        """The image from a coding that may be cut short, (h, w, c); what is missing is mid-grey.

        A decoder that runs out of data leaves zero coefficients, hence level 128, in what is left. It may take the
        cut for data within one minimum coded unit, and chroma interpolation reaches one pixel over the boundary.
        """
        file = _rebuild(data, shape) if _is_small(shape) else data
        if not complete:
            file += _EOI
        return _pixels(file, shape)

    def note(self, shape: Shape) -> str:
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        if _is_small(shape):
            return (
                "JPEG entropy-coded segment and one byte for the quality; "
                "image size and standard tables are known at the receiver"
            )
        return "whole JPEG file with its headers; image size and tables are in it"


def jpeg_file(image: UInt8[np.ndarray, "h w c"], quality: int, *, optimize: bool = False) -> bytes:
    """A JPEG file of an image (h, w, c), quality 1 … 100; `optimize` fits the Huffman tables to the image.

    Raises:
        ValueError: the image has other than 1 or 3 channels, or a side over 65500 pixels, as far as libjpeg goes.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not 1 <= min(image.shape) <= max(image.shape) <= 65500:
        raise ValueError(f"image has shape {image.shape}; JPEG takes (h, w, c), sides up to 65500, c of 1 or 3")
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    out = io.BytesIO()
    options = {"subsampling": "4:2:0"} if image.shape[2] == 3 else {}
    Image.fromarray(pixels).save(out, "JPEG", quality=quality, optimize=optimize, progressive=False, **options)
    return out.getvalue()


def _is_small(shape: Shape) -> bool:
    return max(shape[0], shape[1]) <= SMALL_SIDE


def _coding(image: UInt8[np.ndarray, "h w c"], quality: int) -> bytes:
    h, w, c = image.shape
    if not _is_small((h, w, c)):
        return jpeg_file(image, quality, optimize=True)
    file = jpeg_file(image, quality)
    return bytes([quality]) + file[len(_header((h, w, c), quality)) : -len(_EOI)]


@lru_cache(maxsize=256)
def _header(shape: Shape, quality: int) -> bytes:
    """All of a file before the entropy-coded segment: the same for every image of this size and quality."""
    file = jpeg_file(grey_image(shape), quality)
    return file[: _segments(file)[_SOS][1]]


def _rebuild(data: bytes, shape: Shape) -> bytes:
    """The file of a small image's coding; nothing when the quality byte is missing or off."""
    if not 1 <= int.from_bytes(data[:1]) <= 100:
        return b""
    return _header(shape, data[0]) + data[1:] + _EOI


def _pixels(file: bytes, shape: Shape) -> UInt8[np.ndarray, "h w c"]:
    frame = _segments(file).get(_SOF0)
    # The size is checked before Pillow sees the file: damage must not make it allocate or warn of a huge image.
    if frame is None or _frame_shape(file[frame[0] : frame[1]]) != shape:
        return grey_image(shape)
    try:
        with Image.open(io.BytesIO(file), formats=["JPEG"]) as image:
            pixels = np.asarray(image)
    except Exception:  # Pillow raises a dozen types for damaged headers; all mean that nothing can be shown
        return grey_image(shape)
    return pixels.reshape(shape)


def _segments(file: bytes) -> dict[int, tuple[int, int]]:
    """Where the content of each marker segment up to the first scan lies, by marker code: (start, end)."""
    found: dict[int, tuple[int, int]] = {}
    at = len(_SOI)
    if file[:at] != _SOI:
        return found
    while at + 4 <= len(file) and file[at] == 0xFF and _SOS not in found:
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4])
        found[file[at + 1]] = (at + 4, end)
        at = end
    return found


def _frame_shape(content: bytes) -> Shape | None:
    """(h, w, c) of a start-of-frame segment (T.81 clause B.2.2)."""
    if len(content) < 6:
        return None
    return int.from_bytes(content[1:3]), int.from_bytes(content[3:5]), content[5]
