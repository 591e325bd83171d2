"""What a receiver has seen of a stream: levels, bursts, headers that failed, offsets, segments. NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from semlink.phy.documents import for_json


class Spread(NamedTuple):
    """Of a quantity over bursts: the lowest, the mean and the highest."""

    lowest: float
    mean: float
    highest: float

    def times(self, factor: float) -> Spread:
        """In another unit."""
        return Spread(*(factor * one for one in self))


class Running:
    """A `Spread` in the making."""

    def __init__(self) -> None:
        self.count = 0
        self._lowest = self._highest = self._sum = 0.0

    def take(self, value: float) -> None:
        """One more."""
        self._lowest = min(self._lowest, value) if self.count else value
        self._highest = max(self._highest, value) if self.count else value
        self._sum += value
        self.count += 1

    @property
    def spread(self) -> Spread | None:
        """Of all there were; None of none."""
        return Spread(self._lowest, self._sum / self.count, self._highest) if self.count else None


class SeenFrame(NamedTuple):
    """A frame, as far as it arrived.

    Attributes:
        transmission: number of the transmission that it belongs to.
        sender: of its header.
        sequence: its number in the transmission.
        codec: number of the codec that it is of.
        segments: into how many it was split.
        missing: how many of them did not arrive.
    """

    transmission: int
    sender: int
    sequence: int
    codec: int
    segments: int
    missing: int


@dataclass(frozen=True)
class Seen:
    """What a receiver has seen until now.

    Attributes:
        samples: of the stream.
        spoilt: of them, taken for 0: not finite, or far too large.
        rate_hz: samples per second; None where that is not known.
        level_db: mean energy of a sample in dB, 0 where its magnitude is 1; NaN without samples, -inf for zeros alone.
        peak_db: the largest real or imaginary part in dB, 0 where it is 1.
        clipped: share of samples at the converter's full scale; None where that cannot be told.
        received: bursts whose payload was read.
        headers_failed: bursts whose header was not believed, by reason: "checksum", "version 1", "impossible field".
            In an hour of noise a single carrier's receiver may take some dozens of places for such.
        cut: bursts whose end was not in the stream.
        too_long: bursts longer than the receiver takes.
        cfo: carrier frequency offset of the bursts received, in cycles per sample; None without any.
        clock_ppm: by how much the receiver's sampling period is too long, in parts per million; likewise.
        esno_db: Es/N0 in dB; likewise.
        frames: that were handed out, whole or not.
        segments: of these frames, that arrived.
        missing: of these frames, that did not.
        repeated: bursts of frames that had been handed out already.
        latest: the latest of the frames.
        hints: what may be wrong, in words, where nothing was received.
        images: that were decoded; None where nobody has tried.
        undecoded: frames that could not be decoded, by reason.
    """

    samples: int = 0
    spoilt: int = 0
    rate_hz: float | None = None
    level_db: float = float("nan")
    peak_db: float = float("nan")
    clipped: float | None = None
    received: int = 0
    headers_failed: Mapping[str, int] = field(default_factory=dict)
    cut: int = 0
    too_long: int = 0
    cfo: Spread | None = None
    clock_ppm: Spread | None = None
    esno_db: Spread | None = None
    frames: int = 0
    segments: int = 0
    missing: int = 0
    repeated: int = 0
    latest: tuple[SeenFrame, ...] = ()
    hints: tuple[str, ...] = ()
    images: int | None = None
    undecoded: Mapping[str, int] = field(default_factory=dict)

    @property
    def bursts(self) -> int:
        """Places where a burst was found, whatever became of it."""
        return self.received + sum(self.headers_failed.values()) + self.cut + self.too_long

    @property
    def cfo_hz(self) -> Spread | None:
        """Carrier frequency offset in Hz; None without bursts or rate."""
        return self.cfo.times(self.rate_hz) if self.cfo and self.rate_hz else None

    def as_data(self) -> dict[str, Any]:
        """All of it for JSON: NaN is null, infinity "Infinity"."""
        spreads = {"cfo": self.cfo, "cfo_hz": self.cfo_hz, "clock_ppm": self.clock_ppm, "esno_db": self.esno_db}
        told = {
            "samples": self.samples,
            "spoilt": self.spoilt,
            "rate_hz": self.rate_hz,
            "level_db": self.level_db,
            "peak_db": self.peak_db,
            "clipped": self.clipped,
            "bursts": self.bursts,
            "received": self.received,
            "headers_failed": dict(self.headers_failed),
            "cut": self.cut,
            "too_long": self.too_long,
            **{name: one and one._asdict() for name, one in spreads.items()},
            "frames": self.frames,
            "segments": self.segments,
            "missing": self.missing,
            "repeated": self.repeated,
            "latest": [one._asdict() for one in self.latest],
            "hints": list(self.hints),
            "images": self.images,
            "undecoded": dict(self.undecoded),
        }
        return {name: for_json(one) for name, one in told.items()}

    def line(self) -> str:
        """All of it in one line of words, but for what is 0."""
        if not self.samples:
            return "no samples"
        words = [_count(self.samples, "sample") + self._level(), *self._bursts(), *self._offsets()]
        whole = self.segments + self.missing
        words += [f"{self.missing} of {_count(whole, 'segment')} missing"] if self.missing else []
        words += [f"{_count(self.repeated, 'burst')} of frames that were there already"] if self.repeated else []
        words += [f"{_count(many, 'frame')} not decoded ({why})" for why, many in self.undecoded.items()]
        return ", ".join([*words, *self.hints])

    def _level(self) -> str:
        if self.level_db == -float("inf"):
            return " that are all 0"
        known = self.clipped is not None
        clipping = f"{100 * (self.clipped or 0):.2g} % clipped" if known else "clipping unknown"
        spoilt = f", {self.spoilt} taken for 0" if self.spoilt else ""
        return f" at {self.level_db:.1f} dB, peak {self.peak_db:.1f} dB of full scale, {clipping}{spoilt}"

    def _bursts(self) -> list[str]:
        failed = ", ".join(f"{why}: {many}" for why, many in self.headers_failed.items())
        failed = next(iter(self.headers_failed)) if len(self.headers_failed) == 1 else failed
        total = sum(self.headers_failed.values())
        return [
            f"{_count(self.bursts, 'burst')} found",
            *([f"{_count(total, 'header')} failed ({failed})"] if total else []),
            *([f"{self.cut} without their end"] if self.cut else []),
            *([f"{self.too_long} too long"] if self.too_long else []),
        ]

    def _offsets(self) -> list[str]:
        if not (self.cfo and self.clock_ppm and self.esno_db):
            return []
        hertz = self.cfo_hz
        carrier = f"{hertz.mean:+.0f} Hz" if hertz else f"{self.cfo.mean:+.3g} cycles per sample"
        esno = f"{self.esno_db.lowest:.1f} to {self.esno_db.highest:.1f}"
        return [f"carrier off by {carrier}", f"clock by {self.clock_ppm.mean:+.1f} ppm", f"Es/N0 {esno} dB"]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
