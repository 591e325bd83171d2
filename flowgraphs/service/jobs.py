"""Requests of the radio side, read and found sensible before anything is done for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.baselines.mcs import parse_mcs
from semlink.flowgraphs.protocol import Pdu, Scalar, codebook, read_array, read_header, read_value
from semlink.phy.link import channel_uses
from semlink.phy.sources import MAX_PIXELS
from semlink.phy.waveform import FIELDS, BurstHeader

MAX_SYMBOLS = (1 << FIELDS["symbols"]) - 1
MAX_SIDE = (1 << FIELDS["height"]) - 1
MAX_ESNO_DB = 100.0


@dataclass(frozen=True)
class Encoding:
    """What images to be encoded must have in common to go in one batch."""

    codec: str
    ratio: float
    esno_db: float
    height: int
    width: int


@dataclass(frozen=True)
class Decoding:
    """What frames to be decoded must have in common: their header, but for who sent it and which one it is."""

    header: BurstHeader

    @property
    def height(self) -> int:
        """Of the image in pixels."""
        return self.header.height

    @property
    def width(self) -> int:
        """Of the image in pixels."""
        return self.header.width


class Job(NamedTuple):
    """A request to be served.

    Attributes:
        kind: jobs of the same one may share a batch.
        arrays: of an encoding the image, uint8 (h, w, 3); of a decoding symbols, complex64 (n,), and the noise
            variance of each, float32 (n,).
        id: of the request.
    """

    kind: Encoding | Decoding
    arrays: tuple[NDArray[Any], ...]
    id: Scalar | None

    @property
    def op(self) -> str:
        """The request's, encode or decode."""
        return "encode" if isinstance(self.kind, Encoding) else "decode"

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)


def read_job(request: Pdu) -> Job:
    """The job of a request.

    Raises:
        ValueError: an op that is none, something missing, or a value that makes no sense.
    """
    op, id = request.meta.get("op"), request.meta.get("id")
    if op == "encode":
        return _read_encoding(request, id)
    if op == "decode":
        return _read_decoding(request, id)
    raise ValueError(f"op={str(op)[:60]!r} must be one of: encode, decode, status")


def choose(waiting: Mapping[int, Job], *, batch: int, pixels: int) -> list[int]:
    """The key of the job that waits the longest and those of later ones that may go with it.

    Args:
        waiting: jobs by key, the oldest first.
        batch: jobs at most.
        pixels: of all their images at most, unless the first alone has more.
    """
    first = next(iter(waiting.values())).kind
    most = max(1, min(batch, pixels // (first.height * first.width)))
    return [key for key, job in waiting.items() if job.kind == first][:most]


def _read_encoding(request: Pdu, id: Scalar | None) -> Job:
    meta = request.meta
    codec, ratio, esno_db = (
        read_value(meta, "codec", str),
        read_value(meta, "ratio", float),
        read_value(meta, "esno_db", float),
    )
    scheme = codebook.split_name(codec)[1]
    if scheme not in ("", codebook.ADAPTIVE):
        parse_mcs(scheme)
    image = read_array(request, "image", np.uint8, (None, None, 3))
    height, width, _ = image.shape
    _check_size(height, width)
    if not 0 < ratio <= 1 or not 1 <= channel_uses((3, height, width), ratio) <= MAX_SYMBOLS:
        raise ValueError(f"ratio={ratio:g} must be above 0 and up to 1, and make 1 to {MAX_SYMBOLS} symbols")
    if not -MAX_ESNO_DB <= esno_db <= MAX_ESNO_DB:
        raise ValueError(f"esno_db={esno_db:g} must be from {-MAX_ESNO_DB:g} to {MAX_ESNO_DB:g} dB")
    return Job(Encoding(codec, ratio, esno_db, height, width), (image,), id)


def _read_decoding(request: Pdu, id: Scalar | None) -> Job:
    header = read_header(request.meta)
    codebook.name_of(header)
    _check_size(header.height, header.width)
    most = channel_uses((3, header.height, header.width), 1.0)  # as of an encoding
    if not 1 <= header.symbols <= most:
        raise ValueError(
            f"symbols={header.symbols} of a {header.width}x{header.height} image must be from 1 to {most}, ratio 1"
        )
    symbols = read_array(request, "symbols", np.complex64, (header.symbols,))
    n0 = read_array(request, "n0", np.float32, (header.symbols,))
    if n0.min() < 0:
        raise ValueError(f"n0 has {n0.min():g} in it; noise variances must not be negative")
    alike = replace(header, sender=0, sequence=0, segment=0, segments=1)
    return Job(Decoding(alike), (symbols, n0), id)


def _check_size(height: int, width: int) -> None:
    if not (min(height, width) >= 1 and max(height, width) <= MAX_SIDE and height * width <= MAX_PIXELS):
        raise ValueError(
            f"image of {width}x{height} pixels; sides must be from 1 to {MAX_SIDE} and their product up to {MAX_PIXELS}"
        )
