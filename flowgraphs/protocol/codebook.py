"""What the codec and MCS numbers of a burst header stand for. NumPy alone.

A receiver needs nothing but the header and the symbols: a neural codec's ratio is symbols / (3·height·width), and the
code blocks of a digital one, with the bytes in them, follow from symbols and scheme
(`semlink.baselines.blocks.plan_blocks`). Numbers are part of the air interface: one that was given out keeps its
meaning.
"""

from __future__ import annotations

from semlink.baselines.mcs import MCS, MCS_TABLE, NR_SCHEMES, NR_TABLE_4, parse_mcs
from semlink.phy.waveform import BurstHeader

NEURAL = {
    1: "deepjscc",
    2: "swin",
    3: "swin-gsc",
    4: "adjscc",
    5: "deepjscc-plain-4",
    6: "deepjscc-plain-10",
    7: "deepjscc-plain-16",
    8: "swin-photo",
    9: "hybrid",
}
"""Codecs by number, under the names that `semlink zoo` has or will have for them; their MCS number is 0."""
TASKS = {16: "task", 17: "label:tiniest", 18: "label:resnet20", 19: "label:resnet56"}
"""Codecs that deliver a class, by number; the channel uses are the symbols of the header."""
DIGITAL = {
    32: "jpeg-ldpc-qam",
    33: "jpeg2000-ldpc-qam",
    34: "webp-ldpc-qam",
    35: "avif-ldpc-qam",
    36: "heic-ldpc-qam",
    37: "prompt-ldpc-qam",
}
"""Digital chains by number: source coder, 5G LDPC, QAM; the scheme is in the MCS number."""
USER = range(48, 64)
"""Numbers that no codec of this package will ever have, called "user:48" to "user:63"."""
SCHEMES: tuple[MCS, ...] = (
    *(mcs for mcs in NR_SCHEMES if mcs.order < 1024),
    *MCS_TABLE.values(),
    *(mcs for mcs in NR_TABLE_4 if mcs.order == 1024),
)
"""Schemes by MCS number: those of 5G NR from the most robust on, those of round rates, those of NR of 1024-QAM."""
DEFAULT_SCHEME = "16qam-1/2"
"""Of a digital chain that is named without a scheme."""
ADAPTIVE = "adaptive"
"""In place of a scheme: the transmitter chooses it for each image, by Es/N0."""

_NAMES = {**NEURAL, **TASKS, **DIGITAL, **{number: f"user:{number}" for number in USER}}
_NUMBERS = {name: number for number, name in _NAMES.items()}


def codec_name(number: int) -> str:
    """What a codec number stands for, such as "swin", "jpeg-ldpc-qam" or "user:48".

    Raises:
        ValueError: a number that stands for nothing.
    """
    if number not in _NAMES:
        raise ValueError(f"codec={number!r} must be one of: {', '.join(map(str, sorted(_NAMES)))}")
    return _NAMES[number]


def codec_number(name: str) -> int:
    """The number of a codec by name; a scheme behind the name of a digital chain plays no part.

    Raises:
        ValueError: no such codec, or a scheme behind one that has none.
    """
    stem = split_name(name)[0]
    return _NUMBERS[stem]


def split_name(name: str) -> tuple[str, str]:
    """ "jpeg-ldpc-qam:nr1-13" as ("jpeg-ldpc-qam", "nr1-13"); the scheme of a codec without any is "".

    Raises:
        ValueError: no such codec, a scheme behind one that has none, or hybrid ARQ. The scheme itself is not looked at.
    """
    if name in (*NEURAL.values(), *TASKS.values()) or (name in _NUMBERS and name.startswith("user:")):
        return name, ""
    stem, colon, scheme = name.partition(":")
    if any(part.startswith("harq=") for part in scheme.split(",")):
        raise ValueError(
            f"codec={name!r}: hybrid ARQ needs a receiver that answers, and bursts go one way; `semlink compare` "
            "simulates it"
        )
    if stem not in DIGITAL.values() or (colon and not scheme):
        raise ValueError(f"codec={name!r} must be one of: {codec_forms()}")
    return stem, scheme or DEFAULT_SCHEME


def codec_forms() -> str:
    """The names of codecs, in one line."""
    return (
        f"{', '.join([*NEURAL.values(), *TASKS.values()])}; "
        f"{', '.join(DIGITAL.values())}, each with or without :SCHEME, which is "
        f"{ADAPTIVE} or a fixed one such as 16qam-1/2 or nr1-13; user:{USER[0]} to user:{USER[-1]}"
    )


def scheme_name(number: int) -> str:
    """The scheme of an MCS number, such as "16qam-490/1024".

    Raises:
        ValueError: a number that stands for nothing.
    """
    if not 0 <= number < len(SCHEMES):
        raise ValueError(f"mcs={number!r} must be from 0 to {len(SCHEMES) - 1}")
    return str(SCHEMES[number])


def scheme_number(name: str) -> int:
    """The MCS number of a scheme by any of its names: "16qam-490/1024", "nr1-13", "16qam-1/2".

    Raises:
        ValueError: no such scheme.
    """
    return SCHEMES.index(parse_mcs(name))


def name_of(header: BurstHeader) -> str:
    """The codec and scheme that a header tells, such as "swin" or "jpeg-ldpc-qam:16qam-490/1024".

    Raises:
        ValueError: numbers that stand for nothing.
    """
    name = codec_name(header.codec)
    return f"{name}:{scheme_name(header.mcs)}" if header.codec in DIGITAL else name


def ratio_of(header: BurstHeader) -> float:
    """Complex channel uses / (3·height·width) of the frame that a header belongs to."""
    return header.symbols / (3 * header.height * header.width)
