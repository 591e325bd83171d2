"""`semlink check`: what was found of a codec or channel, in words."""

from __future__ import annotations

import json
from dataclasses import asdict

from semlink.flowgraphs.comparison import Finding, check_channel, check_codec
from semlink.flowgraphs.specs import FORM, is_own, make_channel, make_codecs, make_own, parse_ratio
from semlink.phy.channels import AWGN, CHANNELS
from semlink.phy.link import Codec, InformedCodec

_SIGNS = {True: "good", False: "WRONG", None: "told"}


def run_check(block: str, *, ratio: str, as_json: bool) -> int:
    """Print what was found; return the exit status, 1 where something is wrong.

    Raises:
        ValueError: a name that stands for neither, or that cannot be had.
    """
    found = _findings(block, parse_ratio(ratio))
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    else:
        wide = max(len(one.what) for one in found)
        for one in found:
            print(f"{_SIGNS[one.good]:5}  {one.what:{wide}}  {one.words}")
    return int(any(one.good is False for one in found))


def _findings(block: str, ratio: float) -> list[Finding]:
    if FORM.fullmatch(block) and block.partition(":")[0] not in CHANNELS and is_own(block, "codecs"):
        made = make_own(block, "codecs", ratio=ratio)
        if isinstance(made, Codec | InformedCodec):
            return check_codec(made)
        if callable(made):
            return check_channel(made)
        raise ValueError(f"{block} is neither a codec (encode, decode) nor a channel (callable)")
    if block.partition(":")[0].partition("+")[0] in CHANNELS or is_own(block, "channels"):
        return check_channel(make_channel(block, coherence=None, csi=None, equaliser=None))
    return check_codec(make_codecs([block], ratio=ratio, mcs="16qam-1/2", channel=AWGN())[block])
