"""A friendly jammer on a stream of samples: noise whose power changes at times that nobody else knows. NumPy alone.

`semlink.phy.security.FriendlyJammer` is the same for an image at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOLD = 65_536
"""Samples for which a drawn power stays, where nothing else is said: some bursts."""
FORM = "friendly,jsr=DB[,power=uniform][,hold=SAMPLES]"


@dataclass(frozen=True)
class Jamming:
    """What a friendly jammer does.

    Attributes:
        jsr_db: power of a sample over the energy 1 of a transmitted symbol, in dB, which is what a receiver's symbol
            gets of it too; of `uniform` the largest.
        uniform: whether the power is drawn anew from [0, the largest] every `hold` samples.
        hold: in samples.

    Raises:
        ValueError: `jsr_db` outside of -100 … 60, or `hold` below 1.
    """

    jsr_db: float
    uniform: bool = False
    hold: int = HOLD

    def __post_init__(self) -> None:
        if not -100 <= self.jsr_db <= 60:
            raise ValueError(f"jsr={self.jsr_db!r} must be from -100 to 60 dB")
        if self.hold < 1:
            raise ValueError(f"hold={self.hold!r} must be at least 1 sample")


class Jammer:
    """Its noise, sample after sample: what comes does not depend on how it is cut into pieces.

    Args:
        jamming: what it does.
        seed: of noise and powers.
    """

    def __init__(self, jamming: Jamming, *, seed: int = 0) -> None:
        self._jamming = jamming
        self._noise, self._power = (np.random.default_rng([seed, part]) for part in (1, 2))
        self._left, self._amplitude = 0, 0.0

    def take(self, count: int) -> NDArray[np.complex64]:
        """The next samples, (count,)."""
        noise = self._noise.standard_normal((count, 2), dtype=np.float32).view(np.complex64)[:, 0]
        start = 0
        while start < count:
            if not self._left:
                share = self._power.uniform() if self._jamming.uniform else 1.0
                # Half of it on each axis.
                self._amplitude = math.sqrt(share * 10 ** (self._jamming.jsr_db / 10) / 2)
                self._left = self._jamming.hold
            part = min(self._left, count - start)
            noise[start : start + part] *= np.float32(self._amplitude)
            start, self._left = start + part, self._left - part
        return noise


def parse_jamming(text: str) -> Jamming | None:
    """A jammer as the stage `+jammer:friendly,…` of a channel has it; None for an empty text.

    Raises:
        ValueError: of another form, or a value out of range.
    """
    if not text.strip():
        return None
    kind, *parts = (part.strip() for part in text.split(","))
    given = dict(part.partition("=")[::2] for part in parts)
    wrong = kind != "friendly" or "jsr" not in given or len(given) < len(parts)
    wrong = (
        wrong or bool(given.keys() - {"jsr", "power", "hold"}) or given.get("power") not in (None, "fixed", "uniform")
    )
    try:
        if wrong:
            raise ValueError
        jsr_db, hold = float(given["jsr"].removesuffix("dB")), int(given.get("hold", HOLD))
    except ValueError:
        raise ValueError(f"jammer={text!r} must be {FORM}") from None
    return Jamming(jsr_db, given.get("power") == "uniform", hold)
