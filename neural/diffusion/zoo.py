"""The trained receivers that ship with the package, and those that a training has left in a folder.

Beside each weights file lies a card of the same name, `NAME.json` (`ReceiverCard`), with figures measured by
`semlink zoo --measure NAME`. NAME says what it is and which codec it was trained behind: `sft-swin`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from semlink.neural import zoo
from semlink.neural.card_files import (
    Check,
    Stamp,
    is_count,
    is_esno_range,
    is_figures,
    is_file_name,
    is_table,
    is_text,
    packaged,
    read_fields,
    stamps,
)
from semlink.neural.diffusion.catalogue import ReceiverCard, build_receiver, write_receiver_card
from semlink.neural.diffusion.cddm import SymbolDenoiser
from semlink.neural.diffusion.refiner import Refiner
from semlink.phy.devices import chosen_device
from semlink.phy.documents import in_short

PACKAGE = "semlink.neural.weights.receivers"
CHECKS: Mapping[str, Check] = {
    "name": is_file_name,
    "model": is_text,
    "network": is_table,
    "parameters": is_count,
    **dict.fromkeys(("task", "codec", "data", "channel", "command", "sha256"), is_text),
    "figures": is_figures(3),
    "esno_db": is_esno_range,
}
"""What the fields of a card may be."""


def receiver_cards() -> dict[str, ReceiverCard]:
    """The cards of the receivers that ship, by name; none where none was trained yet."""
    with packaged(PACKAGE) as folder:
        return dict(_cards_of(stamps(folder)))


@lru_cache(8)
def _cards_of(found: tuple[Stamp, ...]) -> Mapping[str, ReceiverCard]:
    """Read once, as long as they are what they were."""
    return {path.stem: _read_card(path) for path in (Path(path) for path, *_ in found)}


def receiver_names() -> list[str]:
    """What `load_receiver` and the command line call the receivers that ship."""
    return sorted(receiver_cards())


def find_receiver(name_or_path: str | Path, *, codec: str = "") -> tuple[ReceiverCard, Path]:
    """The card and the weights file of a receiver.

    Args:
        name_or_path: one of `receiver_names()`; with `codec`, also what comes before the codec in such a name, so that
            "sft" behind "swin" is "sft-swin" or, for want of it, "sft-swin-perceptual"; or the path of a weights file
            with its card beside it.
        codec: the name of the codec that it is to receive from. One that was trained behind this very codec comes
            first, the one of the shortest name ("sft" behind "swin-gsc" is "sft-gsc"); else the part of it up to a
            hyphen or colon counts ("sft" behind "jpeg-ldpc-qam" is "sft-jpeg").

    Raises:
        ValueError: no such receiver (the message lists what there is), or a path without one of its two files.
    """
    name, having = str(name_or_path), receiver_cards()
    if isinstance(name_or_path, Path) or name.endswith(".safetensors"):
        return _at_path(Path(name_or_path))
    source = codec.replace(":", "-").split("-")[0]
    own = [full for full, card in having.items() if card.codec == f"zoo:{codec}" and full.startswith(f"{name}-")]
    found = next((full for full in (name, *sorted(own, key=len), f"{name}-{source}") if full in having), None)
    if found is None:
        offer = f"one of: {', '.join(having)}; or" if having else "(this version ships none)"
        raise ValueError(f"receiver {name!r} must be {offer} a weights file NAME.safetensors with its card beside it")
    with packaged(PACKAGE) as folder:
        return having[found], folder / f"{found}.safetensors"


def load_receiver(name_or_path: str | Path) -> Refiner | SymbolDenoiser:
    """A trained receiver, ready to use on `chosen_device()`: by the name of one that ships, or its weights file.

    Raises:
        ValueError: what `find_receiver` raises, weights whose hash is not the one on the card, or that are not of its
            network.
    """
    return read_receiver(*find_receiver(name_or_path))


def read_receiver(card: ReceiverCard, path: Path) -> Refiner | SymbolDenoiser:
    """The receiver of a card and its weights file, as `find_receiver` finds them.

    Raises:
        ValueError: as `load_receiver`.
    """
    zoo.check_weights(path, card.sha256)
    model = build_receiver(card.model, card.network)
    zoo.read_weights(model, path)
    zoo.hold(model, card.channel, card.esno_db)
    model.eval().requires_grad_(False).to(chosen_device())
    assert isinstance(model, Refiner | SymbolDenoiser)
    return model


def keep_receiver_card(card: ReceiverCard) -> None:
    """Write the card of a receiver that ships, with figures that were measured anew."""
    with packaged(PACKAGE) as folder:
        write_receiver_card(card, folder)


def _at_path(path: Path) -> tuple[ReceiverCard, Path]:
    if not path.with_suffix(".json").is_file() or not path.is_file():
        raise ValueError(f"receiver {path}: the weights file or its card {path.stem}.json is missing; train it first")
    return _read_card(path.with_suffix(".json")), path


def _read_card(path: Path) -> ReceiverCard:
    try:
        values = read_fields(path, ReceiverCard, CHECKS)
    except (OSError, ValueError) as error:
        raise ValueError(f"card {path}: not the card of a receiver ({in_short(error)})") from error
    levels = values.get("esno_db")
    return ReceiverCard(**{**values, "esno_db": tuple(levels) if levels else None})
