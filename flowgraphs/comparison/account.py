"""What a codec's transmissions spent, by purpose, and how the bits of a digital one fared: columns of the table."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
import pandas as pd

from semlink.flowgraphs.comparison.intervals import UNKNOWN, columns
from semlink.phy.link import Transmission
from semlink.phy.metrics import Estimate, error_rate, shared_error_rate

PURPOSES = ("payload", "pilot", "padding", "side", "header", "feedback")
"""What channel uses go to; those of any other name are told together, as `uses_other`."""
_WAITING = "others"  # while an image waits for its receiver's answer; none of what `Transmission.spent` counts
LEDGER = tuple(f"uses_{purpose}" for purpose in (*PURPOSES, "other"))
"""Columns: channel uses of an image by purpose, the mean over images; together they are the ratio times its values."""
CODING = ("modulation", "k", "n")
"""Columns: the modulation that most images had, and the most frequent size of its code blocks in bits, CRC included."""
BIT_ERRORS = tuple(f"ber_{when}{end}" for when in ("before", "after") for end in ("", "_low", "_high"))
"""Columns: bit error rates of hard decisions before decoding and of information bits after it, with 95 % intervals."""


@dataclass
class Account:
    """Channel uses and bits of the transmissions of one codec at one Es/N0."""

    images: int = 0
    uses: dict[str, float] = field(default_factory=dict)
    coding: Counter[tuple[str, float, float]] = field(default_factory=Counter)
    counts: list[tuple[int, int, int, int]] = field(default_factory=list)  # of each image, as `BitErrors` has them

    def add(self, got: Transmission) -> None:
        """Count a batch."""
        images = len(got.failed)
        self.images += images
        taken = 1.0 if got.spent is None else float(got.spent.mean()) / sum(got.uses.values())
        for purpose, count in got.uses.items():
            # Of all symbols of a frame, waiting included, those that were spent are the share `taken`: all payload.
            own = "payload" if purpose == _WAITING and got.spent is not None else purpose
            name = own if own in PURPOSES else "other"
            self.uses[name] = self.uses.get(name, 0.0) + count * images * taken
        modes = [mode.rpartition("-")[0] or mode for mode in got.modes]
        sizes = zip_longest(modes, got.block_sizes, fillvalue=(math.nan, math.nan))  # some links tell no bits
        self.coding.update((mode, k, n) for mode, (k, n) in sizes if isinstance(mode, str))
        if got.bit_errors is not None:
            self.counts += zip(*(one.tolist() for one in got.bit_errors), strict=True)

    def columns(self, *, fades: bool, block_errors: Estimate) -> dict[str, float | int | str]:
        """The figures, by column of the table.

        Args:
            fades: whether the bits of a transmission share a fade.
            block_errors: the block error rate: no more bits than blocks are wrong.
        """
        spent = {
            f"uses_{purpose}": self.uses.get(purpose, 0.0) / max(1, self.images) for purpose in (*PURPOSES, "other")
        }
        coding: dict[str, float | int | str] = dict(zip(CODING, ("", math.nan, math.nan), strict=True))
        for most, _ in self.coding.most_common(1):
            coding = dict(zip(CODING, most, strict=True))
        return {**spent, **coding, **self._bit_errors(fades, block_errors)}

    def _bit_errors(self, fades: bool, block_errors: Estimate) -> dict[str, float]:
        if not self.counts:
            return {**columns("ber_before", UNKNOWN), **columns("ber_after", UNKNOWN)}
        wrong, coded, still_wrong, information = np.array(self.counts).T
        before = shared_error_rate(wrong, coded) if fades else error_rate(int(wrong.sum()), int(coded.sum()))
        after: Estimate = shared_error_rate(still_wrong, information)  # bits of a block fail together in noise, too
        if after.value == 0.0:
            after = Estimate(0.0, 0.0, block_errors.high)
        return {**columns("ber_before", before), **columns("ber_after", after)}


def spent(rows: pd.DataFrame) -> str:
    """Channel uses of an image by purpose, from the lowest to the highest of the Es/N0, where there are several."""
    parts = []
    for name in LEDGER:
        low, high = rows[name].min(), rows[name].max()
        if high > 0:
            parts.append(f"{name.removeprefix('uses_')} {low:g}" + (f" … {high:g}" if high > low else ""))
    return "channel uses an image: " + ", ".join(parts) if len(parts) > 1 else ""
