"""JPEG 2000 (ITU-T T.800) through Pillow and OpenJPEG, to a byte budget."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from PIL import Image

from semlink.baselines.sources.guard import read_image
from semlink.baselines.sources.ladder import Key, Ladder, Measure, Rough, best_coding
from semlink.baselines.sources.source import Pixels, Shape, check_image, grey_image, is_small, to_picture

LAYERS = 8
"""Quality layers of an image over 64×64: where a cut stream can end. They cost little."""

_LAYER_STEP = 1.6  # how much longer the stream is with each layer

_RATIOS = 1200  # settings of the compression ratio, from `_LARGEST_RATIO` down to 1
_LARGEST_RATIO = 4000.0
_GROWTH = math.log(_LARGEST_RATIO) / (_RATIOS - 1)
_ROUGH = (1, *range(240, _RATIOS, 80), _RATIOS)  # a step is a ratio of 1.7
_MAX_SIDE = 16384  # beyond it OpenJPEG takes gigabytes
_COM, _SOT, _SOD, _EOC, _PLT = 0x64, b"\xff\x90", b"\xff\x93", b"\xff\xd9", 0x58
_SOT_BYTES = 12
_LONG = 4  # bytes of a layer's end in the comment


@dataclass(frozen=True)
class JPEG2000:
    """Irreversible 9/7 wavelet, ICT colour, one tile, layer-resolution-component-position order, rate-controlled.

    A raw codestream (T.800 annex A) without the file format's boxes. Up to 64×64 pixels only the packets are sent, in
    one layer: the main header and the tile-part header depend on nothing but the image size. A larger image is sent as
    the whole codestream in `LAYERS` layers, with a comment segment (annex A.9.2) that tells where each layer ends: from
    a cut stream the whole layers are decoded, which is the whole image, only coarser.
    """

    spare = range(1, 17)
    """First bytes that no coding has: packets begin with an empty one, of zeros, or with a bit of 1; a codestream with
    FF."""

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of an image (h, w, c) at the lowest compression ratio that fits `budget` bytes; None if none does.

        Raises:
            ValueError: other than 1 or 3 channels, or a side over 16384 pixels.
        """
        return best_coding(self, image, budget)

    def ladder(self, image: Pixels, key: Key, measure: Measure) -> Ladder:
        """Its compression ratios for an image (h, w, c).

        Raises:
            ValueError: as `encode`.
        """
        shape = check_image(image, name="JPEG 2000", max_side=_MAX_SIDE)
        return Ladder(
            key,
            partial(_coding, to_picture(image)),
            partial(self.decode, shape=shape, complete=True),
            measure,
            low=1,
            high=_RATIOS,
            growth=_GROWTH,
            rough=Rough(_ROUGH),
        )

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image (h, w, c) from all of the coding, or from the quality layers that arrived whole.

        None when the headers differ from those that `encode` writes for this size, when OpenJPEG finds damage, or when
        not even the first layer is there; an image up to 64×64 has one layer.
        """
        packets = _small_packets(data, complete) if is_small(shape) else _layers(data, shape, complete)
        if packets is None:
            return None
        return read_image(_codestream(_main_header(shape), packets), shape, "JPEG2000")

    def note(self, shape: Shape) -> str:
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        if is_small(shape):
            return "JPEG 2000 packets; the codestream's headers follow from the image size, known at the receiver"
        return "whole JPEG 2000 codestream with its headers, without the boxes of a JP2 file"


def _coding(picture: Image.Image, setting: int, *, full_chroma: bool = False) -> bytes:  # noqa: ARG001
    """`full_chroma` is there for the ladder's sake: it is 4:4:4 always."""
    shape = picture.height, picture.width, len(picture.getbands())
    file = _file(picture, _LARGEST_RATIO ** ((_RATIOS - setting) / (_RATIOS - 1)))
    header, lengths, packets = _take_apart(file)
    if is_small(shape):
        # A flat image of level 128 has empty packets, all zeros; the decoder passes over what follows the packets.
        return packets if any(packets) else packets + b"\1"
    per_layer = len(lengths) // LAYERS
    ends = np.cumsum(lengths)[per_layer - 1 :: per_layer]
    content = b"\0\0" + b"".join(int(end).to_bytes(_LONG) for end in ends)  # Rcom = 0: binary (table A.42)
    comment = bytes([0xFF, _COM]) + (len(content) + 2).to_bytes(2) + content
    return _codestream(header + comment, packets)


