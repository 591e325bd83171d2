"""CODEC+RECEIVER[:OPTION=VALUE,...]: a codec whose reception, or decoded image, goes through a trained receiver.

`swin+sft-swin`, `swin+cddm-swin:steps=5`, `jpeg-ldpc-qam:adaptive+sft-jpeg`, `swin+runs/mine/mine.safetensors`, and
several in a row, `swin+cddm-swin+sft-swin`. `swin+classify:resnet56` is a teacher behind whatever shows images.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semlink.flowgraphs.specs.secrecy import KEYED, hide
from semlink.flowgraphs.specs.teachers import CLASSIFY, make_teacher
from semlink.neural.classifiers import Classified, Teacher
from semlink.neural.diffusion import (
    SFT,
    Denoised,
    ReceiverCard,
    Refined,
    Refiner,
    SymbolDenoiser,
    find_receiver,
    read_receiver,
)
from semlink.phy.link import Codec, InformedCodec

AnyCodec = Codec | InformedCodec

JOINT = "+"
"""Between a codec and the receiver behind it."""
FORM = "CODEC+RECEIVER[:steps=N,sampler=ddim|mean|ancestral,seed=N]"


@dataclass(frozen=True)
class ReceiverSpec:
    """A receiver as the command line names it.

    Attributes:
        name: of one that ships, or the path of a weights file.
        options: after the colon, by name.
    """

    name: str
    options: Mapping[str, str]


def split_codec(text: str) -> tuple[str, list[ReceiverSpec]]:
    """The codec's name and the receivers behind it, in the order in which they work.

    Raises:
        ValueError: an empty part, or options that are not NAME=VALUE, each once.
    """
    codec, *receivers = text.split(JOINT)
    if not codec or not all(receivers):
        raise ValueError(f"{text!r}: a part is empty; give {FORM}")
    return codec, [_parse(one) for one in receivers]


def _parse(text: str) -> ReceiverSpec:
    match = re.fullmatch(r"(.+?)(?::([a-z]+=.*))?", text)
    assert match is not None
    options: dict[str, str] = {}
    for part in (match[2] or "").split(",") if match[2] else []:
        name, equals, value = part.partition("=")
        if not equals or not value or name in options:
            raise ValueError(f"{text!r}: options must be NAME=VALUE,NAME=VALUE, each once, such as steps=1")
        options[name] = value
    return ReceiverSpec(match[1], options)


def receive_with(
    codec: AnyCodec,
    receivers: Sequence[ReceiverSpec],
    *,
    name: str,
    read: Callable[[ReceiverCard, Path], Refiner | SymbolDenoiser] = read_receiver,
    teach: Callable[[str], Teacher] = make_teacher,
) -> AnyCodec:
    """The codec with its receivers, each loaded, checked against it and noted.

    Args:
        codec: what they receive from.
        receivers: as `split_codec` gives them.
        name: the codec's own, by which a short name of a receiver is completed: "sft" is "sft-gsc" behind "swin-gsc".
        read: gives the network of a card and its weights file; it is left as it is.
        teach: gives the teacher of a name.

    Raises:
        ValueError: an unknown receiver, one that the codec cannot have, or an option that it lacks or cannot take.
    """
    for spec in receivers:
        if spec.name == KEYED:  # of symbols, whatever is decoded of them
            codec = hide(codec, spec.options)
            continue
        if isinstance(getattr(codec, "classes", None), int):
            raise ValueError(f"receiver {spec.name}: takes images; what is before it gives logits")
        if spec.name.startswith(CLASSIFY):
            codec = Classified(codec, teach(spec.name.removeprefix(CLASSIFY)))
            continue
        card, path = find_receiver(spec.name, codec=name)
        codec = _with(codec, spec, name, card, read(card, path))
    return codec


def _with(
    codec: AnyCodec, spec: ReceiverSpec, name: str, card: ReceiverCard, model: Refiner | SymbolDenoiser
) -> Refined | Denoised:
    _check_options(spec, card, model)
    steps = _number(spec, "steps")
    if isinstance(model, SymbolDenoiser):
        taken = 1 if steps is None else steps
        return Denoised(codec, model, steps=taken, note=_note(card, name, f"{taken} step{'s' * (taken > 1)}"))
    if not isinstance(model, SFT):
        return Refined(codec, model, note=_note(card, name, "no sampling"))
    if spec.options.keys() & {"steps", "sampler"}:
        model = copy.copy(model)  # with the same weights
        model.sample_by(spec.options.get("sampler"), steps=steps)
    taken, of = model.sampling_steps or model.schedule.steps, model.schedule.steps
    how = f"prior sampled in {taken} of {of} steps by {model.sampler!r}"
    return Refined(codec, model, seed=_number(spec, "seed") or 0, note=_note(card, name, how))


def _check_options(spec: ReceiverSpec, card: ReceiverCard, model: Refiner | SymbolDenoiser) -> None:
    if isinstance(model, SymbolDenoiser):
        allowed: tuple[str, ...] = ("steps",)
    else:
        allowed = ("steps", "sampler", "seed") if isinstance(model, SFT) else ()
    unknown = next((name for name in spec.options if name not in allowed), None)
    if unknown is not None:
        offer = f"must be among: {', '.join(allowed)}" if allowed else "it has none"
        raise ValueError(f"receiver {spec.name}, a {card.model}: option {unknown!r}: {offer}")


def _number(spec: ReceiverSpec, name: str) -> int | None:
    """An option that is a whole number; None where it is not given."""
    value = spec.options.get(name)
    if value is not None and not re.fullmatch("[0-9]{1,9}", value):
        raise ValueError(f"receiver {spec.name}: {name}={value} must be a whole number")
    return None if value is None else int(value)


def _note(card: ReceiverCard, codec: str, how: str) -> str:
    trained = card.codec.removeprefix("zoo:")
    elsewhere = "" if trained == codec else f", not behind {codec}"
    return f"{card.name} ({card.model}, {how}; trained behind {trained}{elsewhere})"


def build(text: str, make: Callable[[str], AnyCodec]) -> AnyCodec:
    """The codec of CODEC or CODEC+RECEIVER…, where `make` knows the codecs.

    Raises:
        ValueError: what `make`, `split_codec` and `receive_with` raise, with the whole text before it.
    """
    if JOINT not in text:
        return make(text)
    try:
        codec, receivers = split_codec(text)
        return receive_with(make(codec), receivers, name=codec)
    except ValueError as error:
        raise ValueError(f"--codec {text}: {str(error).removeprefix('--codec ')}") from error
