"""Codecs by name: each form that --codec takes, turned into the codec; a name that is none of them is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from semlink.baselines import kodak_rd
from semlink.baselines.adaptation import MODES
from semlink.baselines.doors import QAM_NAME
from semlink.baselines.ideal import CapacityCodec
from semlink.baselines.layered import digital_codec
from semlink.baselines.sources import SOURCES
from semlink.flowgraphs.specs import receivers as receiver_specs
from semlink.flowgraphs.specs.codec_names import PUBLISHED
from semlink.flowgraphs.specs.digital_names import DigitalName, parse_digital, register_doors
from semlink.flowgraphs.specs.feature_link import make_feature_link
from semlink.flowgraphs.specs.harq import (
    asks_rounds,
    make_harq_link,
    make_repeated,
    split_harq,
    split_repeated,
)
from semlink.flowgraphs.specs.near_names import allowed_for, check_mode, plain_names, zoo_codecs
from semlink.flowgraphs.specs.own_blocks import is_own, make_own, missing_module, register_sources
from semlink.flowgraphs.specs.printed_accuracy import PRINTED
from semlink.flowgraphs.specs.prompts import ANALOGUE
from semlink.flowgraphs.specs.secrecy import (
    overhear,
    sealed_source,
    split_listener,
)
from semlink.flowgraphs.specs.teachers import load_trained, make_task_link
from semlink.neural import zoo
from semlink.neural.prompts import PromptAnalogue
from semlink.neural.training import Settings
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Channel, Codec, InformedCodec
from semlink.phy.named import meant

CODECS = ("jpeg-ldpc-qam", "jpeg-ldpc-qam:adaptive", "deepjscc", "swin")
"""What is compared when nothing is said, on awgn."""
DEFAULT_MCS = "16qam-1/2"
"""Of a digital codec that is named without a scheme."""


class UnknownCodecError(ValueError):
    """A name that is no codec's and follows none of their forms."""


def default_codecs(channel: Channel) -> tuple[str, ...]:
    """What is compared when nothing is said: where the channel fades, its digital opponent knows its statistics."""
    if isinstance(channel, AWGN) or getattr(channel, "labels", {}).get("csi") == "none":
        return CODECS
    return tuple(name.replace(":adaptive", ":outage") for name in CODECS)


def make_codecs(names: Sequence[str], *, ratio: float, mcs: str, channel: Channel) -> dict[str, Codec | InformedCodec]:
    """The codecs by name, without the published curves; `channel` tells "outage" the statistics of the fading.

    Raises:
        ValueError: an unknown or repeated codec, or a ratio or scheme it does not have.
    """
    register_sources()
    names = expand(names)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--codec {name!r} is given more than once")
    own = [name for name in names if not name.startswith(PUBLISHED)]
    if not own:
        raise ValueError(f"--codec {names[0]}: a published curve is drawn beside another codec; give one")
    make = partial(_make_codec, ratio=ratio, mcs=mcs, channel=channel)
    made: dict[str, Codec | InformedCodec] = {}
    for name in own:
        codec, listener = split_listener(name)
        built = made[codec] if codec in made else receiver_specs.build(codec, make)
        made[name] = built if listener is None else overhear(built, name, listener)
    return made


def expand(names: Sequence[str]) -> list[str]:
    """The names with each SOURCE-ldpc-qam:all, the whole digital picture, as what it stands for."""
    whole: list[str] = []
    for name in names:
        stem = name.removesuffix(":all")
        ideal = f"{stem.removesuffix('-ldpc-qam')}-capacity"
        every = [stem, *(f"{stem}:{mode}" for mode in MODES), ideal]
        whole += [name] if stem == name else [other for other in every if other not in names]
    return whole


def _make_codec(name: str, *, ratio: float, mcs: str, channel: Channel) -> Codec | InformedCodec:
    digital = parse_digital(name)
    ideal = re.fullmatch(rf"({'|'.join(SOURCES)})-capacity(?::(.+))?", name)
    again = not digital and not ideal and asks_rounds(name)
    if ideal or again or (digital and (digital.scheme or "").split(",")[0] in ("genie", "outage")):
        _check_fades_known(name, channel)
    if ideal:
        _check_bound(name, ideal, channel)
    try:
        if digital:
            return _make_digital(digital, ratio=ratio, mcs=mcs, channel=channel)
        if ideal:
            ceiling, bound = sealed_source(ideal[1], ideal[2], secret=False)
            return CapacityCodec(source=ceiling, ratio=ratio, bound=bound)
        if again:
            stem, asked = split_repeated(name)
            make = partial(_make_codec, stem, mcs=mcs, channel=channel)
            return make_repeated(asked, lambda own: make(ratio=own), ratio=ratio, channel=channel)
        if name == ANALOGUE:
            return PromptAnalogue(ratio=ratio)
    except ValueError as error:
        raise ValueError(f"--codec {name}: {error}") from error
    return _make_named(name, ratio, channel)


