"""What SigMF's metadata say, checked: strictly of what is written, leniently of what other programs wrote. NumPy alone.

Every field that changes which bytes are samples is obeyed or refused. The package `sigmf` is not used: GNU Radio's
Python need not have it, and its two ways of reading header bytes are each wrong where the other is right
(`findings/sigmf-header-bytes.sh`).

Source: "Signal Metadata Format Specification" 1.2, github.com/sigmf/SigMF.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

OWN_DATATYPES = ("cf32_le", "ci16_le")
"""What is written."""
_KNOWN_EXTENSIONS = ("core", "semlink")
_LARGEST = (1 << 63) - 1


class Fields(NamedTuple):
    """Metadata of a recording, as far as they are understood.

    Attributes:
        own: the object `global`.
        capture: the first of `captures`; empty where there is none.
        annotations: by their first sample, which is counted from the first of the dataset.
        headers: samples before which bytes are skipped, counted likewise, and how many bytes.
        carrier_hz: None where it is not known.
    """

    own: dict[str, Any]
    capture: dict[str, Any]
    annotations: list[dict[str, Any]]
    headers: list[tuple[int, int]]
    carrier_hz: float | None

    @property
    def channels(self) -> int:
        """Samples for each instant."""
        return int(self.own.get("core:num_channels", 1))

    @property
    def trailing_bytes(self) -> int:
        """At the end of the dataset, that are no samples."""
        return int(self.own.get("core:trailing_bytes", 0))

    @property
    def dataset(self) -> str:
        """Name of the file with the samples; "" for that of the metadata."""
        return str(self.own.get("core:dataset", ""))


def parse(text: bytes) -> Fields:
    """Metadata of any program. What is out of order but clear is mended, with a warning.

    Raises:
        ValueError: no metadata of SigMF, or what they ask for is not understood; in one line.
    """
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from error
    if not isinstance(metadata, dict) or not isinstance(metadata.get("global"), dict):
        raise ValueError("metadata must be an object with an object `global`")
    own = metadata["global"]
    _check_global(own)
    offset = own.get("core:offset", 0)
    captures, annotations = (_ordered(metadata, name) for name in ("captures", "annotations"))
    headers = []
    for one in captures:
        skipped = _count(one.get("core:header_bytes", 0), "captures: core:header_bytes")
        if skipped and one["core:sample_start"] < offset:
            raise ValueError(f"capture at {one['core:sample_start']} lies before core:offset={offset}")
        headers += [(one["core:sample_start"] - offset, skipped)] if skipped else []
    for one in annotations:
        _count(one.get("core:sample_count", 0), "annotations: core:sample_count")
    moved = [{**one, "core:sample_start": one["core:sample_start"] - offset} for one in annotations]
    return Fields(own, captures[0] if captures else {}, moved, headers, _carrier(captures))


def within(annotations: Sequence[dict[str, Any]], samples: int) -> list[dict[str, Any]]:
    """Annotations as far as they lie within so many samples, each with its count; a warning tells of the others."""
    kept, wrong = [], 0
    for one in annotations:
        start = one["core:sample_start"]
        count = one.get("core:sample_count", max(samples - start, 0))  # to the end where it is not given
        inside = 0 <= start <= samples
        wrong += not inside or start + count > samples
        kept += [{**one, "core:sample_count": min(count, samples - start)}] if inside else []
    if wrong:
        warnings.warn(
            f"{wrong} annotations lie beyond the {samples} samples; they are cut off or left out", stacklevel=2
        )
    return kept


def check_metadata(metadata: Any, *, samples: int) -> None:  # noqa: ANN401 - of a recording to be written
    """Raise ValueError unless this is SigMF metadata as this module writes it, for so many samples."""
    if not isinstance(metadata, dict) or not isinstance(metadata.get("global"), dict):
        raise ValueError("metadata must be an object with an object `global`")
    _check_global(metadata["global"])
    if metadata["global"]["core:datatype"] not in OWN_DATATYPES:
        raise ValueError(
            f"core:datatype={metadata['global']['core:datatype']!r}: {', '.join(OWN_DATATYPES)} are written"
        )
    for name in ("captures", "annotations"):
        entries = _entries(metadata, name)
        starts = [one["core:sample_start"] for one in entries]
        if starts != sorted(starts):
            raise ValueError(f"{name} must be in the order of core:sample_start; it is {starts}")
    for one in metadata["annotations"]:
        count = _count(one.get("core:sample_count", 0), "annotations: core:sample_count")
        if one["core:sample_start"] + count > samples:
            raise ValueError(f"annotation at {one['core:sample_start']} of {count} is beyond the {samples} samples")


def _check_global(own: dict[str, Any]) -> None:
    for key in ("core:datatype", "core:version"):
        if not isinstance(own.get(key), str):
            raise ValueError(f"global must have a text {key}; it is {own.get(key)!r}")
    for key in ("core:dataset", "core:description", "core:sha512"):
        if not isinstance(own.get(key, ""), str):
            raise ValueError(f"{key}={own[key]!r} must be a text")
    name = own.get("core:dataset", "x")
    if not name.strip(".") or set(name) & set('/\\:*?"<>|\0\n'):
        raise ValueError(f"core:dataset={name!r} must be the name of a file beside the metadata")
    for key, least in (("core:num_channels", 1), ("core:trailing_bytes", 0), ("core:offset", 0)):
        _count(own.get(key, least), key, least)
    rate = own.get("core:sample_rate")
    if rate is not None and not (_is_number(rate) and 0 < rate <= 1e12):
        raise ValueError(f"core:sample_rate={rate!r} must be above 0 and up to 1e12 Hz")
    _check_extensions(own.get("core:extensions", []))


def _check_extensions(extensions: object) -> None:
    """What is not optional may change what the samples are."""
    if not isinstance(extensions, list) or not all(isinstance(one, dict) for one in extensions):
        raise ValueError("core:extensions must be a list of objects")
    wanted = [one.get("name") for one in extensions if one.get("optional") is not True]
    unknown = [repr(name) for name in wanted if name not in _KNOWN_EXTENSIONS]
    if unknown:
        raise ValueError(f"core:extensions asks for {', '.join(unknown)}, not optional and not known here")


def _entries(metadata: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = metadata.get(name)
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise ValueError(f"metadata must have a list of objects `{name}`")
    for one in entries:
        _count(one.get("core:sample_start"), f"{name}: core:sample_start")
        if not isinstance(one.get("core:label", ""), str):
            raise ValueError(f"{name}: core:label={one['core:label']!r} must be a text")
    return entries


def _ordered(metadata: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Entries by their first sample."""
    if name not in metadata:
        warnings.warn(f"metadata have no `{name}`, which SigMF asks for; they are taken for empty", stacklevel=3)
        return []
    entries = _entries(metadata, name)
    ordered = sorted(entries, key=lambda one: int(one["core:sample_start"]))
    if ordered != entries:
        warnings.warn(f"{name} are not in the order of core:sample_start; they are sorted", stacklevel=3)
    return ordered


def _carrier(captures: Sequence[dict[str, Any]]) -> float | None:
    told = [one["core:frequency"] for one in captures if one.get("core:frequency") is not None]
    for one in told:
        if not (_is_number(one) and abs(one) <= 1e15):
            raise ValueError(f"captures: core:frequency={one!r} must be a number of Hz")
    if len(set(told)) > 1:
        raise ValueError(
            f"captures are at {', '.join(f'{one:g}' for one in told[:4])} Hz: a recording has one frequency"
        )
    if captures and not isinstance(captures[0].get("core:datetime", ""), str):
        raise ValueError(f"captures: core:datetime={captures[0]['core:datetime']!r} must be a text")
    return told[0] if told else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _count(value: object, name: str, least: int = 0) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _LARGEST:
        raise ValueError(f"{name}={value!r} must be a whole number from {least}")
    return value
