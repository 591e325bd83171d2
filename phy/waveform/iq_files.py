"""Recordings of samples: raw files, and SigMF with the bursts annotated. NumPy alone.

Source of SigMF: "Signal Metadata Format Specification" 1.2, github.com/sigmf/SigMF.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.phy.documents import write_whole, written_whole
from semlink.phy.waveform.burst import ReceivedBurst, Samples
from semlink.phy.waveform.header import BurstHeader
from semlink.phy.waveform.sample_files import SampleFile, Stretch, encode_samples
from semlink.phy.waveform.sigmf_fields import OWN_DATATYPES, Fields, check_metadata, parse, within

Datatype = Literal["cf32_le", "ci16_le"]

VERSION = "1.2.0"
NAMESPACE_VERSION = "0.1.0"
_LONGEST_META = 1 << 26


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
        of = f" of transmission {header.transmission:06x}" if header.transmission else ""
        label = f"frame {header.sequence}{of} segment {header.segment + 1}/{header.segments}"
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
        try:
            return None if fields is None else BurstHeader(**fields)
        except TypeError as error:  # fields that are none, or of another kind
            raise ValueError(f"semlink:header={fields!r}: {error}") from error


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
        captured: when its first sample was, as ISO 8601; "" where that is not known.
        hardware: that took it, in words; "" where that is not known.
    """

    samples: NDArray[np.complex64]
    rate_hz: float | None = None
    carrier_hz: float | None = None
    annotations: Sequence[Annotation] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    captured: str = ""
    hardware: str = ""


def write_cf32(path: Path | str, samples: Samples) -> None:
    """Write samples (n,) as pairs of 32-bit floats, least significant byte first: GNU Radio's file sink."""
    encode_samples(samples, "cf32_le").tofile(Path(path))


def read_cf32(path: Path | str) -> NDArray[np.complex64]:
    """Samples (n,) of a raw file of pairs of 32-bit floats; a warning tells of what was mended, as of `SampleFile`.

    Raises:
        ValueError: more than 1 GiB, which `open_raw` reads in pieces, or a file without any sample that is finite.
    """
    return open_raw(path, "cf32_le").read()


def open_raw(path: Path | str, datatype: str) -> SampleFile:
    """A file of nothing but samples, to be read in pieces.

    Args:
        path: of the file.
        datatype: as SigMF names them, such as "ci16_le" or "cu8".

    Raises:
        ValueError: an unknown datatype.
    """
    return SampleFile(Stretch.of(Path(path)), datatype)


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
    if datatype not in OWN_DATATYPES:
        raise ValueError(f"datatype={datatype!r} must be one of: {', '.join(OWN_DATATYPES)}")
    data, meta = _pair(path)
    encoded = encode_samples(recording.samples, datatype)
    metadata = _metadata(recording, datatype, hashlib.sha512(encoded.tobytes()).hexdigest())
    check_metadata(metadata, samples=len(recording.samples))
    with written_whole(data) as partial:
        encoded.tofile(partial)
    write_whole(meta, json.dumps(metadata, indent=2, allow_nan=False) + "\n")
    return meta


def read_sigmf(path: Path | str, *, channel: int | None = None) -> Recording:
    """Read a recording of any program: `NAME.sigmf-meta` with its data, or the first of an archive `NAME.sigmf`.

    What is out of order but clear is mended, and a warning tells of it: a last sample that is cut off, samples that are
    not finite, annotations unsorted, beyond the end or missing.

    Args:
        path: with any of the three endings, or none.
        channel: of a recording of several; None for the first, with a warning.

    Raises:
        ValueError: metadata that lack what they must have or ask for what is not known, data that differ from their
            hash, or more than 1 GiB, which `open_sigmf` reads in pieces.
    """
    found = _find(path)
    file = _open(found, channel)
    with _told_of(found.meta):
        entries = within(found.fields.annotations, len(file))
    own = found.fields.own
    return Recording(
        samples=file.read(),
        rate_hz=own.get("core:sample_rate"),
        carrier_hz=found.fields.carrier_hz,
        annotations=tuple(_annotation(one) for one in entries),
        info={key: value for key, value in own.items() if key.startswith("semlink:")},
        description=own.get("core:description", ""),
        captured=found.fields.capture.get("core:datetime", ""),
        hardware=own.get("core:hw", ""),
    )


