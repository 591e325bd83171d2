"""Baseline JPEG (ITU-T T.81) through Pillow, to a byte budget."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from PIL import Image

from semlink.baselines.sources.guard import read_image, segments
from semlink.baselines.sources.ladder import Key, Ladder, Measure, Rough, best_coding
from semlink.baselines.sources.source import Pixels, Shape, check_image, grey_image, is_small, to_picture

STEPS = 127
"""Quantisation settings, 1 the coarsest: seven bits of a small image's first byte."""

_COARSEST, _FINEST = 408.0, 1.0  # multiples of Annex K; from 408 on every entry is 255, the most that 8 bits hold
_FLAT_BELOW, _CHROMA_420 = 8.0, 0.7
_FULL_CHROMA = 0x80  # flag in a small image's first byte
_FULL_CHROMA_LOW = 16  # the coarsest step at 4:4:4, which 4:2:0 is better than there: first bytes below are spare
_ROUGH = (1, *range(14, STEPS, 12), STEPS)
_MAX_SIDE = 65500  # as far as libjpeg goes
_EOI = b"\xff\xd9"

# T.81 tables K.1 and K.2, in rows.
_LUMINANCE = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""
_CHROMINANCE = """
17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99
"""


@dataclass(frozen=True)
class JPEG:
    """Sequential JPEG with the finest quantisation that fits, at 4:2:0 or 4:4:4, whichever has the lower error.

    The tables are `quantisation_tables`: for squared error they do better than Annex K at every rate. Up to 64×64
    pixels the coding is one byte that tells tables and subsampling and then the entropy-coded segment, with the
    standard Huffman tables, the quantisation tables and the image size known at the receiver: the abbreviated format of
    T.81 clause B.5. A larger image is sent as the whole file, with optimised Huffman tables.
    """

    spare = range(_FULL_CHROMA, _FULL_CHROMA + _FULL_CHROMA_LOW)
    """First bytes that no coding has: 4:4:4 at steps that are never taken there; a file begins with FF."""

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) within `budget` bytes that has the least squared error; None if none fits.

        Raises:
            ValueError: an image that `jpeg_file` refuses.
        """
        return best_coding(self, image, budget)

    def ladder(self, image: Pixels, key: Key, measure: Measure) -> Ladder:
        """Its steps for an image (h, w, c).

        Raises:
            ValueError: as `encode`.
        """
        shape = check_image(image, name="JPEG", max_side=_MAX_SIDE)
        return Ladder(
            key,
            partial(_coding, to_picture(image)),
            partial(self.decode, shape=shape, complete=True),
            measure,
            low=1,
            high=STEPS,
            growth=0.04,
            rough=Rough(_ROUGH),
            full_chroma_from=48,
            full_chroma_low=_FULL_CHROMA_LOW,
            close=0.015,
        )

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image from a coding that may be cut short, (h, w, c); what is missing is mid-grey.

        A decoder that runs out of data leaves zero coefficients, hence level 128, in what is left. It may take the
        cut for data within one minimum coded unit, and chroma interpolation reaches one pixel over the boundary.
        None when the headers are damaged or nothing follows them.
        """
        small = is_small(shape)
        file = _rebuild(data, shape) if small else data
        if not complete:
            file += _EOI
        start = len(file) - len(data) + 1 - len(_EOI) * (1 if complete else 2) if small and file else _scan(file)
        if start >= len(file.rstrip(b"\0")) - len(_EOI):
            return None
        return read_image(file, shape, "JPEG")

    def note(self, shape: Shape) -> str:
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        if is_small(shape):
            return (
                "JPEG entropy-coded segment and one byte for quantisation tables and chroma subsampling; "
                "image size and standard Huffman tables are known at the receiver"
            )
        return "whole JPEG file with its headers; image size and tables are in it"


