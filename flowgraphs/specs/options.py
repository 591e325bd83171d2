"""What the command line accepts, turned into objects: every refusal names the value and what is allowed."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.baselines import kodak_rd
from semlink.baselines.adaptation import MODES
from semlink.baselines.doors import QAM_NAME
from semlink.baselines.ideal import CapacityCodec
from semlink.baselines.layered import digital_codec
from semlink.baselines.sources import SOURCES
from semlink.flowgraphs.specs import receivers as receiver_specs
from semlink.flowgraphs.specs.digital_names import parse_digital, register_doors
from semlink.flowgraphs.specs.feature_link import make_feature_link
from semlink.flowgraphs.specs.harq import (
    asks_rounds,
    make_harq_link,
    make_repeated,
    split_harq,
    split_repeated,
)
from semlink.flowgraphs.specs.labels import class_folders, numbered
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
from semlink.phy.channels import AWGN, CHANNELS, Rayleigh, parse_channel, with_options
from semlink.phy.impairments import Medium
from semlink.phy.link import Channel, Codec, InformedCodec
from semlink.phy.metrics import METRICS, MissingWeightsError
from semlink.phy.named import meant
from semlink.phy.pictures import DataError
from semlink.phy.rng import probe
from semlink.phy.sources import SAMPLES, cifar10, cifar100, find_images, kodak, load_image, sample_images

CODECS = ("jpeg-ldpc-qam", "jpeg-ldpc-qam:adaptive", "deepjscc", "swin")
"""What is compared when nothing is said, on awgn."""
PUBLISHED = "published:"
"""How a published rate-distortion curve's name begins."""
SETS = "samples, samples:NAME, kodak, cifar10, cifar10:COUNT, cifar100, cifar100:COUNT"
MAX_LEVELS = 1000
DEFAULT_MCS = "16qam-1/2"
"""Of a digital codec that is named without a scheme."""


class UnknownCodecError(ValueError):
    """A name that is no codec's and follows none of their forms."""


def parse_esno(text: str) -> list[float]:
    """Es/N0 in dB from "START:STOP:STEP" (both ends included), "A,B,C" or a single number.

    Raises:
        ValueError: none of these, not finite, reversed, or more than 1,000 values.
    """
    form = f"--esno {text!r}: give START:STOP:STEP with START ≤ STOP and STEP > 0, or A,B,C in rising order, in dB"
    form += ", such as 0:20:2"
    try:
        if ":" in text:
            start, stop, step = (float(part) for part in text.split(":"))
            if not (math.isfinite(start) and math.isfinite(stop) and 0 < step < math.inf and start <= stop):
                raise ValueError(form)
            count = math.floor((stop - start) / step + 1e-9) + 1
            values = [round(start + i * step, 9) for i in range(min(count, MAX_LEVELS + 1))]
        else:
            values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(form) from error
    if not all(-100 <= v <= 100 for v in values):
        raise ValueError(f"{form}; each from -100 to 100")
    if len(values) > MAX_LEVELS or any(b <= a for a, b in pairwise(values)):
        raise ValueError(f"{form}; at most {MAX_LEVELS} values")
    return values


def parse_ratio(text: str) -> float:
    """A bandwidth ratio from "1/6" or "0.1667".

    Raises:
        ValueError: not a number in (0, 1].
    """
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(?:/\s*([0-9.eE+-]+)\s*)?", text)
    try:
        ratio = float(match[1]) / float(match[2] or 1) if match else math.nan
    except (ValueError, ZeroDivisionError):
        ratio = math.nan
    if not 0 < ratio <= 1:
        raise ValueError(f"--ratio {text!r} must be a number above 0 and up to 1, such as 1/6")
    # 0.1666667 is 1/6 to all codecs alike, or one would get a symbol more than another.
    near = float(Fraction(ratio).limit_denominator(100))
    return near if abs(near - ratio) < 1e-6 else ratio


def make_channel(spec: str, *, coherence: str | None, csi: str | None, equaliser: str | None) -> Medium:
    """The channel of a specification, with what the options beside it say; None stands for an option not given.

    Raises:
        ValueError: an unknown channel, or an option that it does not have or take.
    """
    given = {"coherence": coherence, "csi": csi, "equaliser": equaliser}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        channel = own_channel(spec) or parse_channel(with_options(spec, options))
        # What a channel refuses only when it is used shows now, not in the middle of a run.
        channel(probe(1, 64), 0.1, rng=torch.Generator().manual_seed(0))
        return channel
    except ValueError as error:
        raise ValueError(f"--channel: {error}") from error


def own_channel(spec: str) -> Medium | None:
    """The channel that a name of an entry point or MODULE:NAME stands for; None where it is neither.

    Raises:
        ValueError: it cannot be had, or is no channel.
    """
    if spec.partition(":")[0] in CHANNELS or not is_own(spec, "channels"):
        return None
    channel = make_own(spec, "channels")
    if not callable(channel):
        raise ValueError(f"{spec} is no channel: it must be callable, channel(symbols, n0, rng=...)")
    return cast(Medium, channel)


def make_codec_of_own(name: str, ratio: float) -> Codec | InformedCodec:
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


def default_codecs(channel: Channel) -> tuple[str, ...]:
    """What is compared when nothing is said: where the channel fades, its digital opponent knows its statistics."""
    if isinstance(channel, AWGN) or getattr(channel, "labels", {}).get("csi") == "none":
        return CODECS
    return tuple(name.replace(":adaptive", ":outage") for name in CODECS)


