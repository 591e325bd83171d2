"""From an image to a prompt in a budget of bytes, and from a prompt to images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.prompts.autoencoder import spread_index, spread_of
from semlink.neural.prompts.coder import RENDER_STEPS, PromptCoder, enlarged, shrunk, smaller, to_pixels, to_signed
from semlink.neural.prompts.codes import NOISES, SHRINKS, Code
from semlink.neural.prompts.files import (
    THUMBNAILS,
    Prompt,
    PromptError,
    Thumbnail,
    least_budget,
    room_for_part,
    write_prompt,
)
from semlink.neural.prompts.noise import PARTS, noise_bytes, pack_noise, unpack_noise
from semlink.neural.prompts.rendering import TILES_AT_ONCE, Scene, draw_noise, repeated
from semlink.neural.prompts.tiles import Grid
from semlink.phy.progress import Show

RENDERED = 3
"""Candidates that are rendered and measured: those with the best sketches."""
NOISE_SHARES = (0.3, 0.6)
"""Of the budget, for the beginning of x_T, where that is tried."""
PLAIN_SIDE = 96
"""Up to this side the beginning of x_T is tried: inverting a large image takes long."""

Distance = Callable[[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]], float]
"""What a budget is spent to lower, between images in [0, 1]."""


@runtime_checkable
class Thumbnailer(Protocol):
    """A source coder of thumbnails; those of `semlink.baselines.sources` are such."""

    def encode(self, image: UInt8[np.ndarray, "h w c"], budget: int) -> bytes | None:
        """The best coding in at most `budget` bytes; None if none fits."""
        ...

    def decode(self, data: bytes, shape: tuple[int, int, int], *, complete: bool) -> UInt8[np.ndarray, "h w c"] | None:
        """The image (h, w, c); None when nothing comes out. Never raises for the content of `data`."""
        ...


@dataclass(frozen=True)
class Rendered:
    """What a prompt shows.

    Attributes:
        image: in [0, 1].
        failed: whether a part of the prompt is missing or damaged.
    """

    image: Float[Tensor, "1 3 h w"]
    failed: bool


@dataclass(frozen=True)
class Stage:
    """A prompt that has been read, before the network renders it.

    Attributes:
        prompt: it.
        scene: what it says, once for each rendering.
        noise: that the renderings begin with.
        steps: of a rendering.
        failed: whether a part of the prompt is missing or damaged.
    """

    prompt: Prompt
    scene: Scene
    noise: Float[Tensor, "n 3 p q"]
    steps: int
    failed: bool


@dataclass(frozen=True)
class Samples:
    """Several renderings of one prompt, which differ where it leaves open what is there.

    Attributes:
        images: in [0, 1], one a seed.
        mean: of them.
        spread: standard deviation at every pixel, over the colours too.
    """

    images: Float[Tensor, "n 3 h w"]
    mean: Float[Tensor, "1 3 h w"]
    spread: Float[Tensor, "h w"]

    def worst(self, image: Float[Tensor, "1 3 h w"]) -> int:
        """Which of them is furthest from the image that was meant, by squared error."""
        return int((self.images - image).square().flatten(1).mean(dim=1).argmax())


def squared(a: Float[Tensor, "1 3 h w"], b: Float[Tensor, "1 3 h w"]) -> float:
    """The mean squared error: what PSNR is made of."""
    return float((a - b).square().mean())


class Studio:
    """Makes and shows prompts with one model.

    Args:
        coder: with the model.
        mark: of the model, as its card says.
        thumbnailers: source coders by the names of `THUMBNAILS`.
    """

    def __init__(self, coder: PromptCoder, mark: int, thumbnailers: Mapping[str, Thumbnailer]) -> None:
        self.coder, self.mark, self.thumbnailers = coder, mark, dict(thumbnailers)

    def encode(
        self,
        image: UInt8[np.ndarray, "h w c"],
        budget: int,
        *,
        distance: Distance = squared,
        noisy: bool = False,
        text: str = "",
        seed: int = 0,
        show: Show | None = None,
    ) -> Prompt:
        """The prompt in at most `budget` bytes whose rendering is least distant from the image.

        Tried are codes with and without learned numbers and thumbnails by every coder, each of the image as it is and
        made smaller, and, of small images, codes with the beginning of x_T. The best of them by their sketches are
        rendered and measured.

        Args:
            image: pixels.
            budget: in bytes, of the whole file.
            distance: between the image and a rendering.
            noisy: whether renderings from noise are measured too; squared error never gains by them.
            text: goes into the file as it is.
            seed: of the noise.
            show: is told how many of the candidates are made and measured: of a photograph that takes a while.

        Raises:
            ValueError: an image that no prompt can hold, or a budget below the least, which the message tells.
        """
        signed = to_signed(image)
        empty = Prompt(self.mark, image.shape[1], image.shape[0], seed, text=text)
        if budget < (least := least_budget(empty)):
            raise ValueError(f"budget={budget} must be at least {least} bytes for this image and text")
        jobs, tried, show = self._jobs(signed, empty, budget), list[Prompt](), show or _unseen
        for i, job in enumerate(jobs):
            show(i, total=len(jobs) + RENDERED, said="candidates")
            tried += [one for one in job() if len(write_prompt(one)) <= budget]
        sketches = sorted(tried, key=lambda one: self._sketch_error(one, signed))
        chosen = sketches[:RENDERED] + [one for one in sketches[RENDERED:] if one.noise]
        if noisy:
            chosen = [with_rendering(one, noise) for one in chosen for noise in range(len(NOISES))]
        meant, distances = (signed + 1) / 2, []
        for i, one in enumerate(chosen):
            show(len(jobs) + i, total=len(jobs) + len(chosen), said="measured")
            distances.append(distance(self.render(one).image, meant))
        show(len(jobs) + len(chosen), total=len(jobs) + len(chosen))
        return chosen[distances.index(min(distances))]

    def render(self, prompt: Prompt, *, seed: int | None = None, temperature: float | None = None) -> Rendered:
        """The image of a prompt, the same for the same seed on the same kind of machine.

        Args:
            prompt: what is left of one, too.
            seed: another than the prompt's.
            temperature: of the noise, another than the prompt's.

        Raises:
            PromptError: a prompt of another model.
        """
        stage = self.stage(prompt, seeds=[prompt.seed if seed is None else seed], temperature=temperature)
        return Rendered(self._show(stage), stage.failed)

    def samples(self, prompt: Prompt, count: int, *, temperature: float = 1.0, show: Show | None = None) -> Samples:
        """Renderings from the prompt's seed and those after it; those of a small image go through the network together.

        Args:
            prompt: what is left of one, too.
            count: of renderings.
            temperature: of the noise.
            show: is told how many are made.

        Raises:
            PromptError: a prompt of another model.
        """
        show = show or _unseen
        together = max(1, TILES_AT_ONCE // self.coder.tiles_of(prompt.height, prompt.width)[0])
        seeds, shown = range(prompt.seed, prompt.seed + count), []
        for start in range(0, count, together):
            show(start, total=count)
            some = seeds[start : start + together]
            shown.append(self._show(self.stage(prompt, seeds=some, temperature=temperature)))
        show(count, total=count)
        images = torch.cat(shown)
        spread = images.var(dim=0, unbiased=False).mean(dim=0).sqrt()
        return Samples(images, images.mean(dim=0, keepdim=True), spread)

    def stage(self, prompt: Prompt, *, seeds: Sequence[int], temperature: float | None = None) -> Stage:
        """All that can be read of a prompt, ready to be rendered once for each seed.

        Raises:
            PromptError: a prompt of another model.
        """
        if prompt.mark != self.mark:
            raise PromptError(f"of the model {prompt.mark:04x}; this one is {self.mark:04x}: choose it by --model")
        scene, told, whole = self._scene(prompt)
        heat = NOISES[told] if temperature is None else temperature
        if not heat and not prompt.noise:
            scene = repeated(scene, len(seeds))
            return Stage(prompt, scene, torch.zeros_like(scene.sketch), 1, not whole or bool(prompt.damage))
        noise = draw_noise(scene.sketch.shape[1:], seeds, heat)
        if prompt.noise:
            begun = [unpack_noise(prompt.noise, one) for one in noise]
            known = [one for one in begun if one is not None]
            whole = whole and len(known) == len(begun)
            noise = torch.stack(known) if known else noise
        return Stage(prompt, repeated(scene, len(seeds)), noise, RENDER_STEPS, not whole or bool(prompt.damage))

    def _show(self, stage: Stage) -> Float[Tensor, "n 3 h w"]:
        """The images in [0, 1], as they are written to a file: in 8 bits."""
        image = self.coder.renderer.render(stage.scene, stage.noise, steps=stage.steps)
        image = enlarged(image, stage.prompt.height, stage.prompt.width)
        return torch.from_numpy(to_pixels(image)).permute(0, 3, 1, 2).float() / 255

    def _scene(self, prompt: Prompt) -> tuple[Scene, int, bool]:
        """What a prompt says, the number of its rendering, and whether all of it could be read."""
        tiles = self.coder.tiles_of(prompt.height, prompt.width)
        code = self.coder.book.unpack(prompt.code, tiles, complete=prompt.code_whole) if prompt.code else None
        whole = not prompt.code or (code is not None and code.whole)
        small = prompt.thumbnail
        if small is not None and (shown := self._shown(prompt, small)) is not None:
            scene = self._small_scene(prompt, small, shown, code)
            return scene, small.noise, whole and small.whole
        whole = whole and small is None
        if code is None:
            many, whole = tiles[0], False
            code = Code(31, 0, 0, 0, np.zeros((many, 0), np.int64), np.zeros((many, 0), np.int64), 0)
        return self.coder.scene(code, prompt.height, prompt.width), code.noise, whole

    def _small_scene(self, prompt: Prompt, small: Thumbnail, shown: Tensor, code: Code | None) -> Scene:
        sketch = enlarged(shown, prompt.height, prompt.width).clamp(-1, 1)
        many = Grid(prompt.height, prompt.width, self.coder.model.side).tiles
        learned = torch.zeros(many, self.coder.model.semantic)
        if code is not None and code.shrink == 0:
            learned = self.coder.book.draw(code)[2]
        spread = torch.tensor([float(spread_of(small.spread))])
        first = torch.zeros(many, self.coder.model.first)
        return Scene(sketch, spread, first, learned, shown if small.shrink else None)

    def _shown(self, prompt: Prompt, small: Thumbnail) -> Float[Tensor, "1 3 p q"] | None:
        shape = shrunk(prompt.height, small.shrink), shrunk(prompt.width, small.shrink), 3
        coder = self.thumbnailers.get(small.coder)
        pixels = None if coder is None else coder.decode(small.data, shape, complete=small.whole)
        return None if pixels is None else to_signed(pixels)

    def _jobs(self, signed: Tensor, empty: Prompt, budget: int) -> list[Callable[[], list[Prompt]]]:
        """What makes the candidates, the next one each."""
        room = room_for_part(empty, budget)
        jobs: list[Callable[[], list[Prompt]]]
        jobs = [partial(self._code, signed, empty, room, learned=learned) for learned in (False, True)]
        for shrink in range(SHRINKS):
            pixels = to_pixels(smaller(signed, shrink))[0]
            if min(pixels.shape[:2]) < 8 and shrink:
                break
            names = [name for name in THUMBNAILS.values() if name in self.thumbnailers]
            jobs += [partial(self._thumbnail, signed, empty, room, pixels, shrink, name) for name in names]
        if max(signed.shape[-2:]) <= PLAIN_SIDE:
            jobs += [partial(self._begun, signed, empty, budget, share) for share in NOISE_SHARES]
        return jobs

    def _code(self, signed: Tensor, empty: Prompt, room: int, *, learned: bool) -> list[Prompt]:
        code = self.coder.best_code(signed, room, learned=learned)
        return [] if code is None else [replace(empty, code=self.coder.book.pack_within(code, room))]

    def _thumbnail(
        self, signed: Tensor, empty: Prompt, room: int, pixels: UInt8[np.ndarray, "p q 3"], shrink: int, name: str
    ) -> list[Prompt]:
        data = self.thumbnailers[name].encode(pixels, room - 3)
        if not data:
            return []
        prompt = replace(empty, thumbnail=Thumbnail(name, shrink, 0, 0, data))
        lacks = signed - self._scene(prompt)[0].sketch
        told = int(spread_index(lacks.square().mean().sqrt()[None]))
        return [replace(empty, thumbnail=Thumbnail(name, shrink, 0, told, data))]

    def _begun(self, signed: Tensor, empty: Prompt, budget: int, share: float) -> list[Prompt]:
        """A code in a part of the budget, and the beginning of the x_T that would render the image in the rest."""
        size, room = signed.shape[-2:], int(room_for_part(empty, budget) * (1 - share))
        code = self.coder.best_code(signed, room)
        if code is None or code.shrink:
            return []
        prompt = replace(empty, code=self.coder.book.pack_within(code, room))
        left = room_for_part(prompt, budget)
        part = max((one for one in range(1, PARTS + 1) if noise_bytes(*size, bits=1, part=one) <= left), default=0)
        if not part:
            return []
        noise = self.coder.renderer.invert(self.coder.scene(code, *size), signed, steps=RENDER_STEPS)
        return [replace(prompt, noise=pack_noise(noise[0], bits=1, part=part))]

    def _sketch_error(self, prompt: Prompt, signed: Tensor) -> float:
        scene = self._scene(prompt)[0]
        sketch = enlarged(scene.sketch, prompt.height, prompt.width)
        return float(F.mse_loss(sketch.clamp(-1, 1), signed))


def with_rendering(prompt: Prompt, noise: int) -> Prompt:
    """The prompt with another number of its rendering."""
    if prompt.thumbnail is not None:
        return replace(prompt, thumbnail=replace(prompt.thumbnail, noise=noise))
    return replace(prompt, code=prompt.code[:1] + bytes([64 * noise + prompt.code[1] % 64]) + prompt.code[2:])


def _unseen(done: int, *, total: int | None = None, label: str | None = None, said: str = "") -> None:
    """Shows nothing."""
