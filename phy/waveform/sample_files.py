"""Samples in files, in whatever format, read piece by piece. NumPy alone.

Formats are those of SigMF ("Signal Metadata Format Specification" 1.2, clause "core:datatype"): c or r, then f32, f64,
i32, i16, u32, u16, i8 or u8, then _le or _be.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DATATYPES = "c or r, then f32, f64, i32, i16, u32, u16, i8 or u8, then _le or _be, such as ci16_le or cu8"
"""What `parse_datatype` takes, in words."""
MEMORY = 1 << 30
"""Bytes of samples that are read at once; a longer recording is taken in pieces."""
_DATATYPE = re.compile(r"([cr])([fiu])(8|16|32|64)(_le|_be)?")


class Format(NamedTuple):
    """How a real or imaginary part is stored: (value - zero) / scale."""

    name: str
    dtype: np.dtype[Any]
    axes: int
    zero: float
    scale: float

    @property
    def bytes(self) -> int:
        """Of a sample."""
        return self.axes * self.dtype.itemsize


class Stretch(NamedTuple):
    """Bytes of a file that follow one another: of a dataset, or of one in an archive."""

    path: Path
    start: int
    size: int

    @classmethod
    def of(cls, path: Path) -> Stretch:
        """A whole file."""
        return cls(path, 0, path.stat().st_size)

    def blocks(self, size: int = 1 << 20) -> Iterator[bytes]:
        """Its bytes, in order."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            for done in range(0, self.size, size):
                yield file.read(min(size, self.size - done))


def parse_datatype(name: object) -> Format:
    """What SigMF's core:datatype says; of several bytes without an order, little-endian.

    Full scale is ±1: of signed integers ±(2^(n-1) - 1), of unsigned ones 0 and 2^n - 1.

    Raises:
        ValueError: something else.
    """
    match = _DATATYPE.fullmatch(name) if isinstance(name, str) else None
    kind, bits = (match[2], int(match[3])) if match else ("", 0)
    if not match or bits not in {"f": (32, 64), "i": (8, 16, 32), "u": (8, 16, 32)}[kind]:
        raise ValueError(f"core:datatype={name!r} must be {DATATYPES}")
    dtype = np.dtype(f"{'>' if match[4] == '_be' else '<'}{kind}{bits // 8}")
    zero = (2**bits - 1) / 2 if kind == "u" else 0.0
    scale = {"f": 1.0, "i": 2.0 ** (bits - 1) - 1, "u": (2**bits - 1) / 2}[kind]
    return Format(str(name), dtype, 2 if match[1] == "c" else 1, zero, scale)


