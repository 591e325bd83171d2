"""What a page builds its controls of: the catalogue of channels, the names of codecs, pictures and levels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from semlink.baselines.adaptation import MODES
from semlink.baselines.sources import SOURCES
from semlink.flowgraphs.comparison import COLOURS
from semlink.flowgraphs.play.pictures import SIDES, Pictures
from semlink.flowgraphs.play.walk import MOST_DOPPLER, STEPS
from semlink.flowgraphs.play.wishes import MOST_CODECS, MOST_SEED, names_codec
from semlink.flowgraphs.specs import PUBLISHED, codec_groups, own_names
from semlink.phy.channels import CHANNELS, STAGES, UNITS

RATIOS = ("1/3", "1/6", "1/8", "1/12", "1/16")
"""That a page proposes; any other may be written."""
WALKED = ("rayleigh", "rician", "nakagami")
"""Channels that can be walked through."""


@dataclass(frozen=True)
class Start:
    """What a page shows first.

    Attributes:
        codecs: side by side.
        channel: as --channel takes it.
        levels: Es/N0 in dB, of the slider.
        ratio: as --ratio takes it.
        seed: of noise and fading.
    """

    codecs: Sequence[str]
    channel: str
    levels: Sequence[float]
    ratio: str
    seed: int


def catalogue(start: Start, pictures: Pictures, told: Collection[str]) -> dict[str, Any]:
    """All of it, for JSON."""
    own = {name: {"help": "of an installed package", "options": {}} for name in own_names("channels")}
    return {
        "start": asdict(start),
        "pictures": pictures.names,
        "sides": SIDES,
        "channels": {name: entry.as_table() for name, entry in CHANNELS.items()} | own,
        "stages": {name: entry.as_table() for name, entry in STAGES.items()},
        "units": {unit: list(names) for unit, names in UNITS.items()},
        "ratios": RATIOS,
        "codecs": {**dict.fromkeys(sorted(told), "of the command line"), **codec_names()},
        "most_codecs": MOST_CODECS,
        "most_seed": MOST_SEED,
        "walked": WALKED,
        "most_doppler": MOST_DOPPLER,
        "steps": STEPS,
        "colours": COLOURS,
    }


def codec_names() -> dict[str, str]:
    """Every codec of `semlink codecs` that shows pictures, with what it is; link adaptation behind 5G LDPC included."""
    named = {name: said for group in codec_groups() for name, said in group.names.items()}
    adapted = {
        f"{source}-ldpc-qam:{mode}": f"{source}, 5G LDPC; {named[f':{mode}']}" for source in SOURCES for mode in MODES
    }
    plain = {name: said for name, said in named.items() if name[0].islower() and not name.startswith(PUBLISHED)}
    return {name: said for name, said in {**plain, **adapted}.items() if names_codec(name)}
