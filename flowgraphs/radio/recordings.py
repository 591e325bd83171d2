"""Recordings by the ending of their name: SigMF or raw floats. NumPy alone."""

from __future__ import annotations

from pathlib import Path

from semlink.phy.waveform import Recording, Samples, read_cf32, read_sigmf, write_cf32, write_sigmf

RAW = (".cf32", ".cfile", ".fc32", ".iq", ".raw")
SIGMF = (".sigmf", ".sigmf-data", ".sigmf-meta")


def check_path(path: Path | str) -> Path:
    """The path.

    Raises:
        ValueError: an ending that is not of a recording.
    """
    if Path(path).suffix not in RAW + SIGMF:
        raise ValueError(f"recording {str(path)!r} must end in one of: {', '.join(RAW + SIGMF)}")
    return Path(path)


def read_recording(path: Path | str) -> Recording:
    """A recording; a raw one has samples alone.

    Raises:
        ValueError: an ending that is not of a recording, or a file that is not what it says.
        OSError: no such file.
    """
    where = check_path(path)
    return read_sigmf(where) if where.suffix in SIGMF else Recording(read_cf32(where))


def write_recording(path: Path | str, recording: Recording) -> None:
    """Write a recording; raw, the samples alone.

    Raises:
        ValueError: an ending that is not of a recording, or samples that are not finite.
    """
    where = check_path(path)
    where.parent.mkdir(parents=True, exist_ok=True)
    if where.suffix in SIGMF:
        write_sigmf(where, recording)
    else:
        write_cf32(where, recording.samples)


def recording_of(samples: Samples, *, rate_hz: float, carrier_hz: float, waveform: str = "") -> Recording:
    """A recording of samples (n,); a rate or carrier of 0 is not known."""
    info = {"semlink:waveform": waveform} if waveform else {}
    return Recording(samples, rate_hz=rate_hz or None, carrier_hz=carrier_hz or None, info=info)
