"""The published system: a checkpoint of one's own, its inversion and rendering, and what it sends.

GenAI_SemCom (Du et al., ICASSP 2024, github.com/HongyangDu/GenAI_SemCom) sends x_T, the "visual prompt", as 3·h·w
float32 numbers, and a text. Its scripts prepare images otherwise than the network was trained (in [0, 1] instead of
[−1, 1], a text's embedding instead of a semantic code) and stretch what they render to its own least and largest value:
`as_published`. Without it all is as in Preechakul et al.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.neural.prompts.autoencoder import SCHEDULE
from semlink.neural.prompts.published_unet import FFHQ256, Plan, PublishedAutoencoder

EMA = "ema_model."
"""How the keys of the averaged weights begin."""
SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Loaded:
    """A checkpoint's network, and the keys of the file that it has no use for."""

    model: PublishedAutoencoder
    unused: tuple[str, ...]


def load_published(path: str | Path, plan: Plan = FFHQ256) -> Loaded:
    """The averaged weights of a checkpoint (`last.ckpt`); no code in it is run.

    Args:
        path: of the file.
        plan: the sizes of its network.

    Raises:
        ValueError: no such file or no checkpoint; it holds more than tensors and plain values, of which the message
            names the kinds; a key is missing, or the first shape that differs.
    """
    state, others = _averaged(_tensors(Path(path)), path)
    with torch.device("meta"):
        model = PublishedAutoencoder(plan)
    wanted = model.state_dict()
    if missing := [key for key in wanted if key not in state]:
        raise ValueError(f"checkpoint {path}: lacks {EMA}{missing[0]}, and {len(missing) - 1} more, of {len(wanted)}")
    for key, value in wanted.items():
        if state[key].shape != value.shape:
            got, allowed = tuple(state[key].shape), tuple(value.shape)
            raise ValueError(f"checkpoint {path}: {EMA}{key} has shape {got}, must be {allowed}")
    model.load_state_dict({key: state[key].float() for key in wanted}, assign=True)
    unused = (*others, *(f"{EMA}{key}" for key in state if key not in wanted))
    return Loaded(model.eval().requires_grad_(False), unused)


