"""Requests, read and found sensible before anything is done for them, and the stages that they go through.

A request to encode or to decode is one stage. One to carry an image goes through several: it is encoded, crosses the
channel, is decoded where it arrives and, behind a receiver, restored; what a stage makes of a job is the next job.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.baselines.mcs import parse_mcs
from semlink.flowgraphs.protocol import (
    Pdu,
    Scalar,
    carried_reply,
    codebook,
    read_array,
    read_header,
    read_value,
    shown_reply,
    with_id,
)
from semlink.flowgraphs.specs import JOINT, split_codec
from semlink.phy.link import Received, channel_uses
from semlink.phy.sources import CIFAR10_CLASSES, MAX_PIXELS
from semlink.phy.waveform import FIELDS, BurstHeader

MAX_SYMBOLS = (1 << FIELDS["symbols"]) - 1
MAX_SIDE = (1 << FIELDS["height"]) - 1
MAX_ESNO_DB = 100.0
OPS = ("encode", "decode", "carry", "cancel", "status")
"""What may be asked for; "carry" of a service with a channel alone."""


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
    """What frames to be decoded must have in common: their header, but for who sent it and which one it is.

    Attributes:
        header: sender, sequence and segment are not set.
        receiver: that restores the image; "" for none.
    """

    header: BurstHeader
    receiver: str = ""

    @property
    def height(self) -> int:
        """Of the image in pixels."""
        return self.header.height

    @property
    def width(self) -> int:
        """Of the image in pixels."""
        return self.header.width


@dataclass(frozen=True)
class Crossing:
    """What frames must have in common to go over the channel in one batch, whatever slots they are of."""

    esno_db: float
    symbols: int
    height: int
    width: int


@dataclass(frozen=True)
class Arriving:
    """What frames must have in common to be decoded in one batch by the codec that encoded them."""

    codec: str
    receiver: str
    ratio: float
    symbols: int
    height: int
    width: int


@dataclass(frozen=True)
class Restoring:
    """What decoded images must have in common to be refined in one batch."""

    codec: str
    receiver: str
    ratio: float
    height: int
    width: int


Kind = Encoding | Decoding | Crossing | Arriving | Restoring
"""A stage, and what its jobs have in common."""
STAGES = ("encode", "uplink", "decode", "refine")
"""What is done to an image on its way, by name; over a channel of one user, "uplink" is that channel."""
_STAGE: Mapping[type, str] = {
    Encoding: "encode",
    Crossing: "uplink",
    Arriving: "decode",
    Decoding: "decode",
    Restoring: "refine",
}


@dataclass(frozen=True)
class Trip:
    """What a request of several stages is, and what became of it so far.

    Attributes:
        op: of the request, carry or decode.
        codec: its name without the receivers; of a decode request "".
        receiver: those behind the codec, as after the first "+"; "" for none.
        ratio: bandwidth ratio that was asked for.
        esno_db: Es/N0 of the user.
        realisation: of fades and noise, from 0.
        image: what is sent, uint8 (h, w, 3); None of a decode request.
        label: what the frame's header says of codec and scheme.
        header: what the codec put into the header of this frame.
        received: what arrived, of a batch of 1.
        restorer: the codec with the receiver that is to restore the image.
        failed: whether the image is a fallback.
        slot: users of the slot that it went in; 0 where there was no uplink.
        encoded_hit, result_hit: whether the symbols, or the image received, were found in the cache.
        result_key: under which the result is to be kept; None for nowhere.
    """

    op: str
    codec: str
    receiver: str
    ratio: float
    esno_db: float
    realisation: int = 0
    image: NDArray[np.uint8] | None = None
    label: str = ""
    header: object = None
    received: Received | None = field(default=None, compare=False)
    restorer: object = field(default=None, compare=False)
    failed: bool = False
    slot: int = 0
    encoded_hit: bool = False
    result_hit: bool = False
    result_key: bytes | None = None

    def reply(self, shown: NDArray[Any], id: Scalar | None) -> Pdu:
        """The answer, once all is done, of an image (h, w, 3) or logits (k,)."""
        pdu = carried_reply(
            shown,
            failed=self.failed,
            codec=self.label,
            slot=self.slot,
            encoded_hit=self.encoded_hit,
            result_hit=self.result_hit,
            classes=_classes(self.label),
        )
        if self.op == "decode":
            pdu = replace(pdu, meta={**pdu.meta, "op": "classified" if shown.ndim == 1 else "decoded"})
        return with_id(pdu, id)


class Job(NamedTuple):
    """A request to be served, as far as it has come.

    Attributes:
        kind: jobs of the same one may share a batch.
        arrays: of an encoding the image, uint8 (h, w, 3); of a decoding symbols, complex64 (n,), and the noise
            variance of each, float32 (n,); of a crossing the symbols, and those of the others in the slot; of an
            arrival symbols and noise variances; of an image to be restored its values, float32 (3, h, w), and the
            level of the noise.
        id: of the request.
        trip: of a request that goes through several stages, what it is and what became of it so far.
    """

    kind: Kind
    arrays: tuple[NDArray[Any], ...]
    id: Scalar | None
    trip: Trip | None = None

    @property
    def op(self) -> str:
        """The request's: carry, encode or decode."""
        if self.trip is not None:
            return self.trip.op
        return "encode" if isinstance(self.kind, Encoding) else "decode"

    @property
    def stage(self) -> str:
        """The one that the job waits for, of `STAGES`."""
        return _STAGE[type(self.kind)]

    @property
    def pixels(self) -> int:
        """Of the image."""
        return self.kind.height * self.kind.width

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in self.arrays)


