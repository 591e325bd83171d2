"""A prompt without bits: the first components of all tiles as amplitudes, rendered from what the noise leaves of them.

Power by the inverse square root of the standard deviation and least squares at the receiver, as in Jakubczak and
Katabi, "A Cross-Layer Design for Scalable Mobile Video" (SoftCast), MobiCom 2011.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional as F

from semlink.neural.networks import as_pairs, as_symbols
from semlink.neural.prompts.autoencoder import SCALES, PromptAutoencoder
from semlink.neural.prompts.cards import DEFAULT, load_prompt_model
from semlink.neural.prompts.rendering import Renderer, Scene
from semlink.neural.prompts.tiles import Grid
from semlink.phy.link import Decoded, Frame, Received, channel_uses, check_image

SIDE_SHARE = 32
"""One in so many channel uses, and at least 4, tells the scale of the others."""
LOUD = 2.0
"""Amplitude of those, where the others have 1."""


class PromptAnalogue:
    """A `Codec` of a prompt's components as real amplitudes, two to a channel use.

    Args:
        model: a trained network, or the name or path of one.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).

    Raises:
        ValueError: no such model, or a ratio outside (0, 1].

    Each image has a mean energy of exactly 1; the scale that this takes is read off some symbols that are all alike.
    """

    ignores_n0 = True

    def __init__(self, model: PromptAutoencoder | str = DEFAULT, *, ratio: float = 1 / 6) -> None:
        if not 0 < ratio <= 1:
            raise ValueError(f"ratio={ratio} must be above 0 and up to 1")
        self.model = model if isinstance(model, PromptAutoencoder) else load_prompt_model(model)[0]
        self.renderer, self.ratio = Renderer(self.model), ratio

    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:  # noqa: ARG002 - amplitudes fit any noise
        """Images in [0, 1] to floor(ratio·c·h·w) symbols each, (b, n).

        Raises:
            ValueError: images that are not RGB in [0, 1], or so small that there is no channel use for a component.
        """
        check_image(image)
        if image.shape[1] != 3:
            raise ValueError(f"image has {image.shape[1]} channels; a prompt takes 3")
        plan = self._plan((3, *image.shape[2:]))
        with torch.no_grad():
            components = self.model.project(plan.grid.cut(image.cpu() * 2 - 1))
        told = (components[:, : plan.count] * plan.gain).reshape(len(image), -1)
        symbols = torch.zeros(len(image), plan.symbols, dtype=torch.complex64)
        symbols[:, : plan.side] = LOUD
        symbols[:, plan.side : plan.side + plan.used] = as_symbols(_even(told))
        power = symbols.abs().square().mean(dim=1, keepdim=True)
        uses = {"payload": plan.symbols - plan.side, "side": plan.side}
        notes = {
            "receiver": "knows image size and decoder's weights, with the principal components and their variances",
            "components": f"{plan.count} of each of {plan.grid.tiles} tiles",
        }
        return Frame((symbols / power.sqrt()).to(image.device), uses, power="exact", notes=notes)

    def decode(self, received: Received) -> Decoded:
        """Images (b, 3, h, w) in [0, 1]; nothing is ever marked as failed.

        Raises:
            ValueError: another number of symbols than `encode` makes.
        """
        received, shape = received.unbiased(), received.shape_for(self.ratio)
        plan = self._plan(shape)
        if received.symbols.shape[1] != plan.symbols:
            raise ValueError(f"{received.symbols.shape[1]} symbols received; such an image has {plan.symbols}")
        images = [self._one(plan, *one) for one in zip(received.symbols.cpu(), received.n0.cpu(), strict=True)]
        return Decoded(torch.cat(images).to(received.symbols.device))

    def _one(self, plan: _Plan, symbols: Complex[Tensor, " n"], n0: Float[Tensor, " n"]) -> Float[Tensor, "1 3 h w"]:
        weight = 1 / n0[: plan.side].clamp(min=1e-12)  # a channel may have no noise
        scale = max(0.02, float((symbols[: plan.side].real * weight).sum() / weight.sum()) / LOUD)
        part = slice(plan.side, plan.side + plan.used)
        heard = as_pairs(symbols[None, part])[0].flatten() / scale
        noise = (n0[part] / 2 / scale**2).repeat_interleave(2)
        shape = plan.grid.tiles, plan.count
        size = shape[0] * shape[1]
        values, noise = heard[:size].reshape(shape), noise[:size].reshape(shape)
        variance = plan.deviation.square()
        trust = plan.gain * variance / (plan.gain.square() * variance + noise)
        components = torch.zeros(shape[0], self.model.components)
        components[:, : plan.count] = trust * values
        left = (variance * (1 - trust * plan.gain)).sum(dim=1) + plan.unsent
        spread = (left.mean() / (3 * self.model.side**2)).sqrt().clamp(2**-7.9, 1.0)
        with torch.no_grad():
            sketch = plan.grid.blend(self.model.sketch(components))
            learned = torch.zeros(shape[0], self.model.semantic)
            scene = Scene(sketch, spread[None], self.model.standard(components), learned)
            image = self.renderer.render(scene, torch.zeros_like(sketch), steps=1)
        return ((image + 1) / 2).clamp(0, 1)

    def _plan(self, shape: tuple[int, int, int]) -> _Plan:
        return _Plan(self.model, shape, self.ratio)


class _Plan:
    """What is sent of an image, and how loud."""

    def __init__(self, model: PromptAutoencoder, shape: tuple[int, int, int], ratio: float) -> None:
        self.grid = Grid(shape[1], shape[2], model.side)
        self.symbols = channel_uses(shape, ratio)
        self.side = max(4, self.symbols // SIDE_SHARE)
        self.count = min(model.components, 2 * (self.symbols - self.side) // self.grid.tiles)
        if self.count < 1:
            raise ValueError(f"ratio={ratio:g} is too small for an image of {shape[2]}×{shape[1]}×{shape[0]}")
        self.used = -(-self.count * self.grid.tiles // 2)
        deviation = torch.exp2(model.scale / SCALES)
        self.deviation, self.unsent = deviation[: self.count], deviation[self.count :].square().sum()
        self.gain = self.deviation.rsqrt() / (2 * self.deviation.mean()).sqrt()  # mean energy 1 a channel use


def _even(values: Float[Tensor, "b n"]) -> Float[Tensor, "b m 2"]:
    """In pairs, with a zero more where they are odd in number."""
    return F.pad(values, (0, values.shape[1] % 2)).reshape(len(values), -1, 2)
