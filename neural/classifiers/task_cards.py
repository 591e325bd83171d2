"""Trained task codecs: a card beside the weights of each, those that ship and those that a training has left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural import zoo
from semlink.neural.card_files import (
    Check,
    is_count,
    is_esno_range,
    is_figures,
    is_file_name,
    is_table,
    is_text,
    packaged,
    read_fields,
)
from semlink.neural.classifiers.paper_codec import PaperTaskCodec
from semlink.neural.classifiers.seen import Seen
from semlink.neural.classifiers.task import TaskCodec
from semlink.neural.classifiers.task_link import SIDE, TaskLink
from semlink.neural.classifiers.teachers import TEACHERS, Teacher, load_teacher
from semlink.neural.models import build_of
from semlink.phy.devices import chosen_device
from semlink.phy.documents import in_short, write_whole

PACKAGE = "semlink.neural.weights.tasks"
TASK_MODELS: Mapping[str, Callable[..., nn.Module]] = {"task": TaskCodec, "task-paper": PaperTaskCodec}
"""The networks that the tasks "distil" and "robust" of a recipe train, by name."""


@dataclass(frozen=True)
class TaskCard:
    """What is known of a trained task codec.

    Attributes:
        name: of the weights file.
        model: of the network, one of `TASK_MODELS`.
        network: arguments of the network's class.
        parameters: their number.
        multiply_adds: of an image, by "student", "transmitter" and "receiver".
        teacher: that it was distilled from.
        data: what it was trained on.
        channel: the channels and Es/N0 it was trained for.
        command: what trained it.
        sha256: of the weights file.
        figures: by condition, then Es/N0 in dB, the accuracy as a share.
        esno_db: lowest and highest Es/N0 of all stages of the training; None for those that `channel` names.
    """

    name: str
    model: str
    network: Mapping[str, Any]
    parameters: int
    multiply_adds: Mapping[str, int]
    teacher: str
    data: str
    channel: str
    command: str
    sha256: str
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    esno_db: tuple[float, float] | None = None


CHECKS: Mapping[str, Check] = {
    "name": is_file_name,
    "model": is_text,
    "network": is_table,
    "parameters": is_count,
    "multiply_adds": is_figures(1),
    **dict.fromkeys(("teacher", "data", "channel", "command", "sha256"), is_text),
    "figures": is_figures(2),
    "esno_db": is_esno_range,
}
"""What the fields of a card may be."""


def build_task(model: str, network: Mapping[str, Any]) -> TaskLink:
    """The network `model` with random weights and the arguments `network`; lists count as tuples.

    Raises:
        ValueError: an unknown model, an image codec among them, or an argument that it lacks or cannot take.
    """
    return cast(TaskLink, build_of(TASK_MODELS, model, network))


def task_cards() -> dict[str, TaskCard]:
    """The cards of the task codecs that ship, by name; none where none was trained yet."""
    with packaged(PACKAGE) as folder:
        return {path.stem: read_task_card(path) for path in sorted(folder.glob("*.json"))}


def load_task(name_or_path: str | Path) -> TaskLink:
    """A trained task codec, ready to use on `chosen_device()`: one that ships, or a weights file with a card beside it.

    Raises:
        ValueError: no such codec, a card that is none, or weights that are not those of the card.
    """
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        return _load(path)
    with packaged(PACKAGE) as folder:
        if not (folder / f"{path}.json").is_file():
            offer = ", ".join(one.stem for one in sorted(folder.glob("*.json")))
            said = f"one of: {offer}; or" if offer else "(this version ships none)"
            raise ValueError(f"task codec {str(path)!r} must be {said} a weights file NAME.safetensors with its card")
        return _load(folder / f"{path}.safetensors")


class StudentAlone(nn.Module):
    """The student of a task codec: images to features and logits, without a channel."""

    def __init__(self, codec: TaskLink) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Seen:
        """What the student makes of them."""
        return self.codec.see_image(image)


def find_teacher(name: str) -> Teacher:
    """A teacher by name, or the student of a task codec, one that ships or a weights file with its card beside it.

    Raises:
        ValueError: as `load_teacher` and `load_task`.
    """
    if name in TEACHERS or not (name.endswith(".safetensors") or name in task_cards()):
        return load_teacher(name)
    return Teacher(name, StudentAlone(load_task(name)), side=SIDE)


def read_task_card(path: Path) -> TaskCard:
    """The card of a task codec.

    Raises:
        ValueError: it is none, or damaged.
    """
    try:
        values = read_fields(path, TaskCard, CHECKS)
    except (OSError, ValueError) as error:
        raise ValueError(f"card {path}: not the card of a task codec ({in_short(error)})") from error
    levels = values.get("esno_db")
    return TaskCard(**{**values, "esno_db": tuple(levels) if levels else None})


def write_task_card(card: TaskCard, folder: Path) -> None:
    """Write `NAME.json` beside the weights."""
    write_whole(folder / f"{card.name}.json", json.dumps(asdict(card), indent=2) + "\n")


def _load(path: Path) -> TaskLink:
    card = read_task_card(path.with_suffix(".json"))
    if path.is_file():
        zoo.check_weights(path, card.sha256)
    model = build_task(card.model, card.network)
    zoo.read_weights(model, path)
    zoo.hold(model, card.channel, card.esno_db)
    model.eval().requires_grad_(False).to(chosen_device())
    return model
