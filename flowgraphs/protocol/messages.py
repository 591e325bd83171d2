"""What is asked of the worker and what it answers, as PDUs. NumPy alone.

A request has "op" and an "id" of the client's choice, which the reply to it has as well. Ops are "encode" (answered by
"encoded"), "decode" ("decoded", or "classified" where a class is delivered), "carry" ("carried"; by `semlink serve`
alone), "cancel" ("cancelled") and "status" ("status"); any of them may be answered by "error" with a "message". Any
request that takes work may have "deadline_ms", after which it is answered by an error and not computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from semlink.flowgraphs.protocol.pdu import Pdu, Scalar
from semlink.phy.waveform import BurstHeader

HEADER_FIELDS = ("codec", "mcs", "height", "width", "symbols", "scale_db")
"""Fields of a burst header that go with the symbols of a frame."""
MAX_MESSAGE = 4000
"""Characters of an error's message at most."""

_Kind = TypeVar("_Kind", int, float, str, bool)


class EncodedImage(NamedTuple):
    """A frame ready for `semlink.phy.waveform.split`.

    Attributes:
        header: `symbols` and the fields that tell a receiver how to decode; sender, sequence and segment are not set.
        symbols: of unit mean energy, (n,).
    """

    header: BurstHeader
    symbols: NDArray[np.complex64]


class CarriedImage(NamedTuple):
    """What became of an image that was carried.

    Attributes:
        image: as received, 8-bit RGB levels, (h, w, 3).
        failed: whether it is a fallback, wholly or in part.
        codec: its name, with the scheme of a digital one and the receivers behind it.
        slot: users that sent in the same slot of the uplink, this one included.
        encoded_hit: whether the symbols were found in the cache.
        result_hit: whether what is shown was found in the cache.
    """

    image: NDArray[np.uint8]
    failed: bool
    codec: str
    slot: int
    encoded_hit: bool
    result_hit: bool


class DecodedImage(NamedTuple):
    """What a receiver shows.

    Attributes:
        image: 8-bit RGB levels, (h, w, 3).
        failed: whether the image is a fallback, wholly or in part.
        codec: its name, with the scheme of a digital one.
    """

    image: NDArray[np.uint8]
    failed: bool
    codec: str


class DecodedClass(NamedTuple):
    """What a receiver takes an image for.

    Attributes:
        label: the likeliest class, counted from 0.
        name: of the class; "" where it has none.
        confidence: its probability by the softmax of the logits.
        logits: (classes,).
        failed: whether what was classified is a fallback, wholly or in part.
        codec: its name, with the scheme of a digital one and the receivers behind it.
    """

    label: int
    name: str
    confidence: float
    logits: NDArray[np.float32]
    failed: bool
    codec: str


def encode_request(image: NDArray[np.uint8], *, codec: str, ratio: float, esno_db: float) -> Pdu:
    """Ask for the symbols of an image.

    Args:
        image: 8-bit RGB levels, (h, w, 3).
        codec: a name of `semlink.flowgraphs.protocol.codebook`.
        ratio: complex channel uses / (3·h·w).
        esno_db: average Es/N0 that the transmitter expects, in dB.

    Raises:
        ValueError: an image that is not uint8 (h, w, 3).
    """
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"image is {pixels.dtype} {pixels.shape}; it must be uint8 (h, w, 3)")
    return Pdu({"op": "encode", "codec": codec, "ratio": float(ratio), "esno_db": float(esno_db)}, {"image": pixels})


def decode_request(header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any], *, receiver: str = "") -> Pdu:
    """Ask for the image of a frame, or for its class.

    Args:
        header: of any of its bursts.
        symbols: of the whole frame, (n,); 0 where nothing arrived.
        n0: noise variance of each, (n,); `semlink.phy.waveform.burst.ERASED` where nothing arrived.
        receiver: trained receivers behind the codec, such as "sft" or "classify:tiniest"; "" for none.

    Raises:
        ValueError: symbols or noise variances of another number than the header has.
    """
    for name, values in (("symbols", symbols), ("n0", n0)):
        if np.shape(values) != (header.symbols,):
            raise ValueError(f"{name} of shape {np.shape(values)}: the header has {header.symbols} symbols")
    arrays = {"symbols": np.asarray(symbols, dtype=np.complex64), "n0": np.asarray(n0, dtype=np.float32)}
    behind: dict[str, Scalar] = {"receiver": receiver} if receiver else {}
    return Pdu({"op": "decode", **header_meta(header), **behind}, arrays)