def _check_fades_known(name: str, channel: Channel) -> None:
    if getattr(channel, "labels", {}).get("csi") == "none":
        raise ValueError(f"--codec {name}: nobody knows the fades with --csi none")


def _check_bound(name: str, ideal: re.Match[str], channel: Channel) -> None:
    """A ceiling over fades is a closed form, of one channel."""
    known = isinstance(channel, AWGN) or (isinstance(channel, Rayleigh) and channel.csi == "perfect")
    if ideal[2] and ideal[2].startswith(("ergodic", "outage")) and not known:
        on = getattr(channel, "labels", {}).get("spec", type(channel).__name__)
        raise ValueError(f"--codec {name}: that ceiling is of rayleigh, not of {on}; give {ideal[1]}-capacity")


def _make_digital(digital: DigitalName, *, ratio: float, mcs: str, channel: Channel) -> Codec | InformedCodec:
    register_doors(digital)
    scheme, asked = split_harq(digital.scheme)
    source, scheme = sealed_source(digital.source, scheme)
    wanted = scheme or digital.default_scheme(mcs)
    check_mode(wanted)
    if asked:
        code = digital.code if digital.constellation == QAM_NAME else f"{digital.code}-{digital.constellation}"
        return make_harq_link(asked, source=source, code=code, mcs=wanted, ratio=ratio, fading=channel)
    return digital_codec(
        source=source,
        mcs=wanted,
        ratio=ratio,
        code=digital.code,
        fading=channel,
        constellation=digital.constellation,
    )


def _make_named(name: str, ratio: float, channel: Channel) -> Codec | InformedCodec:
    """What is trained, shipped or one's own, and no form of words."""
    if name in zoo_codecs():
        return zoo.load(name, ratio=ratio)
    try:
        if link := make_feature_link(name, channel) or make_task_link(name):
            return link
    except ValueError as error:
        raise ValueError(f"--codec {name}: {error}") from error
    if name.endswith(zoo.WEIGHTS):
        return load_trained(name, ratio=ratio)
    if is_own(name, "codecs"):
        return _codec_of_own(name, ratio)
    if (missing := missing_module(name)) and name.partition(":")[0] not in zoo_codecs():
        raise ValueError(f"--codec {name}: {missing}; `semlink codecs` lists what else there is")
    raise UnknownCodecError(f"--codec {name!r}{meant(name, plain_names())} must be one of: {allowed_for(name)}")


def _codec_of_own(name: str, ratio: float) -> Codec | InformedCodec:
    """The codec that a name of an entry point or MODULE:NAME stands for; a class is given `ratio` if it takes one.

    Raises:
        ValueError: it cannot be had, or is no codec.
    """
    try:
        codec = make_own(name, "codecs", ratio=ratio)
    except ValueError as error:
        raise ValueError(f"--codec {error}") from error
    if not isinstance(codec, Codec | InformedCodec):
        raise ValueError(f"--codec {name} is no codec: it must have encode(image, n0) and decode(received)")
    return codec


def frozen_codec(settings: Settings) -> Codec | None:
    """The codec that a receiver's recipe names, at ratio 1/6, where it is no network: those training finds itself.

    Raises:
        ValueError: an unknown one, or one that needs to know the fades.
    """
    name = settings.codec
    if not name or name.startswith("zoo:") or name.endswith(".safetensors"):  # only receivers name one
        return None
    codec = make_codecs([name], ratio=1 / 6, mcs=DEFAULT_MCS, channel=AWGN())[name]
    if isinstance(codec, InformedCodec) or not isinstance(codec, Codec):
        raise ValueError(f"codec={name!r} must not need the fades to encode; give SOURCE-CODE-qam:adaptive, say")
    return codec


def published_curves(names: Sequence[str], words: Sequence[str], *, channel: Channel) -> list[str]:
    """The names of published curves among the codecs: of rate and distortion, or printed accuracies.

    Raises:
        ValueError: an unknown one, or conditions for which none is published.
    """
    curves = [name.removeprefix(PUBLISHED) for name in names if name.startswith(PUBLISHED)]
    for curve in curves:
        if curve not in (*kodak_rd.names(), *PRINTED):
            raise ValueError(f"--codec {PUBLISHED}{curve}: must be one of: {', '.join([*kodak_rd.names(), *PRINTED])}")
        images = PRINTED[curve].images if curve in PRINTED else "kodak"
        if {word.partition(":")[0] for word in words} != {images} or not isinstance(channel, AWGN):
            raise ValueError(f"--codec {PUBLISHED}{curve}: published for the set {images}, and drawn on awgn alone")
    return curves