def check_count(option: str, value: int | None, least: int) -> None:
    """Raise ValueError unless a count is at least so much, or not given."""
    if value is not None and value < least:
        raise ValueError(f"{option} {value} must be at least {least}")


def parse_labels(given: Sequence[str], codecs: Sequence[str]) -> dict[str, str]:
    """What curves are called, by codec, from CODEC=TEXT.

    Raises:
        ValueError: not of this form, none of these codecs, or two that would be called the same.
    """
    shown: dict[str, str] = {}
    for one in given:
        # A codec's own name may have an equals sign (steps=1), and so may the text.
        codec = next((name for name in sorted(codecs, key=len, reverse=True) if one.startswith(f"{name}=")), None)
        if codec is None or not one.removeprefix(f"{codec}=").strip():
            raise ValueError(f"--label {one!r} must be CODEC=TEXT, CODEC one of: {', '.join(codecs)}")
        shown[codec] = one.removeprefix(f"{codec}=").strip()
    names = [shown.get(codec, codec) for codec in codecs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"--label: two codecs would be called {twice!r}")
    return shown


def parse_metrics(names: Sequence[str]) -> list[str]:
    """Perceptual metrics by name, each once.

    Raises:
        ValueError: an unknown one, or one whose weights are not to be had.
    """
    for name in names:
        if name not in METRICS:
            raise ValueError(f"--metric {name!r} must be one of: {', '.join(METRICS)}")
        try:
            METRICS[name].load()
        except MissingWeightsError as error:
            raise ValueError(f"--metric {name}: {error}") from error
    return list(dict.fromkeys(names))


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
    knowing = ideal or again or (digital and (digital.scheme or "").split(",")[0] in ("genie", "outage"))
    if knowing and getattr(channel, "labels", {}).get("csi") == "none":
        raise ValueError(f"--codec {name}: nobody knows the fades with --csi none")
    known = isinstance(channel, AWGN) or (isinstance(channel, Rayleigh) and channel.csi == "perfect")
    if ideal and ideal[2] and ideal[2].startswith(("ergodic", "outage")) and not known:
        on = getattr(channel, "labels", {}).get("spec", type(channel).__name__)
        raise ValueError(f"--codec {name}: that ceiling is of rayleigh, not of {on}; give {ideal[1]}-capacity")
    try:
        if digital:
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
        return make_codec_of_own(name, ratio)
    if (missing := missing_module(name)) and name.partition(":")[0] not in zoo_codecs():
        raise ValueError(f"--codec {name}: {missing}; `semlink codecs` lists what else there is")
    raise UnknownCodecError(f"--codec {name!r}{meant(name, plain_names())} must be one of: {allowed_for(name)}")


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


def load_images(words: Sequence[str], *, broken: list[str] | None = None) -> dict[str, Float[Tensor, "1 3 h w"]]:
    """Images by name from files, folders and names of sets.

    Args:
        words: "samples" where there are none.
        broken: takes what is wrong with each picture of a folder that cannot be read, which is then left out.

    Raises:
        ValueError: a word that is none of these, an image that cannot be read, of a folder where there is no `broken`
            to take it or no other picture, or one given twice.
    """
    images: dict[str, Tensor] = {}
    seen: set[str] = set()
    for word in words or ["samples"]:
        for name, image in _images(word, broken).items():
            path = os.path.realpath(name)
            if path in seen:
                raise ValueError(f"image {name!r} is given more than once")
            seen.add(path)
            images[name] = image
    return images


def _images(word: str, broken: list[str] | None = None) -> Mapping[str, Tensor]:
    if word == "samples":
        return _samples()
    if word.startswith("samples:"):
        return _one_sample(word.removeprefix("samples:"))
    if word == "kodak":
        return kodak()
    if match := re.fullmatch(r"(cifar100?)(?::(\d+))?", word):
        return _tested(match[1], match[2])
    path = Path(word)
    if path.is_dir():
        if folders := class_folders(path):
            return _readable([p for one in folders for p in find_images(one)], broken)
        return _readable(find_images(path), broken)
    if not path.exists():
        near = meant(word, ["samples", "kodak", "cifar10", "cifar100"])
        raise ValueError(f"image {word}: no such file or folder{near}, nor one of the sets: {SETS}")
    return {word: load_image(path)}


def _samples() -> dict[str, Tensor]:
    return dict(zip(SAMPLES, torch.split(sample_images(), 1), strict=True))


def _one_sample(name: str) -> dict[str, Tensor]:
    if name not in SAMPLES:
        raise ValueError(f"image samples:{name}: must be one of: {', '.join(SAMPLES)}")
    return {name: _samples()[name]}


def _readable(paths: Sequence[Path], broken: list[str] | None) -> Mapping[str, Tensor]:
    images: dict[str, Tensor] = {}
    wrong: list[DataError] = []
    for path in paths:
        try:
            images[str(path)] = load_image(path)
        except DataError as error:
            if broken is None:
                raise
            wrong.append(error)
    if wrong and not images:
        raise wrong[0]
    if broken is not None:
        broken += map(str, wrong)
    return images


def _tested(name: str, count: str | None) -> Mapping[str, Tensor]:
    """The first test images of CIFAR-10 or CIFAR-100."""
    chosen = 10_000 if count is None else int(count)
    if not 1 <= chosen <= 10_000:
        raise ValueError(f"image set {name}:{count}: the count must be 1 … 10000")
    images = cifar10("test") if name == "cifar10" else cifar100()
    return {numbered(name, i): image for i, image in enumerate(torch.split(images[:chosen], 1))}
