"""Recordings of samples: raw `.cf32` files, and SigMF with the bursts annotated. NumPy alone.

Source of SigMF: "Signal Metadata Format Specification" 1.2, github.com/sigmf/SigMF.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.burst import ReceivedBurst, Samples
from semlink.phy.waveform.header import BurstHeader

Datatype = Literal["cf32_le", "ci16_le"]

VERSION = "1.2.0"
NAMESPACE_VERSION = "0.1.0"
_FULL_SCALE = 32767
_DTYPES: dict[str, np.dtype[Any]] = {"cf32_le": np.dtype("<f4"), "ci16_le": np.dtype("<i2")}


@dataclass(frozen=True)
class Annotation:
    """A stretch of samples and what is in it.

    Attributes:
        start: first sample.
        count: samples.
        label: a few words.
        extra: of namespace "semlink", such as a burst's header.
    """

    start: int
    count: int
    label: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, header: BurstHeader, start: int, count: int) -> Annotation:
        """Of a burst."""
        fields = {
            key: value.item() if isinstance(value, np.generic) else value for key, value in asdict(header).items()
        }
        label = f"frame {header.sequence} segment {header.segment + 1}/{header.segments}"
        return cls(start, count, label, {"semlink:header": fields})

    @classmethod
    def received(cls, burst: ReceivedBurst) -> Annotation:
        """Of a burst as a receiver found it."""
        return cls.of(burst.header, max(round(burst.start), 0), burst.samples)

    @property
    def header(self) -> BurstHeader | None:
        """Of the burst; None where it is none.

        Raises:
            ValueError: a field out of range.
        """
        fields = self.extra.get("semlink:header")
        return None if fields is None else BurstHeader(**fields)


@dataclass(frozen=True)
class Recording:
    """Samples and what is said of them.

    Attributes:
        samples: (n,), complex.
        rate_hz: samples per second; None where it is not known.
        carrier_hz: carrier frequency; None where it is not known.
        annotations: in order of their first sample.
        info: further fields of namespace "semlink", such as the waveform.
        description: in words.
        captured: when, as ISO 8601; "" where that is not known.
    """

    samples: NDArray[np.complex64]
    rate_hz: float | None = None
    carrier_hz: float | None = None
    annotations: Sequence[Annotation] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    captured: str = ""


def write_cf32(path: Path | str, samples: Samples) -> None:
    """Write samples (n,) as pairs of 32-bit floats, least significant byte first: GNU Radio's file sink."""
    _encode(samples, "cf32_le").tofile(Path(path))


def read_cf32(path: Path | str) -> NDArray[np.complex64]:
    """Samples (n,) of a raw file.

    Raises:
        ValueError: the file ends within a sample, or holds something that is not finite.
    """
    return _decode(Path(path), "cf32_le")


