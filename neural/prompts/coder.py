"""A prompt's code as a source coder: pixels to at most so many bytes, and an image from the first of them or from all.

It meets `semlink.baselines.sources.SourceCoder`, without naming it: a digital link carries it as it carries JPEG.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.prompts.autoencoder import PromptAutoencoder, spread_index
from semlink.neural.prompts.cards import DEFAULT, load_prompt_model
from semlink.neural.prompts.codes import NOISES, SHRINKS, Code, CodeBook
from semlink.neural.prompts.rendering import Renderer, Scene, draw_noise
from semlink.neural.prompts.tiles import Grid

Pixels = UInt8[np.ndarray, "h w c"]
MOST_PIXELS = 1 << 24
"""Of an image: what a damaged header could ask for is bounded."""
RENDER_STEPS = 10
"""Of a rendering that begins with noise."""
CLOSE = 1.5
"""The search for how much smaller an image is made ends where the squared error has risen by this factor."""


class PromptCoder:
    """The code of `semlink.neural.prompts.codes`, rendered by a trained network.

    Args:
        model: a trained network, or the name or path of one.
        seed: of the noise that a rendering begins with, where the code asks for any; known to both ends.
    """

    layered = True
    """Whether every beginning of a code is an image, and the first bytes are worth most."""

    def __init__(self, model: PromptAutoencoder | str = DEFAULT, *, seed: int = 0) -> None:
        self.model = model if isinstance(model, PromptAutoencoder) else load_prompt_model(model)[0]
        self.book, self.renderer, self.seed = CodeBook(self.model), Renderer(self.model), seed

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The code of least squared error of its sketch in at most `budget` bytes; None if not even a mean image fits.

        Raises:
            ValueError: other than 1 or 3 channels, an empty image, or more than 2^24 pixels.
        """
        code = self.best_code(to_signed(image), budget)
        return None if code is None else self.book.pack_within(code, budget)

    def decode(self, data: bytes, shape: tuple[int, int, int], *, complete: bool) -> Pixels | None:
        """The image (h, w, c) that a code or the first part of one stands for; None for what is no code."""
        code = self.book.unpack(data, self.tiles_of(shape[0], shape[1]), complete=complete)
        if code is None:
            return None
        image = self.render(code, shape[0], shape[1])
        pixels: Pixels = to_pixels(image if shape[2] == 3 else image.mean(dim=1, keepdim=True))[0]
        return pixels

    def note(self, shape: tuple[int, int, int]) -> str:
        """One sentence on the bytes that are counted for an image (h, w, c)."""
        return (
            f"code of a prompt, {Grid(shape[0], shape[1], self.model.side).tiles} tiles; the receiver knows the image "
            "size, the decoder's weights with the principal components, and the seed of its noise"
        )

    def best_code(self, image: Float[Tensor, "1 3 h w"], budget: int, *, learned: bool = False) -> Code | None:
        """The code of least squared error of its sketch, from the image as it is or made smaller by powers of 2.

        Args:
            image: in [−1, 1].
            budget: in bytes.
            learned: whether the learned numbers are sent.
        """
        best, least = None, torch.inf
        for shrink in range(len(self.tiles_of(*image.shape[-2:]))):
            code = self.code_at(image, budget, shrink, learned=learned)
            if code is None:
                continue
            sketch = enlarged(self.scene(code, *image.shape[-2:]).sketch, *image.shape[-2:])
            error = float((sketch.clamp(-1, 1) - image).square().mean())
            if error < least:
                best, least = code, error
            elif error > CLOSE * least:
                break
        return best

    def code_at(
        self, image: Float[Tensor, "1 3 h w"], budget: int, shrink: int, *, learned: bool = False
    ) -> Code | None:
        """The code of an image in [−1, 1] made smaller by 2^shrink, with the spread of what it lacks."""
        small = smaller(image, shrink)
        tiles = Grid(small.shape[-2], small.shape[-1], self.model.side).cut(small)
        with torch.no_grad():
            numbers = self.model.learn(tiles).round().long().numpy() if learned else None
            code = self.book.fit(self.model.project(tiles).numpy(), budget, learned=numbers, shrink=shrink)
        if code is None:
            return None
        lacks = small - self.scene(code, *image.shape[-2:]).sketch
        return replace(code, spread=int(spread_index(lacks.square().mean().sqrt()[None])))

    def first_components(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b n"]:
        """The first components of all tiles of images in [−1, 1], in standard deviations: what these say to us."""
        tiles = Grid(images.shape[-2], images.shape[-1], self.model.side).cut(images)
        with torch.no_grad():
            return self.model.standard(self.model.project(tiles)).reshape(len(images), -1)

    def tiles_of(self, height: int, width: int) -> list[int]:
        """How many tiles an image has, by how much smaller it is made; down to one tile."""
        found: list[int] = []
        for shrink in range(SHRINKS):
            size = shrunk(height, shrink), shrunk(width, shrink)
            found.append(Grid(*size, self.model.side).tiles)
            if found[-1] == 1:
                break
        return found

    def scene(self, code: Code, height: int, width: int) -> Scene:
        """What a code says, at the size that it was made at."""
        grid = Grid(shrunk(height, code.shrink), shrunk(width, code.shrink), self.model.side)
        tiles, first, learned = self.book.draw(code)
        spread = torch.tensor([self.book.spread(code)])
        return Scene(grid.blend(tiles), spread, first, learned)

    def render(self, code: Code, height: int, width: int, *, seed: int | None = None) -> Float[Tensor, "1 3 h w"]:
        """The image in [−1, 1] that a code stands for."""
        scene = self.scene(code, height, width)
        image = render_as_told(self.renderer, scene, NOISES[code.noise], self.seed if seed is None else seed)
        return enlarged(image, height, width)


def render_as_told(renderer: Renderer, scene: Scene, temperature: float, seed: int) -> Float[Tensor, "b 3 h w"]:
    """The mean in one step where the temperature is 0, else `RENDER_STEPS` from the noise of the seed."""
    if not temperature:
        return renderer.render(scene, torch.zeros_like(scene.sketch), steps=1)
    noise = draw_noise(scene.sketch.shape[1:], [seed] * len(scene.sketch), temperature)
    return renderer.render(scene, noise, steps=RENDER_STEPS)


def to_signed(image: Pixels) -> Float[Tensor, "1 3 h w"]:
    """Pixels as an image in [−1, 1]; a grey one as a coloured one.

    Raises:
        ValueError: other than 1 or 3 channels, an empty image, or more than 2^24 pixels.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not 1 <= image.shape[0] * image.shape[1] <= MOST_PIXELS:
        raise ValueError(f"image has shape {image.shape}; a prompt takes (h, w, c), up to 2^24 pixels, c of 1 or 3")
    found = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
    return found.expand(1, 3, -1, -1).contiguous()


def to_pixels(image: Float[Tensor, "b c h w"]) -> UInt8[np.ndarray, "b h w c"]:
    """Images in [−1, 1] as pixels, rounded and clipped."""
    found: np.ndarray = ((image + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return found


def shrunk(length: int, shrink: int) -> int:
    """A side after it was made smaller by 2^shrink."""
    return -(-length // (1 << shrink))


def smaller(image: Float[Tensor, "b c h w"], shrink: int) -> Float[Tensor, "b c p q"]:
    """Images made smaller by 2^shrink."""
    size = shrunk(image.shape[-2], shrink), shrunk(image.shape[-1], shrink)
    return image if not shrink else F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)


def enlarged(image: Float[Tensor, "b c p q"], height: int, width: int) -> Float[Tensor, "b c h w"]:
    """Images as large as they were before they were made smaller."""
    if image.shape[-2:] == (height, width):
        return image
    return F.interpolate(image, (height, width), mode="bicubic", align_corners=False)