def _file(picture: Image.Image, ratio: float) -> bytes:
    shape = picture.height, picture.width, len(picture.getbands())
    small = is_small(shape)
    out = io.BytesIO()
    picture.save(
        out,
        "JPEG2000",
        no_jp2=True,
        irreversible=True,
        mct=int(picture.mode == "RGB"),
        num_resolutions=_resolutions(shape),
        quality_layers=[ratio] if small else [ratio * _LAYER_STEP**k for k in reversed(range(LAYERS))],
        plt=not small,
    )
    return out.getvalue()


def _resolutions(shape: Shape) -> int:
    """Wavelet resolutions: 6, but 3 or 4 when the image is small, where each costs a packet header per component."""
    side = min(shape[:2])
    wanted = 6 if not is_small(shape) else 4 if side >= 48 else 3
    return min(wanted, side.bit_length())  # OpenJPEG refuses more halvings than the side has


def _take_apart(file: bytes) -> tuple[bytes, list[int], bytes]:
    """Main header without comments, packet lengths where the tile-part header tells them, and the packets."""
    header, at = file[:2], 2
    while file[at : at + 2] != _SOT:
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4])
        header += b"" if file[at + 1] == _COM else file[at:end]
        at = end
    at += _SOT_BYTES
    lengths: list[int] = []
    while file[at : at + 2] != _SOD:
        end = at + 2 + int.from_bytes(file[at + 2 : at + 4])
        if file[at + 1] == _PLT:
            lengths += _packet_lengths(file[at + 5 : end])
        at = end
    return header, lengths, file[at + 2 : -len(_EOC)]


def _packet_lengths(content: bytes) -> list[int]:
    """Packet lengths of a PLT segment: seven bits a byte, the top bit set on all but the last (T.800 table A.36)."""
    lengths, length = [], 0
    for byte in content:
        length = length << 7 | byte & 0x7F
        if byte < 0x80:
            lengths.append(length)
            length = 0
    return lengths


def _codestream(header: bytes, packets: bytes) -> bytes:
    """Main header, one tile-part of tile 0 (T.800 annex A.4.2), end of codestream."""
    length = _SOT_BYTES + len(_SOD) + len(packets)
    return header + _SOT + b"\0\x0a\0\0" + length.to_bytes(4) + b"\0\1" + _SOD + packets + _EOC


@lru_cache(maxsize=256)
def _main_header(shape: Shape) -> bytes:
    """The main header of every image of this size."""
    return _take_apart(_file(to_picture(grey_image(shape)), 10.0))[0]


def _small_packets(data: bytes, complete: bool) -> bytes | None:
    return data if complete and any(data) else None


def _layers(data: bytes, shape: Shape, complete: bool) -> bytes | None:
    """The packets of the layers that are there; None unless the headers are those of this size."""
    header, comment = _main_header(shape), LAYERS * _LONG + 6
    start = len(header) + comment + _SOT_BYTES + len(_SOD)
    # Compared, not parsed: damage here could make the decoder allocate without bound.
    if len(data) < start or data[: len(header)] != header:
        return None
    table = data[len(header) + 6 : len(header) + comment]
    ends = [int.from_bytes(table[at : at + _LONG]) for at in range(0, len(table), _LONG)]
    arrived = [end for end in ends if 0 < end <= len(data) - start]
    if not arrived or (complete and len(arrived) < LAYERS) or arrived != sorted(arrived):
        return None
    return data[start : start + arrived[-1]]
