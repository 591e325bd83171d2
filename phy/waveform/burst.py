"""Bursts on a stream of samples, whatever waveform they are in. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform.header import BurstHeader, Refused

Samples = NDArray[Any]
"""Complex, of any precision."""
Reals = NDArray[Any]
"""Real, of any precision."""

ERASED = 1e9
"""The noise variance of a symbol of which nothing arrived; the same as `semlink.phy.link.ERASED`."""


@dataclass(frozen=True)
class ReceivedBurst:
    """A burst as the receiver leaves it: `symbols = sent + CN(0, n0)`, with sent symbols of unit mean energy.

    Attributes:
        header: what the burst says of itself; its CRC held.
        symbols: of the payload, (n,); 0 where erased.
        n0: noise variance of each, (n,); `ERASED` where the signal was gone.
        start: sample at which the first symbol of the preamble (single carrier) or its first word (OFDM) lies,
            counted from the first one the receiver was ever given; fractional.
        samples: from there to the end of the burst.
        cfo: carrier frequency offset in cycles per sample; that of its middle, where the carrier drifts.
        timing_ppm: by how much the receiver's sampling period is too long, in parts per million.
        gain: amplitude at which a symbol of unit energy arrived.
        esno_db: mean Es/N0 of its known symbols in dB.
        complete: whether the signal lasted to the end of the burst.
    """

    header: BurstHeader
    symbols: Samples
    n0: Reals
    start: float
    samples: int
    cfo: float
    timing_ppm: float
    gain: float
    esno_db: float
    complete: bool


@dataclass(frozen=True)
class Acquired:
    """A burst whose header was read.

    Attributes:
        header: as read.
        place: where the burst starts, in samples of the array it was looked for in; fractional for a single carrier.
        cfo: cycles per sample.
        offset: constant beside the signal (DC).
        samples: from `place` to the end of the burst.
    """

    header: BurstHeader
    place: float
    cfo: float
    offset: complex
    samples: int


@runtime_checkable
class Waveform(Protocol):
    """How bursts become samples, and what `BurstReceiver` needs to find them again.

    Attributes:
        block: samples that `score` takes.
        lead: samples that it and `acquire` need before a place.
        head: samples from a place to the end of what `acquire` looks at.
        spread: how far behind the first place above the threshold the best one may be.
        threshold: of the statistic.
        reach: carrier offset up to which bursts are found, to either side, in cycles per sample.
    """

    @property
    def block(self) -> int: ...
    @property
    def lead(self) -> int: ...
    @property
    def head(self) -> int: ...
    @property
    def spread(self) -> int: ...
    @property
    def threshold(self) -> float: ...
    @property
    def reach(self) -> float: ...

    def modulate(self, header: BurstHeader, symbols: Samples) -> Samples:
        """Samples of one burst, the tails of its pulses included; noise of variance N0 a sample is N0 a symbol.

        Raises:
            ValueError: another number of symbols than the header has, or none that are finite.
        """
        ...

    def account(self, symbols: int) -> dict[str, int]:
        """Channel uses of a burst with so many symbols, by purpose."""
        ...

    def score(self, samples: Samples) -> tuple[Reals, Reals]:
        """Detection statistic and strength at the places `lead`, `lead` + 1, … of a block; as many as can be had."""
        ...

    def acquire(self, samples: Samples, place: int) -> Acquired | Refused | None:
        """Read the header of the burst that starts near `place`; or why it is not believed; None where is no burst."""
        ...

    def demodulate(self, samples: Samples, burst: Acquired) -> ReceivedBurst:
        """The payload; `start` is in samples of the array."""
        ...


def check_burst(header: BurstHeader, symbols: Samples) -> None:
    """Raise ValueError unless symbols (n,) are as many as the header has for its segment, and finite."""
    if np.shape(symbols) != (header.count,):
        raise ValueError(f"symbols of shape {np.shape(symbols)}: the header's segment has {header.count}")
    if not np.isfinite(symbols).all():
        raise ValueError("symbols must be finite")