class PublishedPrompt:
    """Images of one size to x_T and back.

    Args:
        model: the network.
        as_published: prepare and show images as the scripts of GenAI_SemCom do.
    """

    def __init__(self, model: PublishedAutoencoder, *, as_published: bool = False) -> None:
        self.model, self.as_published = model, as_published

    @torch.no_grad()
    def code(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b e"]:
        """The semantic codes of images in [0, 1]; not what the scripts condition on."""
        found: Tensor = self.model.encoder(image * 2 - 1)
        return found

    @torch.no_grad()
    def invert(
        self, image: Float[Tensor, "b 3 h w"], code: Float[Tensor, "b e"], *, steps: int = 250
    ) -> Float[Tensor, "b 3 h w"]:
        """x_T of images in [0, 1].

        Raises:
            ValueError: steps that do not divide 1000.
        """
        x = image if self.as_published else image * 2 - 1
        times = published_times(steps)
        for t, to in zip(times, [*times[1:], None], strict=True):
            clean, noise = self._seen(x, t, code)
            then = 0.0 if to is None else SCHEDULE.alpha_bars[to]  # the last step ends in noise alone
            x = then**0.5 * clean + (1 - then) ** 0.5 * noise
        return x

    @torch.no_grad()
    def render(
        self, noise: Float[Tensor, "b 3 h w"], code: Float[Tensor, "b e"], *, steps: int = 250
    ) -> Float[Tensor, "b 3 h w"]:
        """Images in [0, 1] of x_T.

        Raises:
            ValueError: steps that do not divide 1000.
        """
        x = noise
        for t, to in pairwise([*reversed(published_times(steps)), 0]):
            clean, seen = self._seen(x, t, code)
            x = SCHEDULE.alpha_bars[to] ** 0.5 * clean + (1 - SCHEDULE.alpha_bars[to]) ** 0.5 * seen
        if self.as_published:
            low, high = x.amin(dim=(1, 2, 3), keepdim=True), x.amax(dim=(1, 2, 3), keepdim=True)
            return (x - low) / (high - low).clamp(min=1e-12)
        return ((x + 1) / 2).clamp(0, 1)

    def _seen(self, x: Tensor, t: int, code: Tensor) -> tuple[Tensor, Tensor]:
        """x₀, clipped to [−1, 1], and the noise that is left with it."""
        kept = SCHEDULE.alpha_bars[t]
        noise = self.model(x, torch.full((len(x),), t - 1, device=x.device), code)
        clean = ((x - (1 - kept) ** 0.5 * noise) / kept**0.5).clamp(-1, 1)
        return clean, (x - kept**0.5 * clean) / (1 - kept) ** 0.5


def published_times(steps: int) -> list[int]:
    """The steps that are visited, from the least noisy one on: 1, 1 + 1000/steps, … .

    Raises:
        ValueError: steps that do not divide 1000.
    """
    if steps < 1 or SCHEDULE.steps % steps:
        raise ValueError(f"steps={steps} must divide {SCHEDULE.steps}, such as 20, 100 or 250")
    return list(range(1, SCHEDULE.steps + 1, SCHEDULE.steps // steps))


def corrupt(x: Float[Tensor, "b c h w"], rate: float, *, rng: torch.Generator) -> Float[Tensor, "b c h w"]:
    """The channel of the published code: each pixel position is replaced with probability `rate`, in all channels.

    What replaces it is uniform between the least and the largest value of its channel. It is no bit error rate, though
    the scripts call it `ber`.

    Raises:
        ValueError: a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate} must be from 0 to 1")
    low, high = x.amin(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
    hit = torch.rand(len(x), 1, *x.shape[2:], generator=rng) < rate
    return torch.where(hit, low + (high - low) * torch.rand(x.shape, generator=rng), x)


def sent_bytes(shape: tuple[int, int, int], text: str = "") -> int:
    """What the published system sends of an image (c, h, w): four bytes a value, and the text."""
    c, h, w = shape
    return 4 * c * h * w + len(text.encode())


def _tensors(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ValueError(f"checkpoint {path}: no such file")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except Exception as error:  # a damaged file raises any of a dozen types
        if others := _others(path):
            more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
            raise ValueError(
                f"checkpoint {path}: beside tensors it holds {', '.join(others[:SHOWN])}{more}, which cannot be read "
                "without running its code; keep its state_dict alone in a file, where you trust it"
            ) from None
        raise ValueError(f"checkpoint {path}: no checkpoint, or a damaged one ({type(error).__name__})") from error
    if not isinstance(found, Mapping):
        raise ValueError(f"checkpoint {path}: holds a {type(found).__name__}, no table of tensors")
    return found


def _others(path: Path) -> list[str]:
    """Names of the kinds of objects in a file that are no tensors or plain values."""
    named: Callable[[str], list[str]] = torch.serialization.get_unsafe_globals_in_checkpoint
    try:
        return sorted(named(str(path)))
    except Exception as error:
        return re.findall(r"GLOBAL ([\w.]+)", str(error))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _averaged(found: Mapping[str, Any], path: str | Path) -> tuple[dict[str, Tensor], list[str]]:
    """The averaged weights without their prefix, and the keys of all else."""
    state = found.get("state_dict", found)
    if not isinstance(state, Mapping) or not any(str(key).startswith(EMA) for key in state):
        raise ValueError(f"checkpoint {path}: no key begins with {EMA}")
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    averaged = {key.removeprefix(EMA): value for key, value in tensors.items() if key.startswith(EMA)}
    return averaged, [str(key) for key in state if not str(key).startswith(EMA)]
