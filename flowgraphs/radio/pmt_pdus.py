"""Images and frames as PDUs of GNU Radio: a dictionary and a uniform vector. Needs GNU Radio's `pmt` and NumPy.

An image is a vector of bytes, row by row, with `height` and `width` in the dictionary. A frame to be sent is a vector
of complex symbols with the fields of a burst header that `FRAME_FIELDS` names. A frame that was received has `n0`
besides, the noise variance of each symbol, `lost`, how many of its `segments` are missing, and `esno_db`, the mean over
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np
import pmt
from gnuradio import gr
from numpy.typing import NDArray

from semlink.flowgraphs.radio.stations import HeardFrame
from semlink.phy.waveform import BurstHeader, Samples

FRAME_FIELDS = ("codec", "mcs", "height", "width", "sender", "transmission", "sequence", "symbols", "scale_db")
"""Of a burst header, what is the same in all segments of a frame and not their number."""
Meta = dict[str, Any]
"""Numbers, texts and vectors of a PDU by name."""


def to_pdu(meta: Mapping[str, Any], vector: NDArray[Any]) -> Any:  # noqa: ANN401 - pmt has no types
    """A PDU of fields and a vector (n,) of bytes, floats or complex numbers."""
    fields = {name: value.item() if isinstance(value, np.generic) else value for name, value in meta.items()}
    return pmt.cons(pmt.to_pmt(fields), pmt.to_pmt(np.ascontiguousarray(vector)))


def from_pdu(message: Any) -> tuple[Meta, NDArray[Any]]:  # noqa: ANN401
    """Fields and vector of a PDU.

    Raises:
        ValueError: the message is none.
    """
    if not pmt.is_pair(message) or not pmt.is_uniform_vector(pmt.cdr(message)):
        raise ValueError("a message that is no PDU: a dictionary and a uniform vector are wanted")
    meta = pmt.to_python(pmt.car(message))
    if not isinstance(meta, dict):
        raise ValueError("a PDU whose first part is no dictionary")
    return meta, np.asarray(pmt.to_python(pmt.cdr(message)))


def image_pdu(image: NDArray[np.uint8], meta: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The PDU of an image (h, w, 3), with these fields besides."""
    height, width, _ = image.shape
    return to_pdu({**meta, "height": height, "width": width}, image.ravel())


def image_of(message: Any) -> tuple[Meta, NDArray[np.uint8]]:  # noqa: ANN401
    """Fields and pixels (h, w, 3) of an image's PDU.

    Raises:
        ValueError: the message is none.
    """
    meta, pixels = from_pdu(message)
    height, width = meta.get("height"), meta.get("width")
    if pixels.dtype != np.uint8 or not isinstance(height, int) or not isinstance(width, int):
        raise ValueError("a PDU that is no image: bytes, `height` and `width` are wanted")
    if min(height, width) < 1 or pixels.size != 3 * height * width:
        raise ValueError(f"an image of {height}x{width} has {3 * height * width} bytes, not {pixels.size}")
    return meta, pixels.reshape(height, width, 3)


def frame_pdu(header: BurstHeader, symbols: Samples) -> Any:  # noqa: ANN401
    """The PDU of a frame to be sent, of symbols (n,)."""
    return to_pdu(frame_fields(header), np.asarray(symbols, dtype=np.complex64))


def frame_of(message: Any) -> tuple[BurstHeader, NDArray[np.complex64]]:  # noqa: ANN401
    """Header and symbols (n,) of a frame's PDU.

    Raises:
        ValueError: the message is none.
    """
    meta, symbols = from_pdu(message)
    if symbols.dtype != np.complex64:
        raise ValueError("a PDU that is no frame: complex symbols are wanted")
    header = BurstHeader(**{name: meta[name] for name in FRAME_FIELDS if name in meta and name != "symbols"})
    return BurstHeader(**{**frame_fields(header), "symbols": len(symbols)}), symbols


def received_pdu(frame: HeardFrame) -> Any:  # noqa: ANN401
    """The PDU of a frame that was received."""
    meta = {
        **frame_fields(frame.header),
        "n0": np.asarray(frame.n0, dtype=np.float32),
        "lost": frame.lost,
        "segments": frame.header.segments,
        "esno_db": frame.esno_db,
    }
    return to_pdu(meta, frame.symbols)


def received_of(message: Any) -> HeardFrame:  # noqa: ANN401
    """A received frame of its PDU.

    Raises:
        ValueError: the message is none.
    """
    header, symbols = frame_of(message)
    meta = from_pdu(message)[0]
    n0 = np.asarray(meta.get("n0", ()), dtype=np.float32)
    if n0.shape != symbols.shape:
        raise ValueError(f"a received frame of {len(symbols)} symbols has `n0` of shape {n0.shape}")
    header = replace(header, segments=int(meta.get("segments", 1)))
    return HeardFrame(header, symbols, n0, int(meta.get("lost", 0)), float(meta.get("esno_db", np.nan)))


def frame_fields(header: BurstHeader) -> Meta:
    """Those of `FRAME_FIELDS`."""
    return {name: getattr(header, name) for name in FRAME_FIELDS}


def warn(text: str) -> None:
    """One line in GNU Radio's log."""
    gr.logger("semlink").warn(text)


def inform(text: str) -> None:
    """One line in GNU Radio's log, of something that is as it should be."""
    gr.logger("semlink").info(text)


def guarded(handler: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A message handler that outlives its exceptions: GNU Radio never again calls one that has raised."""

    @wraps(handler)  # the name as well, by which GNU Radio finds it
    def handle(block: Any, message: Any) -> None:  # noqa: ANN401
        try:
            handler(block, message)
        except Exception as error:
            warn(f"{type(block).__name__}: {error}")

    return handle
