"""The trained models that ship with the package.

Beside each weights file lies a card of the same name, `NAME.json`: ratio, arguments of the network, parameters,
training data, channels and command, SHA-256 of the weights, and figures measured by `semlink zoo --measure NAME`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple, cast

from safetensors.torch import load_file, save
from torch import Tensor, nn

from semlink.neural.card_files import (
    Check,
    Stamp,
    is_count,
    is_esno_range,
    is_figures,
    is_file_name,
    is_range,
    is_ratio,
    is_table,
    is_text,
    packaged,
    read_fields,
    stamps,
    trained_esno_db,
)
from semlink.neural.models import Network, RateAdaptive, build
from semlink.neural.networks import Limits
from semlink.phy.devices import chosen_device
from semlink.phy.documents import in_short, read_json, write_whole
from semlink.phy.named import meant

PACKAGE = "semlink.neural.weights"


@dataclass(frozen=True)
class Card:
    """What is known of a trained model.

    Attributes:
        name: of the weights file, such as "deepjscc-6".
        codec: of the network, as `load`, a recipe and the command line call it.
        ratio: complex channel uses / (c·h·w); of a rate-adaptive model, that of the figures.
        network: arguments of the network's class.
        parameters: their number.
        data: what it was trained on.
        channel: the channels and Es/N0 it was trained for.
        command: what trained it.
        sha256: of the weights file.
        ratios: lowest and highest ratio of a rate-adaptive model; None for one of a fixed ratio.
        esno_db: lowest and highest average Es/N0 of all stages of the training; None for those that `channel` names.
        figures: by "SET CHANNEL", PSNR in dB (from the mean squared error) by Es/N0 in dB.
    """

    name: str
    codec: str
    ratio: float
    network: Mapping[str, Any]
    parameters: int
    data: str
    channel: str
    command: str
    sha256: str
    ratios: tuple[float, float] | None = None
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    esno_db: tuple[float, float] | None = None

    def serves(self, ratio: float) -> bool:
        """Whether the model can be had at a ratio."""
        low, high = self.ratios or (self.ratio, self.ratio)
        return low - 1e-6 < ratio < high + 1e-6

    @property
    def offer(self) -> str:
        """The ratio, or the range of ratios, in words."""
        return " to ".join(f"1/{1 / ratio:g}" for ratio in self.ratios or (self.ratio,))


WEIGHTS = ".safetensors"
"""How the name of a weights file ends."""
CHECKS: Mapping[str, Check] = {
    "name": is_file_name,
    "codec": is_text,
    "ratio": is_ratio,
    "network": is_table,
    "parameters": is_count,
    **dict.fromkeys(("data", "channel", "command", "sha256"), is_text),
    "ratios": is_range,
    "figures": is_figures(2),
    "esno_db": is_esno_range,
}
"""What the fields of a card may be."""


def cards() -> dict[str, Card]:
    """The cards of all models, by name."""
    with packaged(PACKAGE) as folder:
        return dict(_cards_of(stamps(folder)))


@lru_cache(8)
def _cards_of(found: tuple[Stamp, ...]) -> Mapping[str, Card]:
    """Read once, as long as they are what they were."""
    return {card.name: card for card in (_read_card(Path(path)) for path, *_ in found)}


def _read_card(path: Path) -> Card:
    try:
        values = read_fields(path, Card, CHECKS)
    except (OSError, ValueError) as error:
        raise ValueError(f"card {path}: no card of a codec, or a damaged one ({in_short(error)})") from error
    return Card(**{**values, **{name: tuple(values[name]) for name in ("ratios", "esno_db") if values.get(name)}})


def names() -> list[str]:
    """What `load` and the command line call the models: the codec, or where that is not enough, each one's own name."""
    every = cards()
    return sorted({_short_name(card, every) for card in every.values()})


