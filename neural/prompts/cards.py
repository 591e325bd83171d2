"""Trained models of prompts: a card beside the weights of each, those that ship and those that a training has left."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from torch import nn

from semlink.neural import zoo
from semlink.neural.card_files import (
    Check,
    is_count,
    is_figures,
    is_file_name,
    is_table,
    is_text,
    packaged,
    read_fields,
)
from semlink.neural.models import build_of
from semlink.neural.prompts.autoencoder import PromptAutoencoder
from semlink.phy.documents import in_short, write_whole

PACKAGE = "semlink.neural.weights.prompts"
PROMPT_MODELS: Mapping[str, Callable[..., nn.Module]] = {"diffae-small": PromptAutoencoder}
"""The networks that the task "prompts" of a recipe trains, by name."""
DEFAULT = "prompt-32"
"""The model that is meant where none is named."""


@dataclass(frozen=True)
class PromptCard:
    """What is known of a trained model of prompts.

    Attributes:
        name: of the weights file.
        model: of the network, one of `PROMPT_MODELS`.
        network: arguments of the network's class.
        parameters: their number.
        steps: how many of the recipe's steps were taken, and of how many.
        data: what it was trained on.
        command: what trained it.
        sha256: of the weights file, of which a prompt names the first two bytes.
        figures: by condition, then quantity, numbers.
    """

    name: str
    model: str
    network: Mapping[str, Any]
    parameters: int
    steps: str
    data: str
    command: str
    sha256: str
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def mark(self) -> int:
        """The 16 bits by which a prompt names its model."""
        return int(self.sha256[:4], 16)


CHECKS: Mapping[str, Check] = {
    "name": is_file_name,
    "model": is_text,
    "network": is_table,
    "parameters": is_count,
    **dict.fromkeys(("steps", "data", "command", "sha256"), is_text),
    "figures": is_figures(2),
}
"""What the fields of a card may be."""


def build_prompt_model(model: str, network: Mapping[str, Any]) -> PromptAutoencoder:
    """The network `model` with random weights and the arguments `network`; lists count as tuples.

    Raises:
        ValueError: an unknown model, or an argument that it lacks or cannot take.
    """
    return cast(PromptAutoencoder, build_of(PROMPT_MODELS, model, network))


def prompt_cards() -> dict[str, PromptCard]:
    """The cards of the models that ship, by name."""
    with packaged(PACKAGE) as folder:
        return {path.stem: read_prompt_card(path) for path in sorted(folder.glob("*.json"))}


def load_prompt_model(name_or_path: str | Path = DEFAULT) -> tuple[PromptAutoencoder, PromptCard]:
    """A trained model, ready to use on the CPU: one that ships, or of a weights file with its card beside it.

    Raises:
        ValueError: no such model, a card that is none, or weights that are not those of the card.
    """
    path = Path(name_or_path)
    if path.suffix == ".safetensors":
        return _load(path)
    with packaged(PACKAGE) as folder:
        if not (folder / f"{path}.json").is_file():
            offer = ", ".join(one.stem for one in sorted(folder.glob("*.json"))) or "none that ships"
            raise ValueError(f"prompt model {str(path)!r} must be one of: {offer}; or a weights file NAME.safetensors")
        return _load(folder / f"{path}.safetensors")


def read_prompt_card(path: Path) -> PromptCard:
    """The card of a model of prompts.

    Raises:
        ValueError: it is none, or damaged.
    """
    try:
        values = read_fields(path, PromptCard, CHECKS)
        int(values["sha256"][:4], 16)
    except (OSError, ValueError) as error:
        raise ValueError(f"card {path}: not the card of a model of prompts ({in_short(error)})") from error
    return PromptCard(**values)


def write_prompt_card(card: PromptCard, folder: Path) -> None:
    """Write `NAME.json` beside the weights."""
    write_whole(folder / f"{card.name}.json", json.dumps(asdict(card), indent=2) + "\n")


def _load(path: Path) -> tuple[PromptAutoencoder, PromptCard]:
    card = read_prompt_card(path.with_suffix(".json"))
    if not path.is_file():
        raise ValueError(f"weights {path}: no such file; train it first")
    zoo.check_weights(path, card.sha256)
    return _kept(path, card.sha256, card.model, json.dumps(dict(card.network))), card


@lru_cache(4)
def _kept(path: Path, sha256: str, model: str, network: str) -> PromptAutoencoder:  # noqa: ARG001 - what it is kept by
    built = build_prompt_model(model, json.loads(network))
    zoo.read_weights(built, path)
    return built.eval().requires_grad_(False)
