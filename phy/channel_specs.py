"""Channels by a short text: `rayleigh:coherence=16,csi=estimated`, `tdl-c:ds=100ns,v=3`, `mimo:4x4,svd+rapp:ibo=6`.

    NAME[:OPTION,…][+STAGE[:OPTION,…]]…

An option is `key=value`, or a bare word where the word alone tells which option it is for. Numbers may carry a unit.
A channel's `labels["spec"]` is such a text with every option in it that matters, and reads back as the same channel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

from semlink.phy.channel_catalogue import CHANNELS, STAGES
from semlink.phy.channels import Chain
from semlink.phy.frontend import Medium, Side, Stage
from semlink.phy.spec_options import Entry, assign


def parse_channel(text: str) -> Medium:
    """The channel that a specification describes.

    Raises:
        ValueError: an unknown channel, stage or option, or a value out of range; the message says which exist.
    """
    first, *others = re.split(r"\+(?=[a-z])", text.strip())
    channel = _make(first, CHANNELS, "channel")
    stages = [_make(part, STAGES, "stage") for part in others]
    assert isinstance(channel, Medium)
    if not stages:
        return channel
    sides = {side: [stage for stage in stages if getattr(stage, "side", None) == side] for side in get_args(Side)}
    return Chain(*sides["transmitter"], channel, *sides["receiver"])


def with_options(text: str, options: Mapping[str, str]) -> str:
    """A specification with more options for its channel; the stages stay as they are.

    Raises:
        ValueError: the channel does not have the option, or it is given already.
    """
    if not options:
        return text
    first, plus, others = text.partition("+")
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
    return f"{name}:{given}{',' if given else ''}{added}{plus}{others}"


def _make(text: str, table: Mapping[str, Entry], what: str) -> Medium | Stage:
    name, _, given = text.partition(":")
    if name not in table:
        raise ValueError(f"{what} {name!r} must be one of: {', '.join(table)}")
    entry = table[name]
    values, missing = assign(name, given, entry.options)
    if missing:
        raise ValueError(f"{text}: lacks {', '.join(f'{key} ({entry.options[key].help})' for key in missing)}")
    try:
        return entry.make(**{key.replace("-", "_"): value for key, value in values.items()})
    except ValueError as error:
        raise ValueError(f"{text}: {error}") from error
