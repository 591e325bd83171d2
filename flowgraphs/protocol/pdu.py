"""What crosses between the radio and the worker: a few named values and arrays, as the parts of a ZeroMQ message.

The first part is JSON: `{"semlink": 1, "meta": {…}, "arrays": [{"name": …, "dtype": …, "shape": […]}, …]}`; one part
for each array follows, its values as they lie in memory in C order, little-endian. NumPy alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Scalar = int | float | str | bool
"""What a field of the metadata may be."""

VERSION = 1
DTYPES = {"uint8": "|u1", "float32": "<f4", "complex64": "<c8"}
"""The kinds of values that arrays may have, and how they lie on the wire."""
MAX_HEADER = 1 << 16
"""Bytes of the JSON at most."""
MAX_PART = 1 << 27
"""Bytes of an array at most."""
MAX_ID = 256
"""Characters of an "id" at most, so that a reply has room for it."""
MAX_ARRAYS = 8
MAX_AXES = 4
_INTEGERS = 1 << 63


class MalformedPduError(ValueError):
    """A message that is no PDU.

    Attributes:
        id: what the message gives as its "id", as far as it can be read; else None.
    """

    def __init__(self, message: str, *, id: Scalar | None = None) -> None:
        super().__init__(message)
        self.id = id


@dataclass(frozen=True)
class Pdu:
    """A protocol data unit.

    Attributes:
        meta: values by name.
        arrays: arrays by name, of the dtypes in `DTYPES`; all values finite.
    """

    meta: Mapping[str, Scalar]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def pack(pdu: Pdu, *, finite: bool = True) -> list[bytes]:
    """The parts of a message; values that are not finite pass where `finite` is False, for a process of one's own.

    Raises:
        MalformedPduError: a name that is no string, a value of another kind, arrays of another dtype or too many, too
            long or not finite: what `unpack` would refuse.
    """
    arrays = {name: np.asarray(array) for name, array in pdu.arrays.items()}
    meta = {name: value.item() if isinstance(value, np.generic) else value for name, value in pdu.meta.items()}
    _check_meta(meta)
    if len(arrays) > MAX_ARRAYS:
        raise MalformedPduError(f"{len(arrays)} arrays; a PDU has at most {MAX_ARRAYS}")
    for name, array in arrays.items():
        _check_array(name, array.dtype.name, list(array.shape))
        if finite:
            _check_finite(name, array)
    listed = [{"name": name, "dtype": one.dtype.name, "shape": list(one.shape)} for name, one in arrays.items()]
    head = json.dumps({"semlink": VERSION, "meta": meta, "arrays": listed}).encode()
    if len(head) > MAX_HEADER:
        raise MalformedPduError(f"meta of {len(head)} bytes; at most {MAX_HEADER}")
    return [head, *(one.astype(DTYPES[one.dtype.name], copy=False).tobytes() for one in arrays.values())]


def unpack(parts: Sequence[bytes | memoryview], *, finite: bool = True) -> Pdu:
    """The PDU of a message, as `pack` made it. Its arrays lie in the message's own memory and cannot be written to.

    Raises:
        MalformedPduError: anything that `pack` would not make of a PDU. Nothing is allocated by what the message says
            of itself.
    """
    head = _read_head(parts)
    meta, listed = head["meta"], head["arrays"]
    try:
        _check_meta(meta)
        if not isinstance(listed, list) or len(listed) != len(parts) - 1:
            raise MalformedPduError(f"arrays={_short(listed)} must be a list with an entry for each further part")
        arrays = dict(_read_array(entry, part, finite) for entry, part in zip(listed, parts[1:], strict=True))
        if len(arrays) < len(listed):
            raise MalformedPduError("two arrays have the same name")
    except MalformedPduError as error:
        found = meta.get("id") if isinstance(meta, dict) else None
        raise MalformedPduError(str(error), id=found if _is_id(found) else None) from None
    return Pdu(meta, arrays)


def _read_head(parts: Sequence[bytes | memoryview]) -> dict[str, Any]:
    if not 1 <= len(parts) <= 1 + MAX_ARRAYS:
        raise MalformedPduError(f"{len(parts)} parts; a PDU has 1 … {1 + MAX_ARRAYS}")
    if len(parts[0]) > MAX_HEADER:
        raise MalformedPduError(f"first part of {len(parts[0])} bytes; at most {MAX_HEADER}")
    try:
        head = json.loads(bytes(parts[0]).decode())
    except (ValueError, RecursionError) as error:
        raise MalformedPduError(f"first part is no JSON ({_short(error)})") from None
    if not isinstance(head, dict) or set(head) != {"semlink", "meta", "arrays"}:
        raise MalformedPduError('first part must have "semlink", "meta" and "arrays", and no more')
    if head["semlink"] != VERSION:
        raise MalformedPduError(f"semlink={_short(head['semlink'])} must be {VERSION}, the version of this format")
    return head


def _read_array(entry: object, part: bytes | memoryview, finite: bool) -> tuple[str, NDArray[Any]]:
    if not isinstance(entry, dict) or set(entry) != {"name", "dtype", "shape"}:
        raise MalformedPduError(f'array {_short(entry)} must have "name", "dtype" and "shape", and no more')
    name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
    _check_array(name, dtype, shape)
    wire = np.dtype(DTYPES[dtype])
    declared = math.prod(shape) * wire.itemsize
    if declared != len(part):
        raise MalformedPduError(f"array {name}: {dtype} {tuple(shape)} is {declared} bytes; its part has {len(part)}")
    array = np.frombuffer(part, dtype=wire).reshape(shape).astype(dtype, copy=False)
    if finite:
        _check_finite(name, array)
    return name, array


def _check_meta(meta: object) -> None:
    if not isinstance(meta, dict):
        raise MalformedPduError(f"meta={_short(meta)} must be an object")
    for name, value in meta.items():
        if not isinstance(name, str) or not _is_scalar(value):
            raise MalformedPduError(f"meta {_short(name)}={_short(value)} must be a finite number, a string or a bool")
    if "id" in meta and not _is_id(meta["id"]):
        raise MalformedPduError(f"id={_short(meta['id'])} has {len(meta['id'])} characters; at most {MAX_ID}")


def _is_id(value: object) -> bool:
    return _is_scalar(value) and not (isinstance(value, str) and len(value) > MAX_ID)


def _is_scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, bool | str) or (isinstance(value, int) and abs(value) < _INTEGERS)


def _check_array(name: object, dtype: object, shape: object) -> None:
    if not isinstance(name, str):
        raise MalformedPduError(f"array name={_short(name)} must be a string")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise MalformedPduError(f"array {_short(name)}: dtype={_short(dtype)} must be one of: {', '.join(DTYPES)}")
    counts = isinstance(shape, list) and all(type(side) is int and 0 <= side <= MAX_PART for side in shape)
    if not isinstance(shape, list) or not counts or len(shape) > MAX_AXES:
        raise MalformedPduError(
            f"array {_short(name)}: shape={_short(shape)} must be up to {MAX_AXES} counts of at most {MAX_PART}"
        )
    size = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if size > MAX_PART:
        raise MalformedPduError(f"array {_short(name)} of {size} bytes; at most {MAX_PART}")


def _check_finite(name: str, array: NDArray[Any]) -> None:
    if not np.isfinite(array).all():
        raise MalformedPduError(f"array {_short(name)} has values that are not finite")


def _short(value: object) -> str:
    """A value in an error message, of bounded length: it came from outside."""
    text = str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