def jpeg_file(image: Pixels, step: int, *, full_chroma: bool = False, optimize: bool = False) -> bytes:
    """A JPEG file of an image (h, w, c) at a quantisation step 1 … 127.

    `full_chroma` is 4:4:4 where it would be 4:2:0; `optimize` fits the Huffman tables to the image.

    Raises:
        ValueError: the image has other than 1 or 3 channels, or a side over 65500 pixels, as far as libjpeg goes; or
            there is no such step.
    """
    check_image(image, name="JPEG", max_side=_MAX_SIDE)
    return _file(to_picture(image), step, full_chroma=full_chroma, optimize=optimize)


@lru_cache(maxsize=2 * STEPS)
def quantisation_tables(step: int, *, full_chroma: bool) -> list[list[int]]:
    """Luminance and chrominance tables, 64 entries each in rows, 1 … 255, of a step from 1 (coarse) to 127 (fine).

    Entry s·(K/K₀)^a, with K the table of T.81 Annex K, K₀ its first entry, s falling from 408 to 1 in equal ratios,
    and a = ln(s/8)/4 within 0 … 1. At high rates equal steps at all frequencies give the least squared error (Gersho
    1979); at low rates a coarser step at high frequencies is the dead zone that the codec's rounding lacks. Where the
    exponent falls, and the finer chroma of 4:2:0, whose samples each stand for four pixels, were fitted on CIFAR-10's
    training set and on ImageNet photographs.

    Raises:
        ValueError: there is no such step.
    """
    if not 1 <= step <= STEPS:
        raise ValueError(f"step={step} must be in 1 … {STEPS}")
    scale = _COARSEST * (_FINEST / _COARSEST) ** ((step - 1) / (STEPS - 1))
    exponent = min(1.0, max(0.0, math.log(scale / _FLAT_BELOW) / 4))
    ratios = (1.0, 1.0 if full_chroma else _CHROMA_420)
    annex_k = [np.array(text.split(), dtype=float) for text in (_LUMINANCE, _CHROMINANCE)]
    tables = [scale * r * (k / k[0]) ** exponent for r, k in zip(ratios, annex_k, strict=True)]
    return [np.clip(np.rint(table), 1, 255).astype(int).tolist() for table in tables]


def _coding(picture: Image.Image, step: int, *, full_chroma: bool = False) -> bytes:
    shape = picture.height, picture.width, len(picture.getbands())
    if not is_small(shape):
        return _file(picture, step, full_chroma=full_chroma, optimize=True)
    first = step | (_FULL_CHROMA if full_chroma else 0)
    file = _file(picture, step, full_chroma=full_chroma, optimize=False)
    return bytes([first]) + file[len(_header(shape, first)) : -len(_EOI)]


def _file(picture: Image.Image, step: int, *, full_chroma: bool, optimize: bool) -> bytes:
    tables = quantisation_tables(step, full_chroma=full_chroma)
    out = io.BytesIO()
    if picture.mode == "L":
        picture.save(out, "JPEG", qtables=tables[:1], optimize=optimize)
    else:
        subsampling = "4:4:4" if full_chroma else "4:2:0"
        picture.save(out, "JPEG", qtables=tables, subsampling=subsampling, optimize=optimize)
    return out.getvalue()


@lru_cache(maxsize=1024)
def _header(shape: Shape, first: int) -> bytes:
    """All of a file before the entropy-coded segment: the same for every image of this size and first byte."""
    file = jpeg_file(grey_image(shape), first & ~_FULL_CHROMA, full_chroma=bool(first & _FULL_CHROMA))
    return file[: _scan(file)]


def _rebuild(data: bytes, shape: Shape) -> bytes:
    """The file of a small image's coding; nothing when the first byte is missing or off."""
    if not data or not data[0] & ~_FULL_CHROMA:
        return b""
    return _header(shape, data[0]) + data[1:] + _EOI


def _scan(file: bytes) -> int:
    """Where the entropy-coded data begin, or where the headers can no longer be read."""
    return max((end for _, _, end in segments(file)), default=0)
