"""What a training is made of beside its settings: contents of images, first weights and codec, as SHA-256 by name.

A checkpoint keeps them, so that a training never goes on with others under the same names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from semlink.neural import zoo
from semlink.neural.training.data import Data
from semlink.neural.training.lessons import Lessons
from semlink.neural.training.recipe import Settings
from semlink.phy.documents import short
from semlink.phy.link import Codec, esno_to_n0

Contents = Mapping[str, Mapping[str, str]]
"""SHA-256 by the setting that asks for something, then by what it is called: files of a folder, say."""

_SHOWN = 3  # names in a message


def contents_of(
    settings: Settings, data: Data | Lessons, codec: Codec | None, denoiser: nn.Module | None = None
) -> dict[str, dict[str, str]]:
    """Of the images, of the weights that `init` names, and of what is frozen: a codec, a denoiser."""
    found = {name: dict(parts) for name, parts in (data.contents or _of_tensors(data)).items()}
    if settings.init:
        found["init"] = {"weights": zoo.sha256(zoo.find_weights(settings.init))}
    if codec is not None:
        found["codec"] = _of_codec(codec)
    if denoiser is not None:
        found["denoiser"] = {"weights": digest(denoiser.state_dict().values())}
    return found


def _of_tensors(data: Data | Lessons) -> dict[str, dict[str, str]]:
    """Of images that a caller hands in: from where they are is not known."""
    parts = {name: part for name, part in data._asdict().items() if isinstance(part, Tensor)}
    return {"data": {name: digest([part]) for name, part in parts.items() if len(part)}}


def _of_codec(codec: Codec) -> dict[str, str]:
    """Of a network its weights; of another codec, a digital one, what it sends of one image."""
    if isinstance(codec, nn.Module):
        return {"weights": digest(codec.state_dict().values())}
    image = torch.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    symbols = torch.view_as_real(codec.encode(image, esno_to_n0(10.0)).symbols)
    return {"symbols": digest([symbols.round(decimals=3)])}  # another processor rounds otherwise


def digest(parts: Any) -> str:  # noqa: ANN401 - any iterable of tensors, a dictionary's values too
    """SHA-256 of tensors, shapes and types included, wherever they lie."""
    found = hashlib.sha256()
    for part in parts:
        found.update(f"{tuple(part.shape)} {part.dtype}".encode())
        found.update(_bytes(part))
    return found.hexdigest()


def _bytes(part: Tensor) -> memoryview:
    flat = part.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def changed_settings(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, where two sets of settings differ: "lr was 0.001, is 0.01"."""
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    return [f"{name} was {short(was.get(name))}, is {short(now.get(name))}" for name in names]


def changed_contents(was: Contents, now: Contents, settings: Settings) -> list[str]:
    """In words, where the contents differ: "images='mine': gone: a.png, b.png"."""
    found = []
    for setting in {**was, **now}:
        named = f"{setting}={getattr(settings, setting)!r}" if hasattr(settings, setting) else setting
        if parts := _changes(was.get(setting, {}), now.get(setting, {})):
            found.append(f"{named}: {'; '.join(parts)}")
    return found


def _changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    kinds = {
        "gone": sorted(was.keys() - now.keys()),
        "new": sorted(now.keys() - was.keys()),
        "changed": sorted(name for name in was.keys() & now.keys() if was[name] != now[name]),
    }
    return [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
