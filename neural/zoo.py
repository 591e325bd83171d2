"""The trained models that ship with the package.

Beside each weights file lies a card of the same name, `NAME.json`: ratio, shape of the network, parameters, training
data and command, SHA-256 of the weights, and figures measured by `semlink zoo --measure NAME`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path

from safetensors.torch import load_file

from semlink.neural.deepjscc import DeepJSCC

PACKAGE = "semlink.neural.weights"


@dataclass(frozen=True)
class Card:
    """What is known of a trained model.

    Attributes:
        name: of the weights file, such as "deepjscc-6".
        codec: of the network, as `load` and the command line call it.
        ratio: complex channel uses / (c·h·w).
        cell_symbols, widths: arguments of `DeepJSCC`.
        parameters: their number.
        data: what it was trained on.
        command: what trained it.
        sha256: of the weights file.
        figures: by "SET CHANNEL", PSNR in dB (from the mean squared error) by Es/N0 in dB.
    """

    name: str
    codec: str
    ratio: float
    cell_symbols: int
    widths: tuple[int, int]
    parameters: int
    data: str
    command: str
    sha256: str
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def cards() -> dict[str, Card]:
    """The cards of all models, by name."""
    with _folder() as folder:
        read = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return {card["name"]: Card(**{**card, "widths": tuple(card["widths"])}) for card in read}


def names() -> list[str]:
    """The codecs that `load` knows."""
    return sorted({card.codec for card in cards().values()})


def load(name: str, *, ratio: float = 1 / 6) -> DeepJSCC:
    """The trained codec `name` at a ratio, ready to use on the CPU.

    Raises:
        ValueError: no such codec or no such ratio (the message lists what there is), or weights whose hash is not the
            one on the card.
    """
    if name not in names():
        raise ValueError(f"codec {name!r} must be one of: {', '.join(names())}")
    having = {card.ratio: card for card in cards().values() if card.codec == name}
    fitting = [card for known, card in having.items() if abs(known - ratio) < 1e-6]
    if not fitting:
        raise ValueError(
            f"ratio={ratio:g} must be, for {name}, one of: {', '.join(f'1/{1 / r:g}' for r in sorted(having))}"
        )
    card = fitting[0]
    model = DeepJSCC(card.cell_symbols, card.widths)
    with _folder() as folder:
        path = folder / f"{card.name}.safetensors"
        if sha256(path) != card.sha256:
            raise ValueError(
                f"weights {path}: SHA-256 differs from the card's; the file is damaged or of another version"
            )
        model.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return model.eval().requires_grad_(False)


def write_card(card: Card, folder: Path) -> None:
    """Write `NAME.json` beside the weights."""
    (folder / f"{card.name}.json").write_text(json.dumps(asdict(card), indent=2) + "\n")


def sha256(path: Path) -> str:
    """Hash of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _folder() -> Iterator[Path]:
    with resources.as_file(resources.files(PACKAGE)) as folder:
        yield folder
