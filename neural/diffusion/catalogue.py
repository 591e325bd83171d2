"""The receivers' networks by name, the training tasks they fit, and the card that a training leaves beside them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from semlink.neural import zoo
from semlink.neural.diffusion.cddm import SymbolDenoiser
from semlink.neural.diffusion.control import ResidualCNN
from semlink.neural.diffusion.sft import CONFIGS, SFT
from semlink.neural.models import Network, build_of
from semlink.phy.documents import write_whole

RECEIVERS: Mapping[str, Callable[..., nn.Module]] = {
    **{name: partial(SFT, **config) for name, config in CONFIGS.items()},
    "cddm": SymbolDenoiser,
    "residual-cnn": ResidualCNN,
}
TASKS: Mapping[str, tuple[str, ...]] = {
    "sft-1": tuple(CONFIGS),
    "sft-2": tuple(CONFIGS),
    "cddm": ("cddm",),
    "control": ("residual-cnn",),
}
"""Which networks each training task takes: both stages of semantic fine-tuning, channel denoising, and the control."""


@dataclass(frozen=True)
class ReceiverCard:
    """What is known of a trained receiver.

    Attributes:
        name: of the weights file.
        model: of the network, one of `RECEIVERS`.
        network: arguments of the network's class.
        parameters: their number, those that only training needs included.
        task: one of `TASKS`.
        codec: the frozen codec that it was trained behind.
        data: what it was trained on.
        channel: the channels and Es/N0 it was trained for.
        command: what trained it.
        sha256: of the weights file.
        figures: by condition ("CIFAR-10 test, the first 2000, AWGN"), then quantity, then Es/N0 in dB, as
            `semlink zoo --measure NAME` measures them: see `semlink.flowgraphs.comparison.measure_figures`.
        esno_db: lowest and highest average Es/N0 of all stages of the training; None for those that `channel` names.
    """

    name: str
    model: str
    network: Mapping[str, Any]
    parameters: int
    task: str
    codec: str
    data: str
    channel: str
    command: str
    sha256: str
    figures: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    esno_db: tuple[float, float] | None = None


def build_receiver(model: str, network: Mapping[str, Any]) -> nn.Module:
    """The network `model` with random weights and the arguments `network`; lists count as tuples.

    Raises:
        ValueError: an unknown model, or an argument that it lacks or cannot take.
    """
    return build_of(RECEIVERS, model, network)


def load_codec(where: str) -> Network:
    """A trained codec with frozen weights: "zoo:NAME", or the path of a weights file with its card beside it.

    Raises:
        ValueError: neither of the two, or weights that are not those of the card's network.
    """
    if where.startswith("zoo:"):
        return zoo.load(where.removeprefix("zoo:"))
    card = Path(where).with_suffix(".json")
    if Path(where).suffix != ".safetensors" or not card.is_file():
        raise ValueError(
            f"codec={where!r} must be zoo:NAME or a weights file with its card beside it; any other codec is handed to "
            "`train` by the caller (codec=…)"
        )
    return zoo.load_run(card.parent, card.stem)


def write_receiver_card(card: ReceiverCard, folder: Path) -> None:
    """Write `NAME.json` beside the weights."""
    write_whole(folder / f"{card.name}.json", json.dumps(asdict(card), indent=2) + "\n")