def carry_request(image: NDArray[np.uint8], *, codec: str, ratio: float, esno_db: float, realisation: int = 0) -> Pdu:
    """Ask for an image to be carried from end to end: encoded, over the service's channel, decoded, restored.

    Args:
        image: 8-bit RGB levels, (h, w, 3).
        codec: a name of `semlink.flowgraphs.protocol.codebook`, or one with receivers behind it, such as "swin+sft".
        ratio: complex channel uses / (3·h·w).
        esno_db: average Es/N0 of this user, in dB.
        realisation: of fades and noise, from 0: the same image meets the same ones again.

    Raises:
        ValueError: an image that is not uint8 (h, w, 3).
    """
    asked = encode_request(image, codec=codec, ratio=ratio, esno_db=esno_db)
    return replace(asked, meta={**asked.meta, "op": "carry", "realisation": int(realisation)})


def cancel_request(target: Scalar) -> Pdu:
    """Take back a request of one's own, by its "id"; it is answered by an error, as far as it is not answered yet."""
    return Pdu({"op": "cancel", "target": target})


def status_request() -> Pdu:
    """Ask the worker how it does."""
    return Pdu({"op": "status"})


def encoded_reply(header: BurstHeader, symbols: NDArray[np.complex64]) -> Pdu:
    """The answer to `encode_request`."""
    return Pdu({"op": "encoded", **header_meta(header)}, {"symbols": symbols})


def decoded_reply(image: NDArray[np.uint8], *, failed: bool, codec: str) -> Pdu:
    """The answer to `decode_request`."""
    height, width, _ = image.shape
    return Pdu({"op": "decoded", "height": height, "width": width, "failed": failed, "codec": codec}, {"image": image})


def classified_reply(logits: NDArray[np.float32], *, failed: bool, codec: str, classes: Sequence[str] = ()) -> Pdu:
    """The answer to `decode_request` where logits (k,) are what is delivered; `classes` are their names, if known."""
    odds = np.exp(logits.astype(np.float64) - logits.max())
    label = int(np.argmax(logits))
    named = {"name": classes[label] if classes else ""}
    confidence = float(odds[label] / odds.sum())
    told: dict[str, Scalar] = {"op": "classified", "class": label, **named, "confidence": confidence}
    return Pdu({**told, "failed": failed, "codec": codec}, {"logits": logits})


def shown_reply(shown: NDArray[Any], *, failed: bool, codec: str, classes: Sequence[str] = ()) -> Pdu:
    """The answer to `decode_request`: of an image (h, w, 3), or of logits (k,), whose `classes` may have names."""
    if shown.ndim == 1:
        return classified_reply(shown, failed=failed, codec=codec, classes=classes)
    return decoded_reply(shown, failed=failed, codec=codec)


def carried_reply(
    shown: NDArray[Any],
    *,
    failed: bool,
    codec: str,
    slot: int,
    encoded_hit: bool,
    result_hit: bool,
    classes: Sequence[str] = (),
) -> Pdu:
    """The answer to `carry_request`, of an image (h, w, 3) or logits (k,)."""
    decoded = shown_reply(shown, failed=failed, codec=codec, classes=classes)
    own: dict[str, Scalar] = {"slot": slot, "encoded_hit": encoded_hit, "result_hit": result_hit}
    return replace(decoded, meta={**decoded.meta, "op": "carried", **own})


def cancelled_reply(found: bool) -> Pdu:
    """The answer to `cancel_request`: whether there was such a request that had no answer yet."""
    return Pdu({"op": "cancelled", "found": found})


def error_reply(message: str) -> Pdu:
    """A refusal."""
    return Pdu({"op": "error", "message": message[:MAX_MESSAGE]})


def with_id(pdu: Pdu, id: Scalar | None) -> Pdu:
    """The same with an "id", unless that is None."""
    return pdu if id is None else replace(pdu, meta={**pdu.meta, "id": id})


def with_deadline(pdu: Pdu, after_ms: float) -> Pdu:
    """The same request, of no use to anybody so many milliseconds after it arrives."""
    return replace(pdu, meta={**pdu.meta, "deadline_ms": after_ms})


def header_meta(header: BurstHeader) -> dict[str, Scalar]:
    """The fields of a header that go with the symbols of a frame."""
    return {name: getattr(header, name) for name in HEADER_FIELDS}


def read_header(meta: Mapping[str, Scalar]) -> BurstHeader:
    """The header that `header_meta` wrote.

    Raises:
        ValueError: a field is missing, of another kind or out of range.
    """
    whole: dict[str, Any] = {name: read_value(meta, name, int) for name in HEADER_FIELDS[:-1]}
    return BurstHeader(**whole, scale_db=read_value(meta, "scale_db", float))


