"""Where a digital link falls off its cliff: between two Es/N0, as near as those that were sent tell."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from semlink.phy.metrics import error_rate


class Cliff(NamedTuple):
    """The Es/N0 in dB at which half of the transmissions fail lies between these two.

    Attributes:
        low: the highest at which surely more than half fail, by the 95 % interval of what failed.
        high: the next at which surely fewer do.
    """

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Of the two, where one number is wanted: half of the step off at most."""
        return (self.low + self.high) / 2

    def __str__(self) -> str:
        """In words."""
        return f"cliff between {self.low:g} and {self.high:g} dB"


def find_cliff(rows: pd.DataFrame) -> Cliff | None:
    """Between which Es/N0 one codec's transmissions go from failing to arriving; None where that was not seen.

    Nothing is interpolated: across a step of 2 dB all of them may lie within 0.3 dB anywhere. Levels at which it cannot
    be told whether half fail lie between the two; of fewer than six transmissions it can never be told.

    Args:
        rows: of one codec, with `esno_db`, `failed`, `images` and `realisations`.
    """
    rows = rows.sort_values("esno_db")
    sent = (rows["images"] * rows["realisations"]).tolist()
    failed = [error_rate(int(some), int(all_of)) for some, all_of in zip(rows["failed"], sent, strict=True)]
    levels = rows["esno_db"].tolist()
    lost = max((i for i, one in enumerate(failed) if one.value >= 0.5), default=-1)  # none of it lies above
    surely_lost = [i for i in range(lost + 1) if failed[i].low >= 0.5]
    surely_kept = [i for i in range(lost + 1, len(failed)) if failed[i].high <= 0.5]
    if not surely_lost or not surely_kept:
        return None
    return Cliff(float(levels[surely_lost[-1]]), float(levels[surely_kept[0]]))
