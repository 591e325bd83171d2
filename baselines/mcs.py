"""Modulation-and-coding schemes: the tables of 5G NR, and some round rates."""

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
        constellation: "qam", square QAM, or the name of another one, of `semlink.baselines.doors`.
    """

    order: int
    rate: Fraction
    constellation: str = "qam"

    def __str__(self) -> str:
        name = f"{self.order}qam" if self.constellation == "qam" else self.constellation
        return f"{name}-{self.rate_text}"

    @property
    def rate_text(self) -> str:
        """The rate as users know it: "1/2", or as NR has it, "490/1024" ("682.5/1024")."""
        if self.rate.denominator <= (6 if self.constellation == "qam" else 10):
            return str(self.rate)
        return f"{float(self.rate * 1024):g}/1024"

    @property
    def bits_per_symbol(self) -> int:
        """Coded bits of one symbol: log2(order)."""
        return self.order.bit_length() - 1

    @property
    def efficiency(self) -> float:
        """Information bits of one symbol."""
        return self.bits_per_symbol * float(self.rate)


def _rows(text: str) -> tuple[MCS, ...]:
    rows = (row.split() for row in text.split(","))
    return tuple(MCS(1 << int(bits), Fraction(rate) / 1024) for bits, rate in rows)


# Modulation order Qm (bits per symbol) and R × 1024 of every row, from MCS index 0 on.
NR_TABLE_1 = _rows(
    "2 120, 2 157, 2 193, 2 251, 2 308, 2 379, 2 449, 2 526, 2 602, 2 679, 4 340, 4 378, 4 434, 4 490, 4 553, 4 616, "
    "4 658, 6 438, 6 466, 6 517, 6 567, 6 616, 6 666, 6 719, 6 772, 6 822, 6 873, 6 910, 6 948"
)
"""TS 38.214 table 5.1.3.1-1 (up to 64-QAM), by MCS index."""

NR_TABLE_2 = _rows(
    "2 120, 2 193, 2 308, 2 449, 2 602, 4 378, 4 434, 4 490, 4 553, 4 616, 4 658, 6 466, 6 517, 6 567, 6 616, 6 666, "
    "6 719, 6 772, 6 822, 6 873, 8 682.5, 8 711, 8 754, 8 797, 8 841, 8 885, 8 916.5, 8 948"
)
"""TS 38.214 table 5.1.3.1-2 (up to 256-QAM), by MCS index."""

NR_TABLE_4 = _rows(
    "2 120, 2 193, 2 449, 4 378, 4 490, 4 616, 6 466, 6 517, 6 567, 6 616, 6 666, 6 719, 6 772, 6 822, 6 873, "
    "8 682.5, 8 711, 8 754, 8 797, 8 841, 8 885, 8 916.5, 8 948, 10 805.5, 10 853, 10 900.5, 10 948"
)
"""TS 38.214 table 5.1.3.1-4 (up to 1024-QAM), by MCS index."""

NR_TABLES = {1: NR_TABLE_1, 2: NR_TABLE_2, 4: NR_TABLE_4}
"""The tables by the number at the end of theirs; 5.1.3.1-3 is left out, which has the lowest rates."""

NR_SCHEMES: tuple[MCS, ...] = tuple(
    sorted({mcs for table in NR_TABLES.values() for mcs in table}, key=lambda mcs: (mcs.efficiency, mcs.order))
)
"""The schemes of all tables, whose block error rates are stored, from the most robust on."""

_RATES = {4: ("1/2", "3/4"), 16: ("1/2", "2/3", "3/4"), 64: ("1/2", "2/3", "3/4", "5/6"), 256: ("2/3", "3/4", "5/6")}

MCS_TABLE: dict[str, MCS] = {
    str(mcs): mcs for mcs in (MCS(order, Fraction(rate)) for order, rates in _RATES.items() for rate in rates)
}
"""Schemes of round rates by name, 4-QAM 1/2 to 256-QAM 5/6: no rows of a standard, but those that papers use."""


def parse_mcs(text: str) -> MCS:
    """The scheme of a name, whatever its case: "16qam-1/2", "nr1-13" (table and MCS index), "16qam-490/1024".

    Raises:
        ValueError: no such scheme; the message lists all.
    """
    name = re.sub(r"[\s_-]+", "", text).lower()
    if match := re.fullmatch(r"nr([124])[\s_-](\d+)", text.strip().lower(), flags=re.ASCII):
        table = NR_TABLES[int(match[1])]
        if int(match[2]) < len(table):
            return table[int(match[2])]
    schemes = {str(mcs): mcs for mcs in NR_SCHEMES} | MCS_TABLE
    if (name := name.replace("qam", "qam-")) in schemes:
        return schemes[name]
    raise ValueError(
        f"mcs={text!r} must be one of: {', '.join(MCS_TABLE)}; nr1-0 … nr1-{len(NR_TABLE_1) - 1}; "
        f"nr2-0 … nr2-{len(NR_TABLE_2) - 1}; nr4-0 … nr4-{len(NR_TABLE_4) - 1} (TS 38.214 tables 5.1.3.1-1, -2 and -4)"
    )


def parse_rate(text: str) -> Fraction:
    """A code rate of a name: "2/3", "490/1024".

    Raises:
        ValueError: no fraction between 0 and 1, of a denominator up to 1024.
    """
    match = re.fullmatch(r"(\d{1,4}(?:\.5)?)/(\d{1,4})", text.strip(), flags=re.ASCII)
    rate = Fraction(match[1]) / int(match[2]) if match and int(match[2]) else Fraction(0)
    if not 0 < rate < 1 or rate.denominator > 2048:
        raise ValueError(f"rate={text!r} must be a code rate between 0 and 1, such as 1/2, 3/4 or 490/1024")
    return rate
