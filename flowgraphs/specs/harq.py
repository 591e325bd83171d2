"""Hybrid ARQ from words: `jpeg-nr-qam:outage,harq=4,combining=chase,delay=64`, and `swin:harq=4`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from semlink.baselines.harq import MOST_ROUNDS, Harq
from semlink.baselines.harq_link import HarqCodec
from semlink.baselines.sources import SourceCoder
from semlink.neural.repeated import Repeated
from semlink.phy.link import Channel, Codec, InformedCodec

HARQ_OPTIONS: Mapping[str, str] = {
    "harq": f"rounds at most, from 1 to {MOST_ROUNDS}",
    "combining": "ir (other coded bits in every round; the usual) or chase (the same)",
    "rv": "redundancy versions by round; 0231 without it",
    "delay": "channel uses between rounds, in which others send; 0 without it",
    "ack-lost": "probability that an ACK is taken for a NACK",
    "nack-lost": "probability that a NACK is taken for an ACK",
    "budget": "what the ratio is of: most (all rounds; the usual) or mean (what is expected, with adaptive or outage)",
    "round": "bandwidth ratio of a round, in place of what follows from the budget",
}
"""What each option sets, in a few words."""
HARQ_FORM = f"SOURCE-nr-qam:[SCHEME,]harq=ROUNDS[,OPTION=...] with OPTION among {', '.join([*HARQ_OPTIONS][1:])}"
"""How a link with hybrid ARQ is named."""
REPEATED_OPTIONS: Mapping[str, str] = {
    "harq": HARQ_OPTIONS["harq"],
    "round": "bandwidth ratio of a round; half of --ratio without it",
    "delay": HARQ_OPTIONS["delay"],
}
"""Those of a network, whose symbols are sent again."""
REPEATED_FORM = "NETWORK:harq=ROUNDS[,round=RATIO][,delay=N]"
"""How a network is named whose symbols are sent again until the receiver is content."""
_ASKED = re.compile(rf":(?=(?:{'|'.join(REPEATED_OPTIONS)})=)")


def split_harq(scheme: str | None) -> tuple[str | None, dict[str, str]]:
    """The scheme with what else follows it, and the options of hybrid ARQ by name; none without `harq`.

    Raises:
        ValueError: an option of hybrid ARQ twice, or without `harq`, or outer-loop adaptation, which is no codec.
    """
    kept: list[str] = []
    asked: dict[str, str] = {}
    for part in (scheme or "").split(","):
        key, equals, value = part.partition("=")
        if key == "olla":
            raise ValueError(
                "olla: an outer loop's state goes from image to image, and a codec has none; `semlink olla` runs it "
                "over the images in their order"
            )
        if not equals or key not in HARQ_OPTIONS:
            kept.append(part)
            continue
        if key in asked:
            raise ValueError(f"{key} is given twice")
        asked[key] = value
    if asked and "harq" not in asked:
        raise ValueError(f"{', '.join(asked)}: only with harq=ROUNDS")
    return ",".join(kept) or None, asked


def make_harq_link(
    asked: Mapping[str, str], *, source: str | SourceCoder, code: str, mcs: str, ratio: float, fading: Channel
) -> HarqCodec:
    """The link that the options describe.

    Raises:
        ValueError: a value that is refused, or a channel code without redundancy versions.
    """
    if code != "nr":
        raise ValueError(f"harq is for nr-qam, whose transport blocks have redundancy versions; {code} has none")
    given: dict[str, Any] = {"rounds": _whole("harq", asked["harq"])}
    given |= {name: asked[name] for name in ("combining", "budget") if name in asked}
    given |= {name.replace("-", "_"): _number(name, asked[name]) for name in ("ack-lost", "nack-lost") if name in asked}
    if "rv" in asked:
        if not re.fullmatch(r"[0-9]+", asked["rv"]):
            raise ValueError(f"rv={asked['rv']} must be digits, a redundancy version a round, such as 0231")
        given["order"] = tuple(map(int, asked["rv"]))
    if "delay" in asked:
        given["delay"] = _whole("delay", asked["delay"])
    if "round" in asked:
        given["round_ratio"] = _number("round", asked["round"])
    return HarqCodec(source=source, mcs=mcs, ratio=ratio, harq=Harq(**given), fading=fading)


def asks_rounds(name: str) -> bool:
    """Whether options of a network's rounds stand behind its name."""
    return _ASKED.search(name) is not None


def split_repeated(name: str) -> tuple[str, dict[str, str]]:
    """A network's name and the options of its rounds, by name.

    Raises:
        ValueError: an option that it does not have, one that is given twice, or others without `harq`.
    """
    stem, options = _ASKED.split(name, maxsplit=1)
    asked: dict[str, str] = {}
    for part in options.split(","):
        key, _, value = part.partition("=")
        if key not in REPEATED_OPTIONS:
            raise ValueError(f"option {key!r} must be, with harq of a network, among: {', '.join(REPEATED_OPTIONS)}")
        if key in asked:
            raise ValueError(f"{key} is given twice")
        asked[key] = value
    if "harq" not in asked:
        raise ValueError(f"{', '.join(asked)}: only with harq=ROUNDS")
    return stem, asked


def make_repeated(
    asked: Mapping[str, str], make: Callable[[float], Codec | InformedCodec], *, ratio: float, channel: Channel
) -> Repeated:
    """What `make` makes for the ratio of a round, sent again until the receiver is content.

    Raises:
        ValueError: a value that is refused, or a codec that knows the fades.
    """
    round_ratio = _number("round", asked["round"]) if "round" in asked else ratio / 2
    try:
        codec = make(round_ratio)
    except ValueError as error:
        own = str(error).startswith("ratio=")  # nobody gave that ratio
        raise ValueError(f"a round of ratio {round_ratio:.4g}: {error}" if own else str(error)) from error
    if isinstance(codec, InformedCodec):
        raise ValueError("harq is for codecs that do not know the fades")
    delay = _whole("delay", asked.get("delay", "0"))
    rounds = _whole("harq", asked["harq"])
    return Repeated(codec, ratio=ratio, round_ratio=round_ratio, rounds=rounds, channel=channel, delay=delay)


def _whole(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(f"{name}={text} must be a whole number")
    return int(text)


def _number(name: str, text: str) -> float:
    match = re.fullmatch(r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)(?:/([0-9]*\.?[0-9]+))?", text)
    if not match or (match[2] and not float(match[2])):
        raise ValueError(f"{name}={text} must be a number from 0 on, such as 0.01 or 1/24")
    return float(match[1]) / float(match[2] or 1)