def open_sigmf(path: Path | str, *, channel: int | None = None) -> SampleFile:
    """The samples of a recording, to be read in pieces; the rest as `read_sigmf`."""
    return _open(_find(path), channel)


class _Found(NamedTuple):
    """A recording's metadata, where they were read, and where its samples lie."""

    meta: Path
    fields: Fields
    data: Stretch


def _find(path: Path | str) -> _Found:
    if Path(path).suffix == ".sigmf" and Path(path).is_file():
        return _find_in_archive(Path(path))
    data, meta = _pair(path)
    with _told_of(meta):
        fields = parse(_text(Stretch.of(meta)))
    data = meta.with_name(fields.dataset) if fields.dataset else data
    if fields.own.get("core:metadata_only") and not data.is_file():
        raise ValueError(f"{meta} says core:metadata_only: there are no samples")
    return _Found(meta, fields, Stretch.of(data))


def _find_in_archive(path: Path) -> _Found:
    """The first recording by name: its samples are read where they lie, without unpacking."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = {one.name: Stretch(path, one.offset_data, one.size) for one in archive if one.isreg()}
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is no archive of SigMF: {' '.join(str(error).split())}") from error
    names = sorted(name for name in members if name.endswith(".sigmf-meta"))
    if not names:
        raise ValueError(f"{path} is no archive of SigMF: it holds no .sigmf-meta")
    with _told_of(path):
        if len(names) > 1:
            warnings.warn(f"has {len(names)} recordings; the first one, {names[0]}, is taken", stacklevel=2)
        fields = parse(_text(members[names[0]]))
    stem = names[0].removesuffix(".sigmf-meta")
    name = f"{stem.rpartition('/')[0]}/{fields.dataset}".lstrip("/") if fields.dataset else f"{stem}.sigmf-data"
    data = members.get(name)
    if data is None or data.start + data.size > path.stat().st_size:
        raise ValueError(f"{path} does not hold {name!r}, or not all of it")
    return _Found(path, fields, data)


def _open(found: _Found, channel: int | None) -> SampleFile:
    fields, told = found.fields, found.fields.own.get("core:sha512")
    if told is not None and _hash(found.data) != told.lower():
        raise ValueError(f"{found.data.path} differs from the core:sha512 of its metadata")
    try:
        return SampleFile(
            found.data,
            fields.own["core:datatype"],
            headers=fields.headers,
            trailing=fields.trailing_bytes,
            channels=fields.channels,
            channel=channel,
            rate_hz=fields.own.get("core:sample_rate"),
        )
    except ValueError as error:
        raise ValueError(f"{found.meta}: {error}") from error


def _text(meta: Stretch) -> bytes:
    if meta.size > _LONGEST_META:
        raise ValueError(f"metadata of {meta.size} bytes; at most {_LONGEST_META} are allowed")
    return b"".join(meta.blocks())


def _hash(data: Stretch) -> str:
    digest = hashlib.sha512()
    for block in data.blocks():
        digest.update(block)
    return digest.hexdigest()


_COLLECTING = threading.RLock()  # warnings are collected for a whole process, not for a thread


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """What is refused or warned of names the file."""
    try:
        with _COLLECTING, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield
    except ValueError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from error
    for one in said:
        warnings.warn(f"{path}: {one.message}", stacklevel=5)


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
    if recording.hardware:
        own["core:hw"] = recording.hardware
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


def _annotation(entry: Mapping[str, Any]) -> Annotation:
    extra = {key: value for key, value in entry.items() if key.startswith("semlink:")}
    return Annotation(entry["core:sample_start"], entry["core:sample_count"], entry.get("core:label", ""), extra)


def _pair(path: Path | str) -> tuple[Path, Path]:
    name = str(path)
    for ending in (".sigmf-data", ".sigmf-meta", ".sigmf"):
        name = name.removesuffix(ending)
    return Path(name + ".sigmf-data"), Path(name + ".sigmf-meta")
