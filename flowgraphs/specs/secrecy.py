"""Keys and eavesdroppers from words: `swin+keyed:key=FILE`, `jpeg-ldpc-qam:adaptive,key=FILE`, `swin@awgn:esno=-10`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import torch

from semlink.baselines.sources import AVIF, Resolutions, Sealed, SourceCoder, find_source, link_source
from semlink.phy.channels import CHANNELS, parse_channel
from semlink.phy.link import Codec, InformedCodec
from semlink.phy.rng import probe
from semlink.phy.security import Eavesdropper, Key, Keyed, Overheard, key_of_environment, read_key

AnyCodec = Codec | InformedCodec
KEYED = "keyed"
"""Stands where a receiver would: a codec whose symbols are hidden by a key."""
SOURCE_OPTIONS = {"resolution": "resolution=full|chosen", "speed": "speed=0…10 (of avif)"}
"""What may be said of a source coder behind the scheme, and how."""
AT = "@"
"""Between a codec and the channel of the eavesdropper who hears it."""
EAVESDROPPER_FORM = "NAME[:esno=DB,key=yes,OPTION,...][+STAGE...]"
"""A channel with two options more: how much better she hears than the receiver, and whether she has the key."""


def key_of(options: Mapping[str, str], what: str) -> Key:
    """The key that `key=FILE` or `env=NAME` stands for.

    Raises:
        ValueError: neither or both, or a key that is not to be had.
    """
    if ("key" in options) == ("env" in options):
        raise ValueError(f"{what}: give key=FILE or env=NAME, one of them: 32 bytes, or 64 hex digits")
    return read_key(options["key"]) if "key" in options else key_of_environment(options["env"])


def hide(codec: AnyCodec, options: Mapping[str, str]) -> Keyed:
    """The codec behind the keyed transform that the options of `+keyed` describe.

    Raises:
        ValueError: an unknown option, or a key or nonce that is refused.
    """
    unknown = next((name for name in options if name not in ("key", "env", "nonce")), None)
    if unknown is not None:
        raise ValueError(f"{KEYED}: option {unknown!r}: must be among: key, env, nonce")
    nonce = options.get("nonce", "0")
    if not re.fullmatch("[0-9]{1,19}", nonce):
        raise ValueError(f"{KEYED}: nonce={nonce} must be a whole number from 0")
    return Keyed(codec, key_of(options, KEYED), nonce=int(nonce))


def sealed_source(source: str, scheme: str | None, *, secret: bool = True) -> tuple[str | SourceCoder, str | None]:
    """The source coder and scheme of SOURCE-CODE-qam:SCHEME,OPTION,…: as the options say, sealed where one is a key.

    Args:
        source: its name.
        scheme: with the options behind it; nothing or options alone will do.
        secret: whether a key may be among them; it may not for a ceiling, whose scheme is a bound.

    Raises:
        ValueError: an option that it has not or cannot take, or a key that is refused.
    """
    first, *others = (scheme or "").split(",")
    known = (*SOURCE_OPTIONS, *(("key", "env") if secret else ()))
    alone = "=" in first and (secret or first.partition("=")[0] in known)
    given = [first, *others] if alone else others
    if not given:
        return source, scheme
    options = dict(one.partition("=")[::2] for one in given)
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None or len(options) < len(given):
        allowed = ["key=FILE, env=NAME"] * secret + list(SOURCE_OPTIONS.values())
        raise ValueError(f"option {unknown or given[-1]!r}: must be among: {', '.join(allowed)}, once")
    coder = _source_with(source, options)
    if options.keys() & {"key", "env"}:
        keys = {name: value for name, value in options.items() if name in ("key", "env")}
        return Sealed(link_source(coder), key_of(keys, source)), None if alone else first
    return coder, None if alone else first


def _source_with(source: str, options: Mapping[str, str]) -> str | SourceCoder:
    """The source coder of a name with what options say of it; its name where they say nothing."""
    speed, resolution = options.get("speed"), options.get("resolution", "chosen")
    if resolution not in ("chosen", "full"):
        raise ValueError(f"resolution={resolution} must be one of: chosen, full")
    if speed is None:
        return source if resolution == "chosen" else find_source(source)
    if source != "avif":
        raise ValueError(f"speed={speed}: {source} has none; avif has")
    if not re.fullmatch("[0-9]{1,2}", speed):
        raise ValueError(f"speed={speed} must be 0 (the slowest and best) … 10")
    coder = AVIF(int(speed))
    return Resolutions(coder) if resolution == "chosen" else coder


def split_listener(name: str) -> tuple[str, str | None]:
    """A codec's name, and the eavesdropper's text behind it, for CODEC@CHANNEL…; None where nobody else listens."""
    codec, at, text = name.rpartition(AT)
    heard = at and re.split(r"[:+]", text)[0] in CHANNELS
    return (codec, text) if heard else (name, None)


def listened_to(name: str, eavesdropper: str | None) -> str:
    """The name of a codec as an eavesdropper hears it; the codec's own for None."""
    return name if eavesdropper is None else f"{name}{AT}{eavesdropper}"


def with_eavesdropper(names: Sequence[str], eavesdropper: str | None) -> list[str]:
    """Each codec, and beside it how she hears it; those that are named with a listener are left as they are.

    Raises:
        ValueError: an eavesdropper that is refused.
    """
    if eavesdropper is None:
        return list(names)
    parse_eavesdropper(eavesdropper)
    both = [other for name in names for other in _and_heard(name, eavesdropper)]
    return list(dict.fromkeys(both))


def parse_eavesdropper(text: str) -> Eavesdropper:
    """The eavesdropper of a channel's specification that may say esno=DB and key=yes beside the channel's options.

    Raises:
        ValueError: as of a channel, or those two with other values.
    """
    first, plus, stages = text.partition("+")
    name, _, given = first.partition(":")
    options = [one.strip() for one in given.split(",") if one.strip()]
    own: dict[str, str] = {}
    for option in list(options):
        key, equals, value = option.partition("=")
        if equals and key in ("esno", "key"):
            options.remove(option)
            own[key] = value if own.get(key, value) == value else f"{own[key]},{key}={value}"  # refused below
    try:
        if (known := own.get("key", "no")) not in ("yes", "no"):
            raise ValueError(f"key={known} must be one of: yes, no")
        offset = re.fullmatch(r"([-+]?[0-9]+(?:\.[0-9]+)?)(?:dB)?", own.get("esno", "0"))
        if offset is None:
            raise ValueError(f"esno={own['esno']} must be a number of dB beyond the link's own Es/N0")
        channel = parse_channel(f"{name}{':' if options else ''}{','.join(options)}{plus}{stages}")
        channel(probe(1, 64), 0.1, rng=torch.Generator().manual_seed(0))  # what it refuses only when it is used
        return Eavesdropper(channel, float(offset[1]), knows_key=known == "yes")
    except ValueError as error:
        raise ValueError(f"--eavesdropper {text}: {error}") from error


def overhear(codec: AnyCodec, name: str, text: str) -> Overheard:
    """The codec as the eavesdropper of a text hears it.

    Raises:
        ValueError: an eavesdropper that is refused, or a codec that cannot be overheard.
    """
    try:
        return Overheard(codec, parse_eavesdropper(text))
    except ValueError as error:
        raise ValueError(f"--codec {name}: {error}") from error


def _and_heard(name: str, eavesdropper: str) -> Iterable[str]:
    return (name,) if split_listener(name)[1] is not None else (name, listened_to(name, eavesdropper))