def answer(shown: NDArray[Any], *, failed: bool, codec: str) -> Pdu:
    """To a request to decode."""
    return shown_reply(shown, failed=failed, codec=codec, classes=_classes(codec))


def _classes(codec: str) -> tuple[str, ...]:
    """The names of the classes: all that this package has tells those of CIFAR-10 apart; of a user's own, none."""
    return () if codec.startswith("user:") else CIFAR10_CLASSES


def read_job(request: Pdu) -> Job:
    """The job of a request.

    Raises:
        ValueError: an op that is none, something missing, or a value that makes no sense.
    """
    op, id = request.meta.get("op"), request.meta.get("id")
    if op == "encode":
        return read_encoding(request, id)
    if op == "decode":
        return read_decoding(request, id)
    raise ValueError(f"op={str(op)[:60]!r} must be one of: {', '.join(OPS)}")


def route_of(job: Job) -> Hashable:
    """What tells how long a request takes: op, codec, receivers and the size of the image, rounded up."""
    kind, pixels = job.kind, (job.pixels - 1).bit_length()
    receiver = _timed(job.trip.receiver) if job.trip else ""
    if isinstance(kind, Decoding):
        return job.op, kind.header.codec, receiver, pixels
    return job.op, kind.codec if isinstance(kind, Encoding) else "", receiver, pixels


def _timed(receiver: str) -> str:
    """Receivers with what makes them quick or slow: "sft:seed=7,steps=2" and "sft:steps=02" are the same."""
    if not receiver:
        return ""
    said = []
    for spec in split_codec(f"codec{JOINT}{receiver}")[1]:
        told = {name: value.lstrip("0") for name, value in spec.options.items() if name != "seed"}
        said.append(":".join([spec.name, *(f"{name}={told[name]}" for name in sorted(told))]))
    return JOINT.join(said)


def choose(waiting: Mapping[int, Job], *, batch: int, pixels: int) -> list[int]:
    """The key of the job that waits the longest and those of later ones that may go with it.

    Args:
        waiting: jobs by key, the oldest first.
        batch: jobs at most.
        pixels: of all their images at most, unless the first alone has more.
    """
    first = next(iter(waiting.values()))
    most = max(1, min(batch, pixels // first.pixels))
    return [key for key, job in waiting.items() if job.kind == first.kind][:most]


def read_encoding(request: Pdu, id: Scalar | None, *, schemes: tuple[str, ...] = ()) -> Job:
    """The job of a request that brings an image; `schemes` are allowed beside fixed ones and "adaptive".

    Raises:
        ValueError: as `read_job`.
    """
    meta = request.meta
    codec, ratio, esno_db = (
        read_value(meta, "codec", str),
        read_value(meta, "ratio", float),
        read_value(meta, "esno_db", float),
    )
    scheme = codebook.split_name(codec)[1]
    if scheme not in ("", codebook.ADAPTIVE, *schemes):
        parse_mcs(scheme)
    image = read_array(request, "image", np.uint8, (None, None, 3))
    height, width, _ = image.shape
    _check_size(height, width)
    if not 0 < ratio <= 1 or not 1 <= channel_uses((3, height, width), ratio) <= MAX_SYMBOLS:
        raise ValueError(f"ratio={ratio:g} must be above 0 and up to 1, and make 1 to {MAX_SYMBOLS} symbols")
    if not -MAX_ESNO_DB <= esno_db <= MAX_ESNO_DB:
        raise ValueError(f"esno_db={esno_db:g} must be from {-MAX_ESNO_DB:g} to {MAX_ESNO_DB:g} dB")
    return Job(Encoding(codec, ratio, esno_db, height, width), (image,), id)


def read_decoding(request: Pdu, id: Scalar | None) -> Job:
    """The job of a request that brings a reception.

    Raises:
        ValueError: as `read_job`.
    """
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
