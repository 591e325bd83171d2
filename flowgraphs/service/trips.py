"""Requests that go through several stages: an image carried from end to end, or a reception that is also restored."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from semlink.flowgraphs.protocol import Pdu, Scalar, read_value
from semlink.flowgraphs.service.jobs import (
    Crossing,
    Decoding,
    Encoding,
    Job,
    Making,
    Trip,
    read_decoding,
    read_encoding,
    read_job,
)
from semlink.flowgraphs.service.tasks import read_task
from semlink.flowgraphs.specs import CLASSIFY, JOINT, split_codec
from semlink.neural.classifiers import TEACHERS

MAX_REALISATION = (1 << 31) - 1
OUTAGE = "outage"
"""The scheme that needs to know the channel's statistics, beside those of `codebook`."""
_TEACHERS = f"{CLASSIFY}({'|'.join(TEACHERS)})"
_RECEIVER = re.compile(rf"[a-z0-9]+(-[a-z0-9]+)*(:[a-z]+=[a-z0-9]+(,[a-z]+=[a-z0-9]+)*)?|{_TEACHERS}")


def read_request(request: Pdu, *, carries: bool, makes: bool = False) -> Job:
    """The first job of a request.

    Args:
        request: to encode, decode, carry or make.
        carries: whether there is a channel.
        makes: whether tasks of other services are done.

    Raises:
        ValueError: an op that is none, something missing, or a value that makes no sense.
    """
    op, id = request.meta.get("op"), request.meta.get("id")
    if op == "carry":
        if not carries:
            raise ValueError("op='carry': this service has no channel; `semlink serve` has one")
        return _read_carrying(request, id)
    if op == "make":
        if not makes:
            raise ValueError("op='make': this service does nothing for other services; `semlink node` does")
        return _read_making(request, id)
    if op == "decode" and "receiver" in request.meta:
        return _read_restored(request, id)
    return read_job(request)


def read_deadline(request: Pdu, now: float) -> float:
    """When nobody wants the answer to a request any more that arrives `now`, in seconds; infinity for never.

    Raises:
        ValueError: a time that is over already, or none.
    """
    if "deadline_ms" not in request.meta:
        return math.inf
    after = read_value(request.meta, "deadline_ms", float)
    if not after > 0:
        raise ValueError(f"deadline_ms={after:g} must be above 0: milliseconds from the arrival of the request on")
    return now + after / 1e3


def _read_carrying(request: Pdu, id: Scalar | None) -> Job:
    codec, receiver = split_name(read_value(request.meta, "codec", str))
    realisation = read_value(request.meta, "realisation", int) if "realisation" in request.meta else 0
    if not 0 <= realisation <= MAX_REALISATION:
        raise ValueError(f"realisation={realisation} must be from 0 to {MAX_REALISATION}")
    job = read_encoding(replace(request, meta={**request.meta, "codec": codec}), id, schemes=(OUTAGE,))
    ratio, esno_db = (read_value(request.meta, name, float) for name in ("ratio", "esno_db"))
    trip = Trip("carry", codec, receiver, ratio, esno_db, realisation, job.arrays[0])
    return job._replace(trip=trip)


def _read_restored(request: Pdu, id: Scalar | None) -> Job:
    receiver = read_value(request.meta, "receiver", str)
    check_receivers(receiver)
    job = read_decoding(request, id)
    assert isinstance(job.kind, Decoding)
    return job._replace(kind=replace(job.kind, receiver=receiver), trip=Trip("decode", "", receiver, 0.0, 0.0))


def _read_making(request: Pdu, id: Scalar | None) -> Job:
    task = read_task(request)
    if isinstance(task.kind, Crossing):
        raise ValueError("stage='Crossing': a node has no channel")
    receiver = "" if isinstance(task.kind, Encoding) else task.kind.receiver
    if receiver:
        check_receivers(receiver)
    return Job(Making(task), tuple(task.arrays.values()), id)


def split_name(text: str) -> tuple[str, str]:
    """The codec of "swin+sft:steps=1", and the receivers behind it as one text.

    Raises:
        ValueError: a part that is empty, or a receiver that is none of this package's names.
    """
    codec, plus, receiver = text.partition(JOINT)
    if plus:
        split_codec(text)
        check_receivers(receiver)
    return codec, receiver


def check_receivers(text: str) -> None:
    """Raise ValueError unless receivers are named as this package names them: never by a file of this machine."""
    for one in text.split(JOINT):
        if not _RECEIVER.fullmatch(one):
            offer = f"one of `semlink zoo` by name, such as sft or sft:steps=1, or {CLASSIFY}{'|'.join(TEACHERS)}"
            raise ValueError(f"receiver {one[:60]!r} must be {offer}")
