"""Channels by a short text: `rayleigh:coherence=16,csi=estimated`, `tdl-c:ds=100ns,v=3`, `mimo:4x4,svd+rapp:ibo=6`.

    NAME[:OPTION,…][+STAGE[:OPTION,…]]…

An option is `key=value`, or a bare word where the word alone tells which option it is for. Numbers may carry a unit.
A channel's `labels["spec"]` is such a text with every option in it that matters, and reads back as the same channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

from semlink.phy.channels.catalogue import CHANNELS, STAGES
from semlink.phy.channels.channels import Chain
from semlink.phy.channels.options import Entry, assign
from semlink.phy.impairments import Medium, Side, Stage
from semlink.phy.named import meant


def parse_channel(text: str) -> Medium:
    """The channel that a specification describes.

    Raises:
        ValueError: an unknown channel, stage or option, or a value out of range; the message says which exist.
    """
    first, *others = _split(text)
    channel, _ = _make(_in_time(first) if others else first, CHANNELS, "channel")
    stages = [_make(part, STAGES, "stage") for part in others]
    assert isinstance(channel, Medium)
    sides = {side: [stage for stage, where in stages if where == side] for side in get_args(Side)}
    return Chain(*sides["transmitter"], channel, *sides["receiver"]) if stages else channel


def with_options(text: str, options: Mapping[str, str]) -> str:
    """A specification with more options for its channel; the stages stay as they are.

    Raises:
        ValueError: the channel does not have the option, or it is given already.
    """
    if not options:
        return text
    first, *others = _split(text)
    name, _, given = first.partition(":")
    known = CHANNELS[name].options if name in CHANNELS else {}
    told = assign(name, given, known)[0] if known else {}
    for key in options:
        if name in CHANNELS and key not in known:
            fitting = ", ".join(other for other, entry in CHANNELS.items() if key in entry.options)
            raise ValueError(f"{key}: the channel {name} has no such option; these have: {fitting}")
        if key in told:
            raise ValueError(f"{key} is given twice: in the channel's specification {first!r} and beside it")
    added = ",".join(f"{key}={value}" for key, value in options.items())
    return "+".join([f"{name}:{given}{',' if given else ''}{added}", *others])


def _split(text: str) -> list[str]:
    """The channel and the stages; the plus of a number is none between them."""
    return re.split(r"\+(?=[A-Za-z])", text.strip())


def _in_time(text: str) -> str:
    """OFDM sample by sample, unless something else is said: there the stages act."""
    name, _, given = text.partition(":")
    options = CHANNELS[name].options if name in CHANNELS else {}
    return with_options(
        text, {"domain": "time"} if "domain" in set(options) - set(assign(name, given, options)[0]) else {}
    )


def _make(text: str, table: Mapping[str, Entry], what: str) -> tuple[Medium | Stage, str | None]:
    """What the text describes, and the side at which it stands, for a stage."""
    name, _, given = text.partition(":")
    if name not in table:
        raise ValueError(f"{what} {name!r}{meant(name, table)} must be one of: {', '.join(table)}")
    entry = table[name]
    values, missing = assign(name, given, entry.options)
    if missing:
        raise ValueError(f"{text}: lacks {', '.join(f'{key} ({entry.options[key].help})' for key in missing)}")
    side = values.pop("side", None)
    try:
        made = entry.make(**{key.replace("-", "_"): value for key, value in values.items()})
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from error
    return made, side or getattr(made, "side", None)