def load_run(folder: str | Path, name: str, *, ratio: float | None = None) -> Network:
    """The codec that a training has written to `folder` as `NAME.safetensors` and its card.

    Raises:
        ValueError: no such files, a card that is none of a codec, a ratio that the codec does not have, or weights
            that are not those of the card.
    """
    path = Path(folder) / f"{name}.json"
    card = run_card(path)
    if ratio is not None and not card.serves(ratio):
        raise ValueError(f"ratio={ratio:g} must be, for {name}, {card.offer}")
    return _build(card, path.with_suffix(".safetensors"), ratio)


def run_card(path: str | Path) -> Card:
    """The card that a training has written beside its weights, whichever of the two files is named.

    Raises:
        ValueError: no such file, or a card that is none of a codec.
    """
    path = Path(path).with_suffix(".json")
    if not path.is_file():
        raise ValueError(f"card {path}: no such file; `semlink train` writes it")
    return _read_card(path)


def load(name: str, *, ratio: float | None = None) -> Network:
    """A trained codec, ready to use, on `semlink.phy.devices.chosen_device()`.

    Args:
        name: one of `names()`, such as "swin", or of one model, such as "deepjscc-12"; or the weights that a training
            has written, "runs/mine/mine.safetensors".
        ratio: complex channel uses / (c·h·w); None for 1/6 or, where a model is named, its own.

    Raises:
        ValueError: no such codec or no such ratio (the message lists what there is), weights whose hash is not the
            one on the card, or that are not of this network.
    """
    if name.endswith(WEIGHTS):
        return load_run(Path(name).parent, Path(name).stem, ratio=ratio)
    card = find_card(name, ratio=ratio)
    with packaged(PACKAGE) as folder:
        return _build(card, folder / f"{card.name}.safetensors", ratio)


def at_ratio(model: Network, ratio: float) -> Network:
    """The same network, with the same weights, at another ratio; of a fixed ratio as it is."""
    if not isinstance(model, RateAdaptive) or model.ratio == ratio:
        return model
    other = copy.copy(model)
    other.ratio = ratio
    return other


def _build(card: Card, path: Path, ratio: float | None) -> Network:
    model = build(card.codec, card.network)
    if isinstance(model, RateAdaptive):
        model.ratio = card.ratio if ratio is None else ratio
    if path.is_file():
        check_weights(path, card.sha256)
    read_weights(model, path)
    hold(model, card.channel, card.esno_db)
    return cast(Network, model.eval().requires_grad_(False).to(chosen_device()))


def hold(model: nn.Module, channel: str, esno_db: tuple[float, float] | None) -> None:
    """Tell a network no Es/N0 beyond its training: `esno_db`, or what its card's text on channels says."""
    trained = esno_db or trained_esno_db(channel)
    if isinstance(model, Limits) and trained is not None:
        model.hold_to(trained)


def find_card(name: str, *, ratio: float | None = None) -> Card:
    """The card of what `load` loads.

    Raises:
        ValueError: no such codec or no such ratio.
    """
    every = cards()
    having = sorted((card for card in every.values() if _short_name(card, every) == name), key=lambda card: card.ratio)
    own = every.get(name)
    if own is not None and own not in having:
        having, ratio = [own], own.ratio if ratio is None else ratio
    if not having:
        raise ValueError(f"codec {name!r}{meant(name, [*names(), *every])} must be one of: {', '.join(names())}")
    if isinstance(ratio, bool) or not isinstance(ratio, Real | None):
        raise ValueError(f"ratio={ratio!r} must be a number such as 1 / 6, or None")
    wanted = 1 / 6 if ratio is None else ratio
    fitting = [card for card in having if card.serves(wanted)]
    if not fitting:
        raise ValueError(f"ratio={wanted:g} must be, for {name}, one of: {', '.join(card.offer for card in having)}")
    return fitting[0]


def _short_name(card: Card, every: Mapping[str, Card]) -> str:
    """That of the codec, unless several of its models serve the same ratio."""
    fellows = [other for other in every.values() if other.codec == card.codec and other.name != card.name]
    return card.name if any(card.serves(other.ratio) or other.serves(card.ratio) for other in fellows) else card.codec


