"""Tasks and what becomes of them as PDUs, for processes of one's own and other machines: checked where they arrive.

A request has "op" "make", "stage" (the name of a class of `semlink.flowgraphs.service.jobs`) and its fields, "threads",
and "rows": JSON, values by name, one a job. The answer is "made", with "rows" as well. Arrays, one row a job:

- Encoding: image uint8 (b, h, w, 3); answered by symbols complex64 (b, n), and mcs, entry (what the burst's header
  says), blind (whether Es/N0 makes no difference).
- Crossing: symbols complex64 (b, n), image as above, others complex64 (b, n, k), and realisation; answered by symbols,
  n0 float32 (b, n), gain complex64, bias float32, observed complex64 (b, m, rx), h complex64 (b, m, rx, s), noise
  float32 (b, m), the last five as far as there are such, and width.
- Arriving, Decoding: all of these, with header and width; answered by image uint8 (b, h, w, 3) and failed, or, where
  the image is to be restored, image float32 (b, 3, h, w), level float32 (b, 1) and failed, or, where it is classified,
  logits float32 (b, k) and failed.
- Restoring: image, level, failed as there; answered by image uint8 and failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import Pdu, Scalar, header_meta, read_array, read_header, read_value
from semlink.flowgraphs.service.jobs import (
    MAX_ESNO_DB,
    MAX_SYMBOLS,
    Arriving,
    Crossing,
    Decoding,
    Encoding,
    Made,
    Restoring,
    Task,
    Value,
    check_size,
)
from semlink.phy.link import channel_uses
from semlink.phy.sources import MAX_PIXELS

MOST = 1024
"""Jobs of a task at most."""
THREADS = 1024
MAX_WIDTH = 4096
"""Of a search, as `semlink.phy.mimo` has it."""
Shape = tuple[int | None, ...]
_Kind = Encoding | Crossing | Arriving | Decoding | Restoring
_KINDS: Mapping[str, type[Encoding | Crossing | Arriving | Restoring]] = {
    one.__name__: one for one in (Encoding, Crossing, Arriving, Restoring)
}
_TYPES: Mapping[str, Any] = {"str": str, "int": int, "float": float}
_RECEIVED: Mapping[str, tuple[type[np.generic], Shape]] = {
    "symbols": (np.complex64, (None,)),
    "n0": (np.float32, (None,)),
    "gain": (np.complex64, (None,)),
    "bias": (np.float32, (None,)),
    "observed": (np.complex64, (None, None)),
    "h": (np.complex64, (None, None, None)),
    "noise": (np.float32, (None,)),
}
_SPATIAL = ("observed", "h", "noise")


def task_pdu(task: Task) -> Pdu:
    """Ask for a task to be done."""
    kind = task.kind
    if isinstance(kind, Decoding):
        said: dict[str, Scalar] = {"receiver": kind.receiver, **header_meta(kind.header)}
    else:
        said = {one.name: getattr(kind, one.name) for one in fields(kind)}
    meta: dict[str, Scalar] = {"op": "make", "stage": type(kind).__name__, "threads": task.threads, **said}
    return Pdu({**meta, "rows": _said(task.rows)}, task.arrays)


def read_task(pdu: Pdu) -> Task:
    """What `task_pdu` says.

    Raises:
        ValueError: something is missing, of another kind, or does not fit the rest.
    """
    kind, threads = _read_kind(pdu.meta), read_value(pdu.meta, "threads", int)
    check_size(kind.height, kind.width)
    if not 1 <= threads <= THREADS:
        raise ValueError(f"threads={threads} must be from 1 to {THREADS}")
    _check(kind)
    shapes, names = _asked(kind)
    arrays = _read_arrays(pdu, shapes, () if isinstance(kind, Encoding | Crossing | Restoring) else ("symbols", "n0"))
    b = len(next(iter(arrays.values())))
    if not 1 <= b <= MOST:
        raise ValueError(f"{b} jobs in a task must be from 1 to {MOST}")
    if b * kind.height * kind.width > MAX_PIXELS:
        raise ValueError(f"{b} images of {kind.width}x{kind.height} pixels in a task; at most {MAX_PIXELS} in all")
    if "symbols" in arrays and not 1 <= arrays["symbols"].shape[1] <= MAX_SYMBOLS:
        raise ValueError(f"{arrays['symbols'].shape[1]} symbols must be from 1 to {MAX_SYMBOLS}")
    rows = _read_rows(pdu, names, b)
    _check_width(rows, spatial="observed" in arrays)
    return Task(kind, arrays, rows, threads)


def made_pdu(made: Made) -> Pdu:
    """The answer to `task_pdu`."""
    return Pdu({"op": "made", "rows": _said(made.rows)}, made.arrays)


def read_made(pdu: Pdu, task: Task) -> Made:
    """What `made_pdu` says of a task.

    Raises:
        ValueError: it is none, or does not fit the task.
    """
    if pdu.meta.get("op") != "made":
        raise ValueError(f"op={pdu.meta.get('op')!r} must be 'made'")
    shapes, names = _answered(task, restored="level" in pdu.arrays, classified="logits" in pdu.arrays)
    arrays = _read_arrays(pdu, shapes, ("symbols", "n0") if isinstance(task.kind, Crossing) else ())
    b = len(next(iter(task.arrays.values())))
    if len(next(iter(arrays.values()))) != b:
        raise ValueError(f"{len(next(iter(arrays.values())))} rows made of {b} jobs")
    if isinstance(task.kind, Encoding):
        most = channel_uses((3, task.kind.height, task.kind.width), task.kind.ratio)
        if not 1 <= arrays["symbols"].shape[1] <= most:
            raise ValueError(f"{arrays['symbols'].shape[1]} symbols made; they must be from 1 to {most}")
    if not len(next(iter(arrays.values()))[0]):
        raise ValueError("logits of no class made")
    return Made(arrays, _read_rows(pdu, names, b))


def _check_width(rows: Mapping[str, Sequence[Value]], *, spatial: bool) -> None:
    """Raise ValueError unless the width of a search is there where there is something to be searched, and can be."""
    widths = set(rows.get("width", ()))
    known = len(widths) == 1 and all(type(one) is int and 1 <= one <= MAX_WIDTH for one in widths)
    if widths and not (known if spatial else widths == {None}):
        raise ValueError(f"rows: width must be one from 1 to {MAX_WIDTH} with observed, h and noise, and null without")


def _check(kind: _Kind) -> None:
    if not 0 < getattr(kind, "ratio", 1.0) <= 1:
        raise ValueError(f"ratio={getattr(kind, 'ratio', 1.0):g} must be above 0 and up to 1")
    if not -MAX_ESNO_DB <= getattr(kind, "esno_db", 0.0) <= MAX_ESNO_DB:
        raise ValueError(
            f"esno_db={getattr(kind, 'esno_db', 0.0):g} must be from {-MAX_ESNO_DB:g} to {MAX_ESNO_DB:g} dB"
        )


def _read_kind(meta: Mapping[str, Scalar]) -> _Kind:
    name = read_value(meta, "stage", str)
    if name == Decoding.__name__:
        return Decoding(read_header(meta), read_value(meta, "receiver", str))
    if name not in _KINDS:
        raise ValueError(f"stage={name[:60]!r} must be one of: {', '.join([*_KINDS, Decoding.__name__])}")
    made: dict[str, Any] = {one.name: read_value(meta, one.name, _TYPES[str(one.type)]) for one in fields(_KINDS[name])}
    kind: _Kind = _KINDS[name](**made)
    return kind


def _asked(kind: _Kind) -> tuple[Mapping[str, tuple[type[np.generic], Shape]], Sequence[str]]:
    """Arrays of a task, by name, and the names of its values."""
    pixels = (kind.height, kind.width, 3)
    if isinstance(kind, Encoding):
        return {"image": (np.uint8, pixels)}, ()
    if isinstance(kind, Crossing):
        others = (np.complex64, (kind.symbols, None))
        return {"symbols": (np.complex64, (kind.symbols,)), "image": (np.uint8, pixels), "others": others}, [
            "realisation"
        ]
    if isinstance(kind, Restoring):
        return {"image": (np.float32, (3, kind.height, kind.width)), "level": (np.float32, (1,))}, ["failed"]
    if isinstance(kind, Decoding):
        return {**_RECEIVED, "symbols": (np.complex64, (kind.header.symbols,))}, ("header", "width")
    return {**_RECEIVED, "symbols": (np.complex64, (kind.symbols,))}, ("header", "width")


def _answered(
    task: Task, *, restored: bool, classified: bool
) -> tuple[Mapping[str, tuple[type[np.generic], Shape]], Sequence[str]]:
    """Arrays of an answer, by name, and the names of its values."""
    kind = task.kind
    if isinstance(kind, Encoding):
        return {"symbols": (np.complex64, (None,))}, ["mcs", "entry", "blind"]
    if isinstance(kind, Crossing):
        return _RECEIVED, ["width"]
    if classified and not isinstance(kind, Restoring):
        return {"logits": (np.float32, (None,))}, ["failed"]
    if restored and not isinstance(kind, Restoring):
        return {"image": (np.float32, (3, kind.height, kind.width)), "level": (np.float32, (1,))}, ["failed"]
    return {"image": (np.uint8, (kind.height, kind.width, 3))}, ["failed"]


def _read_arrays(
    pdu: Pdu, shapes: Mapping[str, tuple[type[np.generic], Shape]], needed: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Arrays of one number of rows, as far as they are needed or there; all are, where none is said to be needed."""
    if unknown := sorted(pdu.arrays.keys() - shapes.keys()):
        raise ValueError(f"array {unknown[0][:60]!r} must be one of: {', '.join(shapes)}")
    names = [name for name in shapes if name in pdu.arrays or name in (needed or shapes)]
    b = len(pdu.arrays[names[0]]) if names[0] in pdu.arrays and pdu.arrays[names[0]].ndim else None
    found = {name: np.array(read_array(pdu, name, shapes[name][0], (b, *shapes[name][1]))) for name in names}
    lengths = {found[name].shape[1] for name in ("symbols", "n0", "gain", "bias") if name in found}
    seen = [found[name] for name in _SPATIAL if name in found]
    if len(lengths) > 1:
        raise ValueError(f"symbols and what belongs to them are of different lengths: {sorted(lengths)}")
    if seen and not (len(seen) == 3 and seen[0].shape == seen[1].shape[:3] and seen[2].shape == seen[0].shape[:2]):
        raise ValueError("observed, h and noise must be (b, m, rx), (b, m, rx, s) and (b, m)")
    return found


def _said(rows: Mapping[str, Sequence[Value]]) -> str:
    return json.dumps({name: list(values) for name, values in rows.items()})


def _read_rows(pdu: Pdu, names: Sequence[str], b: int) -> dict[str, Sequence[Value]]:
    """Values by name; those that need not be there are None where they are not."""
    try:
        found = json.loads(read_value(pdu.meta, "rows", str))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not found.keys() <= set(names):
        raise ValueError(f"rows must be JSON with {', '.join(names) or 'nothing'} in it")
    optional = {"header", "width"}
    rows: dict[str, Sequence[Value]] = {}
    for name in names:
        values = found.get(name, [None] * b if name in optional else None)
        if not isinstance(values, list) or len(values) != b or not all(_is_value(one) for one in values):
            raise ValueError(f"rows: {name} must be {b} whole numbers, true, false or null")
        rows[name] = values
    return rows


def _is_value(value: object) -> bool:
    return value is None or isinstance(value, bool) or (type(value) is int and abs(value) < 1 << 31)