class SampleFile:
    """One channel's samples in a file, which is read as far as is asked for.

    A warning tells of a last sample that is cut off, of channels that are not taken, of real samples, which are taken
    for the real parts of complex ones, and of samples that are not finite, which are taken for 0.

    Args:
        data: where the bytes lie.
        datatype: as SigMF has it.
        headers: samples before which bytes are to be skipped, ascending, and how many bytes: pairs.
        trailing: bytes at the end that are no samples.
        channels: samples that lie side by side for each instant.
        channel: which of them is wanted; None for the first.
        rate_hz: samples per second; None where that is not known.

    Raises:
        ValueError: an unknown datatype, a channel that is not there, or bytes to skip that are not there.
    """

    def __init__(
        self,
        data: Stretch,
        datatype: object,
        *,
        headers: Sequence[tuple[int, int]] = (),
        trailing: int = 0,
        channels: int = 1,
        channel: int | None = None,
        rate_hz: float | None = None,
    ) -> None:
        self.rate_hz = rate_hz
        self.data, self.format = data, parse_datatype(datatype)
        self.channels, self.channel = channels, channel or 0
        if not 0 <= self.channel < channels:
            raise ValueError(f"channel={channel} must be below the {channels} of {data.path}")
        self._warned = False
        if trailing > data.size:
            raise ValueError(
                f"{data.path} has {data.size} bytes, fewer than the {trailing} at its end that are to be left out"
            )
        self._runs = self._lay_out(headers, data.size - trailing)
        if self.format.dtype.itemsize > 1 and not self.format.name.endswith(("_le", "_be")):
            self._warn(f"is {self.format.name}, which does not tell the order of bytes; little-endian is taken")
        if channel is None and channels > 1:
            self._warn(f"has {channels} channels; the first one, 0, is taken")
        if self.format.axes == 1:
            self._warn("has real samples; they are taken for the real parts of complex ones")

    def __len__(self) -> int:
        """Samples of the channel."""
        return sum(count for _, count in self._runs)

    @property
    def integers(self) -> bool:
        """Whether samples are stored as integers, whose full scale is known."""
        return self.format.dtype.kind in "iu"

    def read(self, start: int = 0, count: int | None = None) -> NDArray[np.complex64]:
        """So many samples from `start` on, as far as there are; all by default.

        Raises:
            ValueError: more than `MEMORY`, or all of a recording that holds no sample that is finite.
        """
        whole, count = count is None, len(self) - start if count is None else count
        needed = max(8, self._frame) * min(count, len(self))
        if needed > MEMORY:
            raise ValueError(
                f"{self.data.path} is too large to be read at once: {len(self)} samples would take "
                f"{needed / 1e9:.1f} GB, at most {MEMORY / 1e9:.1f} are allowed; take its `pieces`"
            )
        parts = []
        for byte, length in self._runs:
            first, last = max(start, 0), min(start + count, length)
            if first < last:
                parts.append(self._fetch(byte + first * self._frame, last - first))
            start -= length
        joined: NDArray[np.complex64] = np.concatenate([np.zeros(0, dtype=np.complex64), *parts])
        return self._finite(joined, whole=whole)

    def pieces(self, count: int = 1 << 15) -> Iterator[NDArray[np.complex64]]:
        """All samples, so many at a time."""
        for start in range(0, len(self), count):
            yield self.read(start, count)

    @property
    def _frame(self) -> int:
        """Bytes of an instant."""
        return self.format.bytes * self.channels

    def _lay_out(self, headers: Sequence[tuple[int, int]], end: int) -> list[tuple[int, int]]:
        """Runs of samples between what is skipped: their first byte, and how many they are."""
        runs, byte, done = [], 0, 0
        for sample, skipped in headers:
            runs.append((byte, sample - done))
            byte, done = byte + (sample - done) * self._frame + skipped, sample
        if byte > end:
            raise ValueError(f"{self.data.path} has {end} bytes of samples; headers are told of up to byte {byte}")
        count, left = divmod(end - byte, self._frame)
        if left:
            self._warn(f"ends within a sample of {self.format.name}: its last {left} bytes are left out")
        return [*runs, (byte, count)]

    def _fetch(self, byte: int, count: int) -> NDArray[np.complex64]:
        kind, parts = self.format, self.channels * self.format.axes
        start = self.data.start + byte
        stored = np.fromfile(self.data.path, dtype=kind.dtype, count=count * parts, offset=start)
        stored = stored[: len(stored) // parts * parts].reshape(-1, self.channels, kind.axes)[:, self.channel]
        axes = np.zeros((len(stored), 2), dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # of 64 bits; what comes out is looked at
            axes[:, : kind.axes] = stored
        if kind.zero:
            axes[:, : kind.axes] -= np.float32(kind.zero)
        if kind.scale != 1:
            axes[:, : kind.axes] /= np.float32(kind.scale)
        samples: NDArray[np.complex64] = axes.view(np.complex64)[:, 0]
        return samples

    def _finite(self, samples: NDArray[np.complex64], *, whole: bool) -> NDArray[np.complex64]:
        wrong = ~np.isfinite(samples)
        if not wrong.any():
            return samples
        if whole and wrong.all():
            raise ValueError(f"{self.data.path} holds no sample that is finite; is it {self.format.name}?")
        if not self._warned:
            self._warn("holds samples that are not finite; they are taken for 0")
        self._warned = True
        samples[wrong] = 0
        return samples

    def _warn(self, said: str) -> None:
        warnings.warn(f"{self.data.path} {said}", stacklevel=4)


def encode_samples(samples: NDArray[Any], datatype: str) -> NDArray[Any]:
    """Samples (n,) as pairs of parts (2n,) of "cf32_le", or of "ci16_le", scaled so that the largest fills the range.

    Raises:
        ValueError: another shape, or samples that are not finite.
    """
    samples, kind = np.asarray(samples), parse_datatype(datatype)
    if samples.ndim != 1:
        raise ValueError(f"samples have shape {samples.shape}; they must be (n,)")
    axes = np.ascontiguousarray(samples, dtype=np.complex64).view(np.float32)
    if not np.isfinite(axes).all():
        raise ValueError("samples must be finite")
    if kind.dtype.kind == "i":
        axes = np.rint(axes * (kind.scale / max(float(np.max(np.abs(axes), initial=0.0)), 1e-30)))
    encoded: NDArray[Any] = axes.astype(kind.dtype)
    return encoded
