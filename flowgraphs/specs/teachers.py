"""Links for a task from words: `CODEC+classify:TEACHER`, `label:TEACHER[:uses=N]`, `task[:uses=N]`."""

from __future__ import annotations

import re
from pathlib import Path

from torch import nn

from semlink.flowgraphs.specs.own_blocks import Kind, is_own, make_own
from semlink.neural import zoo
from semlink.neural.classifiers import (
    TEACHERS,
    LabelCodec,
    TaskLink,
    Teacher,
    find_teacher,
    load_task,
    read_task_card,
    task_cards,
)
from semlink.phy.link import Codec

CLASSIFY = "classify:"
"""How the name of a teacher behind a codec begins."""
LABEL = "label:"
"""How the name of a codec that sends labels begins."""
FEATURES = "features-ldpc-qam"
"""How the name of the digital feature link begins."""


def make_teacher(name: str) -> Teacher:
    """The teacher of this name, the student of a task codec, or a module of one's own.

    One's own is MODULE:NAME, or the entry point of `semlink.classifiers`; it takes images in [0, 1] and gives logits
    (b, k), or features and logits. It may say by an attribute `side` what images it takes, in pixels a side.

    Raises:
        ValueError: an unknown name, a file that is not to be had, or a module that cannot be made or is no classifier.
    """
    if name in TEACHERS or not is_own(name, "classifiers"):
        return find_teacher(name)
    made = make_own(name, "classifiers")
    if not isinstance(made, nn.Module):
        raise ValueError(f"{name} is a {type(made).__name__}; a teacher must be a torch.nn.Module")
    return Teacher(name, made, side=getattr(made, "side", None))


def make_task_link(name: str) -> LabelCodec | TaskLink | None:
    """The codec of label:TEACHER[:uses=N], or of a task codec that ships or was trained; None for any other name.

    Raises:
        ValueError: a teacher or codec that is not to be had, or a number of channel uses that it cannot send.
    """
    match = re.fullmatch(r"(.*?)(?::uses=([^:]*))?", name, re.DOTALL)
    assert match is not None
    stem, uses = match[1], _uses(name, match[2])
    if stem.startswith(LABEL):
        return LabelCodec(make_teacher(stem.removeprefix(LABEL)), uses=uses)
    if stem not in task_cards() and not is_trained_for_a_task(stem):
        return None
    codec = load_task(stem)
    return codec if uses is None else codec.send(uses)


def is_trained_for_a_task(path: str) -> bool:
    """Whether these are weights, FILE.safetensors, with the card of a task codec beside them."""
    if not path.endswith(zoo.WEIGHTS):
        return False
    try:
        read_task_card(Path(path).with_suffix(".json"))
    except ValueError:
        return False
    return True


def load_trained(path: str, *, ratio: float | None = None) -> Codec:
    """What a training has written, FILE.safetensors: a codec of images or a task codec, as its card says.

    Raises:
        ValueError: no such files, a ratio that the codec does not have, or weights that are not those of the card.
    """
    return load_task(path) if is_trained_for_a_task(path) else zoo.load(path, ratio=ratio)


def block_of(part: str) -> tuple[str, Kind]:
    """What of one's own may stand in a part of a codec's name: a teacher, or a codec."""
    if named := re.fullmatch(rf"{FEATURES}:.*?,teacher=([^,]+).*", part):
        return named[1], "classifiers"
    for prefix in (CLASSIFY, LABEL):
        if part.startswith(prefix):
            return re.sub(r":uses=.*$", "", part.removeprefix(prefix)), "classifiers"
    return part, "codecs"


def _uses(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,6}", text):
        raise ValueError(f"{name}: uses={text} must be a whole number of channel uses")
    return int(text)