def write_sigmf(path: Path | str, recording: Recording, *, datatype: Datatype = "cf32_le") -> Path:
    """Write `NAME.sigmf-data` and `NAME.sigmf-meta`.

    Args:
        path: `NAME`, with either ending or none.
        recording: what to write; for "ci16_le", samples are scaled so that the largest real axis fills the range.
        datatype: of the samples.

    Returns:
        The path of the metadata.

    Raises:
        ValueError: another datatype, an annotation outside of the recording or without order, or a key of another
            namespace than "semlink".
    """
    if datatype not in get_args(Datatype):
        raise ValueError(f"datatype={datatype!r} must be one of: {', '.join(get_args(Datatype))}")
    data, meta = _pair(path)
    encoded = _encode(recording.samples, datatype)
    metadata = _metadata(recording, datatype, hashlib.sha512(encoded.tobytes()).hexdigest())
    check_metadata(metadata, samples=len(recording.samples))
    encoded.tofile(data)
    meta.write_text(json.dumps(metadata, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return meta


def read_sigmf(path: Path | str) -> Recording:
    """Read a recording of one channel.

    Raises:
        ValueError: metadata that lacks what it must have, an unknown datatype, or data that differ from their hash.
    """
    data, meta = _pair(path)
    try:
        metadata = json.loads(meta.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{meta} is no JSON: {error}") from error
    check_metadata(metadata)
    own = metadata["global"]
    told = own.get("core:sha512")
    if told is not None and hashlib.sha512(data.read_bytes()).hexdigest() != told:
        raise ValueError(f"{data} differs from the core:sha512 of its metadata")
    samples = _decode(data, own["core:datatype"])
    check_metadata(metadata, samples=len(samples))
    capture = metadata["captures"][0] if metadata["captures"] else {}
    return Recording(
        samples=samples,
        rate_hz=own.get("core:sample_rate"),
        carrier_hz=capture.get("core:frequency"),
        annotations=tuple(_annotation(one, len(samples)) for one in metadata["annotations"]),
        info={key: value for key, value in own.items() if key.startswith("semlink:")},
        description=own.get("core:description", ""),
        captured=capture.get("core:datetime", ""),
    )


def check_metadata(metadata: Any, *, samples: int | None = None) -> None:  # noqa: ANN401 - whatever a file holds
    """Raise ValueError unless this is SigMF metadata as far as this module writes it.

    Args:
        metadata: what was read from JSON.
        samples: how many there are, if that is to be checked.
    """
    if not isinstance(metadata, dict) or not isinstance(metadata.get("global"), dict):
        raise ValueError("metadata must be an object with an object `global`")
    for name in ("captures", "annotations"):
        entries = metadata.get(name)
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise ValueError(f"metadata must have a list of objects `{name}`")
        starts = [_count(one.get("core:sample_start"), f"{name}: core:sample_start") for one in entries]
        if starts != sorted(starts):
            raise ValueError(f"{name} must be in the order of core:sample_start; it is {starts}")
    own = metadata["global"]
    for key in ("core:datatype", "core:version"):
        if not isinstance(own.get(key), str):
            raise ValueError(f"global must have a text {key}; it is {own.get(key)!r}")
    if own["core:datatype"] not in _DTYPES:
        raise ValueError(f"core:datatype={own['core:datatype']!r} must be one of: {', '.join(_DTYPES)}")
    if own.get("core:num_channels", 1) != 1:
        raise ValueError(f"core:num_channels={own['core:num_channels']!r} must be 1")
    rate = own.get("core:sample_rate")
    if rate is not None and not (_is_number(rate) and 0 < rate <= 1e12):
        raise ValueError(f"core:sample_rate={rate!r} must be above 0 and up to 1e12 Hz")
    for one in metadata["annotations"]:
        count = _count(one.get("core:sample_count", 0), "annotations: core:sample_count")
        if samples is not None and one["core:sample_start"] + count > samples:
            raise ValueError(f"annotation at {one['core:sample_start']} of {count} is beyond the {samples} samples")


def _metadata(recording: Recording, datatype: str, sha512: str) -> dict[str, Any]:
    strange = [
        key
        for entry in (recording.info, *(one.extra for one in recording.annotations))
        for key in entry
        if not key.startswith("semlink:")
    ]
    if strange:
        raise ValueError(f"keys {', '.join(strange)} must be of namespace semlink, such as semlink:{strange[0]}")
    own: dict[str, Any] = {
        "core:datatype": datatype,
        "core:version": VERSION,
        "core:num_channels": 1,
        "core:sha512": sha512,
        "core:recorder": "semlink",
        "core:description": recording.description,
        "core:extensions": [{"name": "semlink", "version": NAMESPACE_VERSION, "optional": True}],
    }
    if recording.rate_hz is not None:
        own["core:sample_rate"] = recording.rate_hz
    capture: dict[str, Any] = {"core:sample_start": 0}
    if recording.carrier_hz is not None:
        capture["core:frequency"] = recording.carrier_hz
    if recording.captured:
        capture["core:datetime"] = recording.captured
    annotations = [
        {"core:sample_start": one.start, "core:sample_count": one.count, "core:label": one.label, **one.extra}
        for one in recording.annotations
    ]
    return {"global": {**own, **recording.info}, "captures": [capture], "annotations": annotations}


def _annotation(entry: Mapping[str, Any], samples: int) -> Annotation:
    extra = {key: value for key, value in entry.items() if key.startswith("semlink:")}
    count = entry.get("core:sample_count", samples - entry["core:sample_start"])  # to the end where it is not given
    return Annotation(entry["core:sample_start"], count, entry.get("core:label", ""), extra)


def _encode(samples: Samples, datatype: str) -> NDArray[Any]:
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {samples.shape}; they must be (n,)")
    axes = np.ascontiguousarray(samples, dtype=np.complex64).view(np.float32)
    if not np.isfinite(axes).all():
        raise ValueError("samples must be finite")
    if datatype == "ci16_le":
        axes = np.rint(axes * (_FULL_SCALE / max(float(np.max(np.abs(axes), initial=0.0)), 1e-30)))
    encoded: NDArray[Any] = axes.astype(_DTYPES[datatype])
    return encoded


def _decode(path: Path, datatype: str) -> NDArray[np.complex64]:
    dtype, size = _DTYPES[datatype], path.stat().st_size
    if size % (2 * dtype.itemsize):
        raise ValueError(f"{path} has {size} bytes; a sample of {datatype} has {2 * dtype.itemsize}")
    axes = np.fromfile(path, dtype=dtype).astype(np.float32)
    if datatype == "ci16_le":
        axes /= _FULL_SCALE
    if not np.isfinite(axes).all():
        raise ValueError(f"{path} holds samples that are not finite; is it {datatype}?")
    samples: NDArray[np.complex64] = axes.view(np.complex64)
    return samples


def _pair(path: Path | str) -> tuple[Path, Path]:
    name = str(path)
    for ending in (".sigmf-data", ".sigmf-meta", ".sigmf"):
        name = name.removesuffix(ending)
    return Path(name + ".sigmf-data"), Path(name + ".sigmf-meta")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _count(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name}={value!r} must be a whole number from 0")
    return value
