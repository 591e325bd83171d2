"""DDIM with a prompt: from noise to an image, and from an image to the noise that renders it.

Song, Meng and Ermon, "Denoising Diffusion Implicit Models", ICLR 2021, without noise on the way (η = 0), so that both
directions are deterministic. Tiles are blended at every step, as in Bar-Tal et al., "MultiDiffusion", ICML 2023; a
thumbnail holds every estimate to itself, as in Wang et al., "Zero-Shot Image Restoration Using Denoising Diffusion
Null-Space Model", ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.prompts.autoencoder import SCHEDULE, Condition, PromptAutoencoder
from semlink.neural.prompts.tiles import Grid

TILES_AT_ONCE = 64
"""Through the network, so that a large image takes bounded memory."""


@dataclass(frozen=True)
class Scene:
    """What a renderer is given of some images of one size.

    Attributes:
        sketch: in [−1, 1].
        spread: of what each sketch lacks.
        first: the first components of every tile, in standard deviations.
        learned: the learned numbers of every tile.
        thumbnail: in [−1, 1], which a rendering is to have when it is made as small; None for none.
    """

    sketch: Float[Tensor, "b 3 h w"]
    spread: Float[Tensor, " b"]
    first: Float[Tensor, "n first"]
    learned: Float[Tensor, "n semantic"]
    thumbnail: Float[Tensor, "b 3 p q"] | None = None


class Renderer:
    """Scenes to images and back, with one network."""

    def __init__(self, model: PromptAutoencoder) -> None:
        self.model = model

    @torch.no_grad()
    def render(self, scene: Scene, noise: Float[Tensor, "b 3 h w"], *, steps: int = 10) -> Float[Tensor, "b 3 h w"]:
        """The images in [−1, 1] of noise x_T.

        With no noise and one step: the mean of all images that the scene could stand for.

        Raises:
            ValueError: steps outside 1 … 1000.
        """
        x = noise
        clean = torch.zeros_like(x)
        for t, to in pairwise(SCHEDULE.times(steps)):
            clean = self._clean(scene, x, t)
            x = SCHEDULE.ddim_step(x, clean, t, to=to, predicts="x0")
        return scene.sketch + _wide(scene) * clean

    @torch.no_grad()
    def invert(self, scene: Scene, image: Float[Tensor, "b 3 h w"], *, steps: int = 10) -> Float[Tensor, "b 3 h w"]:
        """The noise x_T from which `render` makes about these images, in [−1, 1].

        Raises:
            ValueError: steps outside 1 … 1000.
        """
        x = (image - scene.sketch) / _wide(scene)
        for t, to in pairwise(reversed(SCHEDULE.times(steps))):
            now, then = SCHEDULE.alpha_bars[max(t, 1)], SCHEDULE.alpha_bars[to]
            clean = self._clean(scene, x, max(t, 1))
            noise = (x - now**0.5 * clean) / (1 - now) ** 0.5
            x = then**0.5 * clean + (1 - then) ** 0.5 * noise
        return x

    def _clean(self, scene: Scene, x: Float[Tensor, "b 3 h w"], t: int) -> Float[Tensor, "b 3 h w"]:
        """The x₀ that the network sees, of images in [−1, 1] that have the thumbnail."""
        grid = Grid(x.shape[-2], x.shape[-1], self.model.side)
        spread = scene.spread.repeat_interleave(grid.tiles)
        parts = [grid.cut(x), grid.cut(scene.sketch), spread, scene.first, scene.learned]
        seen = [self._tiles(t, *part) for part in zip(*(torch.split(one, TILES_AT_ONCE) for one in parts), strict=True)]
        image = scene.sketch + _wide(scene) * grid.blend(torch.cat(seen))
        if scene.thumbnail is not None:
            height, width = scene.thumbnail.shape[-2:]
            lacks = scene.thumbnail - F.adaptive_avg_pool2d(image, (height, width))
            image = image + F.interpolate(lacks, image.shape[-2:], mode="bilinear", align_corners=False)
        return (image.clamp(-1, 1) - scene.sketch) / _wide(scene)

    def _tiles(self, t: int, x: Tensor, sketch: Tensor, spread: Tensor, first: Tensor, learned: Tensor) -> Tensor:
        return self.model.clean(x, t, Condition(sketch, spread, first, learned))


def repeated(scene: Scene, count: int) -> Scene:
    """A scene of one image, `count` times."""
    if count == 1:
        return scene
    thumbnail = None if scene.thumbnail is None else scene.thumbnail.repeat(count, 1, 1, 1)
    first, learned = scene.first.repeat(count, 1), scene.learned.repeat(count, 1)
    return Scene(scene.sketch.repeat(count, 1, 1, 1), scene.spread.repeat(count), first, learned, thumbnail)


def draw_noise(shape: Sequence[int], seeds: Sequence[int], temperature: float = 1.0) -> Float[Tensor, "b c h w"]:
    """x_T of images of a shape (c, h, w), each from its own seed: standard normal times `temperature`."""
    draws = [torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return temperature * torch.stack(draws)


def _wide(scene: Scene) -> Tensor:
    return scene.spread[:, None, None, None]
