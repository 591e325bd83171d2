"""Recordings by the ending of their name: SigMF or raw floats. NumPy alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from semlink.phy.waveform import (
    Recording,
    SampleFile,
    Samples,
    open_raw,
    open_sigmf,
    read_sigmf,
    write_cf32,
    write_sigmf,
)

RAW = {
    **dict.fromkeys((".cf32", ".cfile", ".fc32", ".iq", ".raw"), "cf32_le"),
    **dict.fromkeys((".cf64", ".fc64"), "cf64_le"),
    **dict.fromkeys((".cs16", ".ci16", ".sc16"), "ci16_le"),
    **dict.fromkeys((".cs8", ".ci8", ".sc8"), "ci8"),
    ".cu8": "cu8",
}
"""Endings of files of nothing but samples, and their datatypes; those of 32-bit floats are written as well as read."""
SIGMF = (".sigmf", ".sigmf-data", ".sigmf-meta")


def check_path(path: Path | str, *, writing: bool = False) -> Path:
    """The path.

    Raises:
        ValueError: an ending that is not of a recording, or of one that is read but not written.
    """
    endings = [ending for ending, datatype in RAW.items() if datatype == "cf32_le" or not writing]
    if Path(path).suffix not in (*endings, *SIGMF):
        raise ValueError(f"recording {str(path)!r} must end in one of: {', '.join([*endings, *SIGMF])}")
    return Path(path)


def open_recording(path: Path | str) -> SampleFile:
    """The samples of a recording, which are read as far as they are asked for.

    Raises:
        ValueError: an ending that is not of a recording, or a file that is not what it says.
        OSError: no such file.
    """
    where = check_path(path)
    return open_sigmf(where) if where.suffix in SIGMF else open_raw(where, RAW[where.suffix])


def read_recording(path: Path | str) -> Recording:
    """A recording; a raw one has samples alone.

    Raises:
        ValueError: as `open_recording`, or one of more than 1 GiB.
        OSError: no such file.
    """
    where = check_path(path)
    return read_sigmf(where) if where.suffix in SIGMF else Recording(open_recording(where).read())


def write_recording(path: Path | str, recording: Recording) -> None:
    """Write a recording; raw, the samples alone.

    Raises:
        ValueError: an ending that is not of a recording as it is written, or samples that are not finite.
    """
    where = check_path(path, writing=True)
    where.parent.mkdir(parents=True, exist_ok=True)
    if where.suffix in SIGMF:
        write_sigmf(where, recording)
    else:
        write_cf32(where, recording.samples)


def recording_of(
    samples: Samples,
    *,
    rate_hz: float,
    carrier_hz: float,
    waveform: str = "",
    captured: str = "",
    hardware: str = "",
) -> Recording:
    """A recording of samples (n,); a rate or carrier of 0 is not known."""
    info = {"semlink:waveform": waveform} if waveform else {}
    return Recording(
        samples,
        rate_hz=rate_hz or None,
        carrier_hz=carrier_hz or None,
        info=info,
        captured=captured,
        hardware=hardware,
    )


def now() -> str:
    """The time of day as SigMF has it: ISO 8601 in UTC, of microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
