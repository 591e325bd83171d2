"""Which interval holds for what was measured: it depends on what a transmission's blocks and pixels share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from semlink.phy import metrics
from semlink.phy.metrics import Estimate

Scores = Float[np.ndarray, "images realisations"]
UNKNOWN = Estimate(math.nan, math.nan, math.nan)
NONE_KNOWN = f"no interval of fewer than {metrics.FEW} transmissions, nor where all arrived, or none, in noise alone"
"""What a table says that leaves some out."""


def shares_fade(labels: Mapping[str, str]) -> bool:
    """Whether the blocks of a transmission share a fade, or something else that is drawn for all of them.

    By what a channel says of itself: noise alone shares nothing, nor do gains that are drawn for every symbol. With
    stages (a carrier phase, another's signal), with a fade that lasts, and of a channel that says nothing, they may.
    """
    spec = labels.get("spec", "")
    noise = spec == labels.get("channel") == "awgn"  # of somebody who listens, `spec` is the link's and not hers
    return not (noise or (labels.get("coherence") == "fast" and "doppler" not in spec and "+" not in spec))


@dataclass(frozen=True)
class Luck:
    """What decides which interval holds.

    Attributes:
        fades: whether all of a transmission may be bad at once, as `shares_fade` tells it.
        failed: transmissions that failed.
        sent: all of them.
        coded: whether the codec has code blocks, and images therefore arrive or are lost.
    """

    fades: bool
    failed: int
    sent: int
    coded: bool

    @property
    def one_sided(self) -> bool:
        """Whether images may be lost, and all were, or none."""
        return self.coded and self.failed in (0, self.sent)

    def mean(self, values: Scores, *, worst: float | None = None) -> Estimate:
        """The mean of what is bad when it is large; `worst` is what it is of an image of which nothing arrives."""
        if self._by_noise(values):
            found = metrics.mean_estimate(values)
            return Estimate(found.value, math.nan, math.nan) if self.one_sided and found.low == found.high else found
        if self.one_sided and worst is None and self.fades:
            return Estimate(float(values.mean()), math.nan, math.nan)
        return metrics.bounded_mean(values, worst=self._worst(worst))

    def psnr(self, errors: Scores, *, worst: float) -> Estimate:
        """PSNR in dB from the mean squared error."""
        if self._by_noise(errors):
            found = metrics.psnr_estimate(errors)
            told = self.one_sided and found.low == found.high and math.isfinite(found.value)
            return Estimate(found.value, math.nan, math.nan) if told else found
        return metrics.bounded_psnr(errors, worst=self._worst(worst))

    def psnr_mean(self, errors: Scores, *, worst: float) -> Estimate:
        """The mean of the images' own PSNR in dB; `worst` is the least in dB."""
        found = self.mean(-np.vectorize(metrics.to_db)(errors), worst=-worst)
        return Estimate(-found.value, -found.high, -found.low)

    def block_error_rate(self, errors: Sequence[int], blocks: Sequence[int]) -> metrics.Rate:
        """Of blocks that share their transmission's luck, or of each by itself."""
        if not self.fades:
            return metrics.error_rate(sum(errors), sum(blocks))
        some = np.array([pair for pair in zip(errors, blocks, strict=True) if pair[1]])
        return metrics.shared_error_rate(some[:, 0], some[:, 1])

    def _by_noise(self, values: Scores) -> bool:
        """Whether the errors of an image differ as noise makes them: by a sum of many draws, which is normal."""
        return not self.fades and self.failed in (0, self.sent) and values.shape[1] > 1

    def _worst(self, value: float | None) -> float | None:
        """Without a fade nothing is lost that was not seen to be: the interval is of what was seen."""
        return value if self.fades or self.failed else None


def columns(name: str, found: Estimate) -> dict[str, float]:
    """A value and its interval as columns of a table."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
