"""`semlink check`: what was found of a codec, a channel or a part of a digital link, in words."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Literal, cast

from semlink.baselines.doors import CONSTELLATIONS, INTERLEAVERS, OWN_CODES, QAM_NAME
from semlink.flowgraphs.comparison import (
    Finding,
    check_channel,
    check_code,
    check_codec,
    check_constellation,
    check_interleaver,
    kind_of,
)
from semlink.flowgraphs.specs import (
    DigitalName,
    Kind,
    UnknownCodecError,
    is_own,
    load_own,
    make_channel,
    make_codecs,
    make_own,
    parse_ratio,
    register_doors,
)
from semlink.neural import zoo
from semlink.phy.channels import AWGN, CHANNELS
from semlink.phy.link import Codec, InformedCodec
from semlink.phy.named import FORM, meant

Part = Literal["codes", "interleavers", "constellations"]
_SIGNS = {True: "good", False: "WRONG", None: "told"}


def run_check(block: str, *, ratio: str, rate: str, as_json: bool) -> int:
    """Print what was found; return the exit status, 1 where something is wrong.

    Args:
        block: a codec, a channel, a channel code, an interleaver or a constellation, by name.
        ratio: bandwidth ratio of a codec that takes one.
        rate: code rate of a constellation that takes one.
        as_json: instead of lines.

    Raises:
        ValueError: a name that stands for none of them, or that cannot be had.
    """
    share = parse_ratio(ratio)
    try:
        part = _part(block)
        found = _findings(block, share) if part is None else _of_part(block, part, rate)
    except UnknownCodecError as error:
        raise ValueError(_allowed(block)) from error
    except ValueError as error:  # in words of an option that other commands have
        raise ValueError(re.sub("^--(codec|channel):? ", "", str(error))) from error
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        wide = max(len(one.what) for one in found)
        for one in found:
            print(f"{_SIGNS[one.good]:5}  {one.what:{wide}}  {one.words}")
    return int(any(one.good is False for one in found))


def _allowed(block: str) -> str:
    """What may stand in the place of a name that stands for nothing."""
    parts = [*OWN_CODES, *INTERLEAVERS, *CONSTELLATIONS]
    near = meant(block, [*zoo.names(), *zoo.cards(), "jpeg-ldpc-qam", *CHANNELS, *parts])
    return (
        f"{block!r}{near} must be a codec of `semlink codecs`, a channel of `semlink channels`, a part of a link "
        f"({', '.join(parts)}) or MODULE:NAME"
    )


def _part(block: str) -> Part | None:
    """Which part of a digital link a name stands for, shipped, offered by a package or MODULE:NAME; None for none."""
    for part, known in (("codes", OWN_CODES), ("interleavers", INTERLEAVERS), ("constellations", CONSTELLATIONS)):
        if block in known or (not FORM.fullmatch(block) and is_own(block, cast(Kind, part))):
            return cast(Part, part)
    if not FORM.fullmatch(block) or block.partition(":")[0] in CHANNELS or not is_own(block, "codecs"):
        return None
    return cast("Part | None", kind_of(load_own(block, "codecs")))


def _of_part(block: str, part: Part, rate: str) -> list[Finding]:
    named = {"codes": "ldpc", "interleavers": None, "constellations": QAM_NAME, part: block}
    code, interleaver, constellation = named["codes"], named["interleavers"], named["constellations"]
    register_doors(DigitalName("jpeg", code or "", interleaver, constellation or "", None, None))
    if part == "codes":
        return check_code(block)
    return check_interleaver(block) if part == "interleavers" else check_constellation(block, rate)


def _findings(block: str, ratio: float) -> list[Finding]:
    if FORM.fullmatch(block) and block.partition(":")[0] not in CHANNELS and is_own(block, "codecs"):
        made = make_own(block, "codecs", ratio=ratio)
        if isinstance(made, Codec | InformedCodec):
            return check_codec(made)
        if callable(made):
            return check_channel(made)
        raise ValueError(f"{block} is neither a codec (encode, decode) nor a channel (callable), nor a part of a link")
    if block.partition(":")[0].partition("+")[0] in CHANNELS or is_own(block, "channels"):
        return check_channel(make_channel(block, coherence=None, csi=None, equaliser=None))
    return check_codec(make_codecs([block], ratio=ratio, mcs="16qam-1/2", channel=AWGN())[block])