def read_encoded(pdu: Pdu) -> EncodedImage:
    """The answer to `encode_request`.

    Raises:
        ValueError: it is another one, lacks something, or has symbols that are not finite or not of unit energy.
    """
    _check_op(pdu, "encoded")
    header = read_header(pdu.meta)
    symbols = read_array(pdu, "symbols", np.complex64, (header.symbols,))
    energy = float(np.mean(np.square(np.abs(symbols.astype(np.complex128)))))
    # As `semlink.phy.link.check_frame` has it for points of a constellation.
    if not abs(energy - 1) <= 1e-3 + 6 * math.sqrt(0.4 / max(1, header.symbols)):
        raise ValueError(f"array symbols has a mean energy of {energy:.4g} a symbol; it must be finite, and about 1")
    return EncodedImage(header, symbols)


def read_decoded(pdu: Pdu) -> DecodedImage:
    """The answer to `decode_request`.

    Raises:
        ValueError: it is another one, or lacks something.
    """
    _check_op(pdu, "decoded")
    shape = read_value(pdu.meta, "height", int), read_value(pdu.meta, "width", int), 3
    pixels = read_array(pdu, "image", np.uint8, shape)
    return DecodedImage(pixels, read_value(pdu.meta, "failed", bool), read_value(pdu.meta, "codec", str))


def read_classified(pdu: Pdu) -> DecodedClass:
    """The answer to `decode_request` or `carry_request` where a class is delivered.

    Raises:
        ValueError: it is another one, an image say, or lacks something; or a class that the logits do not have.
    """
    if pdu.meta.get("op") != "carried":
        _check_op(pdu, "classified")
    logits, label = read_array(pdu, "logits", np.float32, (None,)), read_value(pdu.meta, "class", int)
    name, confidence = read_value(pdu.meta, "name", str), read_value(pdu.meta, "confidence", float)
    if not 0 <= label < len(logits) or not 0 <= confidence <= 1:
        raise ValueError(f"class={label}, confidence={confidence:g}: there are {len(logits)} classes, and shares to 1")
    failed, codec = read_value(pdu.meta, "failed", bool), read_value(pdu.meta, "codec", str)
    return DecodedClass(label, name, confidence, logits, failed, codec)


def read_carried(pdu: Pdu) -> CarriedImage:
    """The answer to `carry_request`.

    Raises:
        ValueError: it is another one, or lacks something.
    """
    _check_op(pdu, "carried")
    image, failed, codec = read_decoded(replace(pdu, meta={**pdu.meta, "op": "decoded"}))
    hits = (read_value(pdu.meta, name, bool) for name in ("encoded_hit", "result_hit"))
    return CarriedImage(image, failed, codec, read_value(pdu.meta, "slot", int), *hits)


def check_answered(what: str, answer: tuple[int, int], asked: tuple[int, int]) -> None:
    """Raise ValueError unless an answer is of an image of the (height, width) that was asked about."""
    if answer != asked:
        size = "x".join(map(str, answer[::-1]))
        raise ValueError(f"{what} of {size} pixels; asked about one of {'x'.join(map(str, asked[::-1]))}")


def read_value(meta: Mapping[str, Scalar], name: str, kind: type[_Kind]) -> _Kind:
    """A value by name; a whole number serves as a float.

    Raises:
        ValueError: it is missing or of another kind.
    """
    value = meta.get(name)
    if type(value) is kind or (kind is float and type(value) is int):
        return kind(value)
    said = "missing" if value is None else f"{str(value)[:60]!r}, of type {type(value).__name__}"
    raise ValueError(f"{name} is {said}; it must be of type {kind.__name__}")


def read_array(pdu: Pdu, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> NDArray[Any]:
    """An array by name; None in `shape` stands for any length.

    Raises:
        ValueError: it is missing, or of another dtype or shape.
    """
    if name not in pdu.arrays:
        raise ValueError(f"array {name} is missing")
    found = pdu.arrays[name]
    fits = len(found.shape) == len(shape) and all(
        want is None or have == want for have, want in zip(found.shape, shape, strict=True)
    )
    if found.dtype != dtype or not fits:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"array {name} is {found.dtype} {found.shape}; it must be {np.dtype(dtype)} ({wanted})")
    return found


def _check_op(pdu: Pdu, op: str) -> None:
    if pdu.meta.get("op") != op:
        raise ValueError(f"op={pdu.meta.get('op')!r} must be {op!r}")
