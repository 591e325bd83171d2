"""Names of digital links: SOURCE-CODE[-INTERLEAVER]-MAP[:SCHEME], with parts of one's own in them.

`jpeg-ldpc-qam:adaptive`, `jpeg-conv-random-8psk:2/3`, `webp-mymodule:Polar-qam:4qam-1/2`,
`jpeg-polar-qam:adaptive,table=polar.csv`. No Python name has a hyphen, and so they part. A word that ships, or that an
installed package offers, comes before a module: `jpeg-ldpc-qam:adaptive` is no constellation `qam:adaptive`.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from semlink.baselines.blocks import CODES
from semlink.baselines.doors import (
    CONSTELLATIONS,
    INTERLEAVERS,
    OWN_CODES,
    QAM_NAME,
    SHIPPED,
    TABLE,
    register_code,
    register_constellation,
    register_interleaver,
)
from semlink.baselines.mcs import parse_mcs
from semlink.baselines.sources import SOURCES
from semlink.flowgraphs.specs.own_blocks import Kind, is_own, load_own, make_own, missing_module, own_names
from semlink.phy.fec import Interleaver

DIGITAL_FORM = "SOURCE-CODE[-INTERLEAVER]-MAP[:SCHEME]"
"""How a digital link is named."""
_OWN = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


@dataclass(frozen=True)
class DigitalName:
    """A digital link's name taken apart.

    Attributes:
        source: the source coder.
        channel_code: of the channel.
        interleaver: behind it; None for none.
        constellation: "qam", or the name of another one.
        scheme: what is behind the colon, without a table; None for nothing.
        table: the file of block error rates; None for none.
    """

    source: str
    channel_code: str
    interleaver: str | None
    constellation: str
    scheme: str | None
    table: str | None

    @property
    def code(self) -> str:
        """Code, interleaver and table, as `semlink.baselines.doors.code_spec` reads them."""
        behind = f"-{self.interleaver}" if self.interleaver else ""
        return self.channel_code + behind + (f"{TABLE}{self.table}" if self.table else "")

    @property
    def parts(self) -> list[tuple[str, Kind]]:
        """The parts that may be of one's own, with what they are."""
        named: list[tuple[str | None, Kind]] = [
            (self.channel_code, "codes"), (self.interleaver, "interleavers"), (self.constellation, "constellations"),
        ]  # fmt: skip
        return [(name, kind) for name, kind in named if name and name not in SHIPPED]

    def default_scheme(self, mcs: str) -> str:
        """The scheme of `--mcs`; for another constellation than QAM its code rate."""
        is_rate = "/" in mcs and "qam" not in mcs.lower()
        return mcs if self.constellation == QAM_NAME or is_rate else str(parse_mcs(mcs).rate)

    @property
    def takes_default(self) -> bool:
        """Whether no scheme is named, but options at most: it is then that of `--mcs`."""
        return self.scheme is None or all("=" in one for one in self.scheme.split(","))


def parse_digital(name: str) -> DigitalName | None:
    """The parts of a digital link's name; None of any other."""
    source = "|".join(map(re.escape, SOURCES))
    code = _either([*CODES, *OWN_CODES, *own_names("codes")])
    interleaver = _either([*INTERLEAVERS, *own_names("interleavers")])
    points = _either([QAM_NAME, *CONSTELLATIONS, *own_names("constellations")])
    match = re.fullmatch(rf"({source})-({code})(?:-({interleaver}))?-({points})(?::(.+))?", name)
    if match is None:
        return None
    scheme, table = match[5], None
    if scheme is not None:
        options = scheme.split(",")
        tables = [one.removeprefix("table=") for one in options if one.startswith("table=")]
        table = tables[0] if tables else None
        if tables:
            options.remove(f"table={table}")  # `register_doors` refuses what is left of others
        scheme = ",".join(options) or None
    return DigitalName(match[1], match[2], match[3], match[4], scheme, table)


def register_doors(digital: DigitalName) -> None:
    """Have the parts of one's own of a digital link, under the names that they have in it.

    Raises:
        ValueError: a part that there is not, that cannot be imported, or that is none.
    """
    if digital.table == "" or ",table=" in f",{digital.scheme}":
        raise ValueError("table=FILE must name one file of block error rates, such as `semlink bench bler` makes")
    for name, kind in digital.parts:
        if not is_own(name, kind):
            raise ValueError(missing_module(name) or f"{name!r} is none of semlink.{kind}")
        made = load_own(name, kind)
        if kind == "codes":
            if OWN_CODES.get(name) is not made:
                register_code(name, made)
        elif kind == "interleavers":
            register_interleaver(name, cast(Interleaver, made() if inspect.isclass(made) else made))
        else:
            register_constellation(name, _maker(name))


def own_parts(codec: str) -> tuple[list[tuple[str, Kind]], list[Path]]:
    """The parts of one's own in a codec's name, with what they are, and the tables that it names."""
    digital = parse_digital(codec)
    if digital is None:
        return [], []
    return digital.parts, [Path(digital.table)] if digital.table else []


def _maker(name: str) -> Any:  # noqa: ANN401 - a function of a code rate to whatever the user made
    def make(rate: Fraction) -> Any:  # noqa: ANN401
        return make_own(name, "constellations", rate=rate)

    return make


def _either(words: list[str]) -> str:
    longest_first = sorted(set(words), key=lambda word: (-len(word), word))
    return "|".join([*map(re.escape, longest_first), _OWN])
