"""What the training of a model of prompts minimises, and how well it does on the way.

Tiles are drawn as a prompt would tell them: by a code in steps of a size drawn at random, or by a thumbnail, with or
without the learned numbers. The denoiser learns the velocity at a time drawn at random and, for a share of each batch,
at t = T from nothing, where the best answer is the mean of all images that the prompt could stand for.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.prompts import (
    SCHEDULE,
    STEPS,
    Condition,
    PromptAutoencoder,
    quantise,
    spread_index,
    spread_of,
    step_size,
)
from semlink.neural.training.data import Data
from semlink.phy.metrics import squared_error, to_db

LEARNED_SHARE = 0.6
"""Of a batch: tiles whose learned numbers arrive."""
THUMBNAIL_SHARE = 0.2
"""Of a batch: tiles that are drawn by a thumbnail instead of by components."""
FIT_IMAGES = 8_000
"""Tiles that the principal components are taken of."""
LEVELS = (4.0, 14.0, 22.0)
"""Numbers of quantiser steps at which a training is measured: about 190, 35 and 10 bytes for a tile of CIFAR-10."""
SERIES = ("psnr_db", "sketch_psnr_db", "learned_psnr_db")
"""What is measured: the mean without and with the learned numbers, and the sketch alone."""


def fit_prompt_model(model: PromptAutoencoder, data: Data) -> None:
    """Take the principal components of the small images, evenly chosen."""
    images = data.small[:: -(-len(data.small) // FIT_IMAGES)]
    model.fit(images.float() / 255)


def prompt_loss(
    model: PromptAutoencoder, image: Float[Tensor, "b 3 s s"], rng: torch.Generator, *, mean_share: float = 0.25
) -> Float[Tensor, ""]:
    """Mean squared error of the velocity; `rng` is one of the CPU. Of a share of the batch the mean is learnt."""
    tiles = image * 2 - 1
    count, device = len(tiles), tiles.device

    def drawn() -> Tensor:
        return torch.rand(count, generator=rng).to(device)

    learned = _whole(model.learn(tiles))
    _follow(model, learned)
    known = _condition(model, tiles, learned * (drawn() < LEARNED_SHARE)[:, None], rng)
    clean = (tiles - known.sketch) / known.spread[:, None, None, None]
    noise = torch.randn(tiles.shape, generator=rng).to(device)
    t = 1 + (drawn() * SCHEDULE.steps).long().clamp(max=SCHEDULE.steps - 1)
    mean = drawn() < mean_share
    t = torch.where(mean, SCHEDULE.steps, t)
    kept = torch.tensor(SCHEDULE.alpha_bars, device=device)[t][:, None, None, None]
    x = torch.where(mean[:, None, None, None], 0.0, kept.sqrt() * clean + (1 - kept).sqrt() * noise)
    target = torch.where(mean[:, None, None, None], -clean, kept.sqrt() * noise - (1 - kept).sqrt() * clean)
    # Of a spread told too small the target would be large: all tiles count alike.
    error = (model.velocity(x, t, known) - target).square().flatten(1).mean(dim=1)
    return (error / clean.square().flatten(1).mean(dim=1).clamp(min=1.0)).mean()


def prompt_figures(model: PromptAutoencoder, images: UInt8[Tensor, "v 3 s s"]) -> Mapping[str, Mapping[float, float]]:
    """PSNR in dB of what the code draws, and of the mean that one pass of the network makes of it, by step number."""
    found: dict[str, dict[float, float]] = {name: {} for name in SERIES}
    with torch.no_grad():
        for level in LEVELS:
            shown = [_shown(model, part.float() / 255, int(level)) for part in torch.split(images, 250)]
            for name, errors in zip(SERIES, zip(*shown, strict=True), strict=True):
                found[name][level] = to_db(torch.cat(errors).mean().item())
    return found


def _shown(model: PromptAutoencoder, image: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Squared errors of the mean, of the sketch, and of the mean with the learned numbers."""
    tiles = image * 2 - 1
    size = float(step_size(step))
    components = quantise(model.project(tiles), size) * size
    sketch, first = model.sketch(components), model.standard(components)
    spread = _told((tiles - sketch).square().flatten(1).mean(dim=1).sqrt())
    learned = _whole(model.learn(tiles))
    errors = [squared_error((sketch + 1).clamp(0, 2) / 2, image)]
    for one in (torch.zeros_like(learned), learned):
        known = Condition(sketch, spread, first, one)
        seen = sketch + spread[:, None, None, None] * model.clean(torch.zeros_like(tiles), SCHEDULE.steps, known)
        errors.append(squared_error((seen + 1).clamp(0, 2) / 2, image))
    return errors[1], errors[0], errors[2]


def _condition(model: PromptAutoencoder, tiles: Tensor, learned: Tensor, rng: torch.Generator) -> Condition:
    """What a prompt tells of tiles, by codes and by thumbnails."""
    count, device = len(tiles), tiles.device

    def draw() -> Tensor:
        return torch.rand(count, generator=rng).to(device)

    size = step_size((draw() * STEPS).floor())[:, None]  # type: ignore[index]
    components = quantise(model.project(tiles), size) * size
    by_code, first = model.sketch(components), model.standard(components)
    by_thumbnail = _thumbnails(tiles, rng)
    small = draw() < THUMBNAIL_SHARE
    sketch = torch.where(small[:, None, None, None], by_thumbnail, by_code)
    first = torch.where(small[:, None], 0.0, first)
    spread = (tiles - sketch).square().flatten(1).mean(dim=1).sqrt()
    off = torch.where(draw() < 0.5, 0.0, 2 * draw() - 1)  # one spread is told for all tiles of an image
    return Condition(sketch, _told(spread * torch.exp2(off)), first, learned)


def _thumbnails(tiles: Tensor, rng: torch.Generator) -> Tensor:
    """Tiles from half or a quarter as many pixels a side, with some error, as a source coder would leave."""
    factor = 2 << int(torch.randint(2, (), generator=rng))
    small = F.avg_pool2d(tiles, factor)
    small = small + 0.06 * torch.rand((), generator=rng).item() * torch.randn(small.shape, generator=rng).to(tiles)
    return F.interpolate(small, tiles.shape[-2:], mode="bilinear", align_corners=False)


def _told(spread: Tensor) -> Tensor:
    """As the receiver gets to know it."""
    told = spread_of(spread_index(spread))
    assert isinstance(told, Tensor)
    return told


def _whole(learned: Tensor) -> Tensor:
    """Whole numbers, with the gradient of what they are made of."""
    return learned + (learned.round() - learned).detach()


@torch.no_grad()
def _follow(model: PromptAutoencoder, learned: Tensor) -> None:
    """Let the model's account of the sizes of the learned numbers follow them."""
    if model.training:
        now = 8 * learned.abs().mean(dim=0).clamp(min=0.02).log2()
        model.learned_scale.lerp_(now.to(model.learned_scale), 0.01)
