"""Fixed modulation-and-coding schemes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class MCS:
    """A modulation order and a code rate.

    Attributes:
        order: number of constellation points.
        rate: information bits (CRC included) over coded bits.
    """

    order: int
    rate: Fraction

    def __str__(self) -> str:
        return f"{self.order}qam-{self.rate}"

    @property
    def bits_per_symbol(self) -> int:
        """Coded bits of one symbol: log2(order)."""
        return self.order.bit_length() - 1


_RATES = {4: ("1/2", "3/4"), 16: ("1/2", "2/3", "3/4"), 64: ("1/2", "2/3", "3/4", "5/6"), 256: ("2/3", "3/4", "5/6")}

MCS_TABLE: dict[str, MCS] = {
    str(mcs): mcs for mcs in (MCS(order, Fraction(rate)) for order, rates in _RATES.items() for rate in rates)
}
"""All schemes by name, 4-QAM 1/2 to 256-QAM 5/6."""


def parse_mcs(text: str) -> MCS:
    """The scheme of a name such as "16qam-1/2", whatever its case ("16-QAM 1/2" will do too).

    Raises:
        ValueError: no such scheme; the message lists all.
    """
    name = re.sub(r"[\s_-]+", "", text).lower().replace("qam", "qam-")
    if name not in MCS_TABLE:
        raise ValueError(f"mcs={text!r} must be one of: {', '.join(MCS_TABLE)}")
    return MCS_TABLE[name]