def ratios_of(model: nn.Module) -> tuple[float, float] | None:
    """Lowest and highest ratio of a rate-adaptive model; None for one of a fixed ratio."""
    return (model.min_ratio, model.max_ratio) if isinstance(model, RateAdaptive) else None


def write_weights(model: nn.Module, path: Path) -> None:
    """Write a network's weights in float16, whole or not at all.

    Raises:
        ValueError: weights that are not finite, or in float16 are not.
    """
    halves = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    _check_finite(halves, path)
    write_whole(path, save(halves))


def read_weights(model: nn.Module, path: Path, *, anew: Sequence[str] = ()) -> None:
    """Read a network's weights, but for the parts named `anew`, which stay as they are and may be of other shapes.

    Raises:
        ValueError: no such file, it is damaged, it has keys, shapes or values that are not the network's, or a part
            that the network does not have.
    """
    if unknown := set(anew) - {name for name, _ in model.named_modules() if name}:
        parts = ", ".join(name for name, _ in model.named_children())
        said = f"among the network's parts: {parts}, or one within them such as decoder.coarse.2"
        raise ValueError(f"anew={', '.join(sorted(unknown))} must be {said}")
    kept = {key: value for key, value in model.state_dict().items() if is_within(key, anew)}
    if not path.is_file():
        raise ValueError(f"weights {path}: no such file; train it first")
    try:
        values = {key: value.float() for key, value in load_file(path).items()}
        model.load_state_dict({**values, **kept})
    except Exception as error:  # a damaged file raises any of half a dozen types
        said = " ".join(str(error).split())
        raise ValueError(f"weights {path}: no weights of this network ({said[:300]})") from error
    _check_finite(values, path)


def is_within(key: str, parts: Sequence[str]) -> bool:
    """Whether a key of a network's weights is of one of the parts, such as head, or decoder.coarse.2 within another."""
    return any(key.startswith(f"{part}.") for part in parts)


def _check_finite(values: Mapping[str, Tensor], path: Path) -> None:
    if unknown := [key for key, value in values.items() if not bool(value.isfinite().all())]:
        raise ValueError(f"weights {path}: {unknown[0]} has values that are not finite numbers (in float16)")


def find_weights(where: str) -> Path:
    """The weights file at a path, or of the model NAME in the package for "zoo:NAME".

    Raises:
        ValueError: no such model.
    """
    name = where.removeprefix("zoo:")
    if name == where:
        return Path(where)
    if name not in cards():
        raise ValueError(f"init={where!r} must be a path or one of: {', '.join(f'zoo:{card}' for card in cards())}")
    with packaged(PACKAGE) as folder:
        return folder / f"{name}.safetensors"


class Earlier(NamedTuple):
    """What the card of the weights that a training starts from says.

    Attributes:
        command: what trained them; empty where there is none.
        esno_db: lowest and highest Es/N0 of it; None where it is not known.
    """

    command: str = ""
    esno_db: tuple[float, float] | None = None


def earlier_training(where: str) -> Earlier:
    """What trained the weights that a training starts from, as their card says, of a codec or of a receiver.

    Raises:
        ValueError: there is a card, and it is damaged.
    """
    card = find_weights(where).with_suffix(".json") if where else Path()
    if not card.is_file():
        return Earlier()
    try:
        told = read_json(card)
        levels = tuple(map(float, told.get("esno_db") or trained_esno_db(told["channel"]) or ()))
        return Earlier(str(told["command"]), (levels[0], levels[1]) if levels else None)
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"card {card}: no card, or a damaged one ({error!r})") from error


def write_card(card: Card, folder: Path) -> None:
    """Write `NAME.json` beside the weights."""
    write_whole(folder / f"{card.name}.json", json.dumps(asdict(card), indent=2) + "\n")


def sha256(path: Path) -> str:
    """Hash of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_weights(path: Path, told: str) -> None:
    """Raise ValueError unless a weights file has the hash that its card tells."""
    if sha256(path) != told:
        raise ValueError(f"weights {path}: SHA-256 differs from the card's; the file is damaged or of another version")
