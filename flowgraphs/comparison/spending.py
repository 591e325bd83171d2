"""Channel uses that were really spent, and what they brought: where a receiver's answers end a transmission early."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from semlink.phy.link import Transmission

SPENDING = ("uses_mean", "uses_p95", "throughput")
"""Columns: channel uses of an image, mean and what 95 % of the images do not exceed; information bits of images that
arrived per channel use, padding included, of codecs that count bits."""
FEEDBACK = "feedback"  # what a codec that hears of its receiver has among its notes and bits


@dataclass
class Spending:
    """What the transmissions of one codec at one Es/N0 spent."""

    uses: list[float] = field(default_factory=list)  # of each image
    bits: int = 0  # of information, of images that arrived
    counts: bool = False  # whether the codec tells its bits

    def add(self, got: Transmission, images: int) -> None:
        """Count a batch."""
        self.uses += [float(sum(got.uses.values()))] * images if got.spent is None else got.spent.tolist()
        told = [got.bits[purpose] for purpose in ("source", "padding") if purpose in got.bits]
        if told:
            self.counts = True
            self.bits += int((sum(told) * ~got.failed.cpu()).sum())

    def columns(self) -> dict[str, float]:
        """The figures, by name of `SPENDING`."""
        total = sum(self.uses)
        most = float(np.percentile(self.uses, 95, method="inverted_cdf"))
        return {
            "uses_mean": total / len(self.uses),
            "uses_p95": most,
            "throughput": self.bits / total if self.counts else math.nan,
        }
