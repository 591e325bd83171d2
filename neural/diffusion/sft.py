"""Semantic fine-tuning (SFT): a diffusion model at the receiver that restores detail in the decoded image.

The module of GSC (arXiv 2408.05112, IEEE TCCN 2025, §III-D, algorithms 1 and 2) on the layers of DiffIR (Xia et al.,
ICCV 2023), which it is an instance of. Where the paper is silent or says two things:

- N1 is two networks, see `semlink.neural.diffusion.prior`. Z_0 of algorithm 1 is the prior Z of line 3, from decoded
  *and* sent image; the prose says "of the decoded images", with which there would be nothing to learn.
- The decoded images come from the frozen codec at random Es/N0, over the channels of the recipe.
- ε_θ predicts the noise, eq. (12), or x_0, which DiffIR found better: `predicts`. The two give the same reverse step.
- β rises linearly from 0.1 to 0.99 (`schedule="linear"`), or √β does, which is what DiffIR's code means by "linear".
- The product ᾱ begins at i = 1. No noise is added in the reverse steps: each takes the posterior's mean.
- L = L_pre + L_diff, both with weight 1 and from the first step on. L_diff is the mean over the 4C′ numbers, taken at
  the last step; the gradient goes through all T steps. The N1 that saw the sent image is frozen in the second stage
  and all else is trained.
- Refinement blocks (4) and the expansion of DGFN (2) are DiffIR's; the paper does not mention them.
- The paper tells its networks nothing of the channel. With `knows_level` an embedding of the received noise level is
  added to the prior that guides N2 and to the condition of ε_θ; it is ours, and `sft-paper` goes without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural.diffusion.ddpm import PREDICTIONS, Schedule, normal_rows
from semlink.neural.diffusion.prior import LevelEmbedding, PriorDenoiser, PriorExtractor
from semlink.neural.diffusion.refiner import check_decoded, in_parts
from semlink.neural.diffusion.restorer import Restorer, padded
from semlink.neural.inference import at_home
from semlink.neural.networks import Held, within
from semlink.phy.link import Rng
from semlink.phy.parameters import check_choice
from semlink.phy.rng import spawn

Distance = Callable[[Float[Tensor, "b c h w"], Float[Tensor, "b c h w"]], Float[Tensor, " b"]]
"""How far an image is from another, of each pair."""

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "sft-paper": {
        "width": 96,
        "dim": 48,
        "blocks": (3, 5, 6, 6),
        "heads": (1, 2, 4, 8),
        "refinement": 4,
        "predicts": "noise",
        "knows_level": False,
    },
    "sft": {
        "width": 32,
        "dim": 24,
        "blocks": (1, 2, 2, 1),
        "heads": (1, 2, 4, 8),
        "refinement": 1,
        "shrink": 2,
        "extractor_blocks": 3,
        "predicts": "x0",
        "knows_level": True,
    },
}
"""Arguments of `SFT` by name: the paper's, and a light one for a CPU."""


def absolute_errors(image: Float[Tensor, "b c h w"], reference: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Mean absolute error of each image: L_pre of arXiv 2408.05112, eq. (9)."""
    return (image - reference).abs().flatten(1).mean(dim=1)


class SFT(Held, nn.Module):
    """A `Refiner`: decoded images to refined ones, by a prior that is sampled in a few diffusion steps.

    Args:
        channels: of the images.
        width: C′; the prior has 4C′ numbers.
        dim: features of N2 at full resolution.
        blocks: dynamic blocks of the four levels of N2.
        heads: of their attention.
        refinement: further blocks of N2 at full resolution.
        expansion: features within DGFN for each one outside.
        shrink: pixels a side that one cell of N2 holds; see `Restorer`.
        extractor_blocks: residual blocks of N1.
        steps: T.
        schedule: "linear" or "sqrt-linear"; see `Schedule`.
        predicts: what ε_θ predicts, "noise" or "x0".
        knows_level: whether the received noise level is told.
        sampler: how `refine` samples the prior; see `Schedule.sample`.
        sampling_steps: how many steps it takes, T where it is None; fewer than T take the sampler "ddim".

    Raises:
        ValueError: T, a choice or a size out of range.
    """

    draws = True

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 96,
        dim: int = 48,
        blocks: Sequence[int] = (3, 5, 6, 6),
        heads: Sequence[int] = (1, 2, 4, 8),
        refinement: int = 4,
        expansion: float = 2.0,
        shrink: int = 1,
        extractor_blocks: int = 5,
        steps: int = 4,
        schedule: str = "linear",
        predicts: str = "noise",
        knows_level: bool = True,
        sampler: str = "mean",
        sampling_steps: int | None = None,
    ) -> None:
        super().__init__()
        check_choice("predicts", predicts, PREDICTIONS)
        self.schedule = Schedule(steps, schedule)
        self.schedule.check_sampler(sampler, sampling_steps)
        self.channels, self.predicts = channels, predicts
        self.sampler, self.sampling_steps = sampler, sampling_steps
        prior = 4 * width
        self.oracle = PriorExtractor(2, channels=channels, width=width, blocks=extractor_blocks)
        self.extractor = PriorExtractor(1, channels=channels, width=width, blocks=extractor_blocks)
        self.denoiser = PriorDenoiser(prior, steps=steps)
        self.restorer = Restorer(
            prior,
            channels=channels,
            dim=dim,
            blocks=blocks,
            heads=heads,
            refinement=refinement,
            expansion=expansion,
            shrink=shrink,
        )
        self.least_side = self.restorer.multiple
        self.levels = nn.ModuleList([LevelEmbedding(prior) for _ in range(2 * knows_level)])

    def sample_by(self, sampler: str | None = None, *, steps: int | None = None) -> None:
        """Let `refine` sample the prior otherwise from now on: fewer steps than T are by "ddim" where none is named.

        Raises:
            ValueError: an unknown sampler, steps out of 1 … T, or fewer than T by another sampler than "ddim".
        """
        few = steps is not None and steps != self.schedule.steps
        chosen = sampler or ("ddim" if few else self.sampler)
        self.schedule.check_sampler(chosen, steps)
        self.sampler, self.sampling_steps = chosen, steps

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the convolutions between features, without depthwise ones and those at the images."""
        parts = (self.oracle, self.extractor, self.restorer)
        outer = {id(self.restorer.embed.weight), id(self.restorer.leave.weight)}
        every = (p for part in parts for p in part.parameters() if p.requires_grad)
        return [p for p in every if p.ndim == 4 and p.shape[1] > 1 and id(p) not in outer]

    def restore(
        self, decoded: Float[Tensor, "b c h w"], prior: Float[Tensor, "b p"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b c h w"]:
        """N2: decoded images, of sides that N2 takes, restored by a prior; not clipped."""
        guide = prior + self.levels[0](level) if self.levels else prior
        restored: Tensor = self.restorer(decoded, guide)
        return restored

    def pretraining_loss(
        self,
        decoded: Float[Tensor, "b c h w"],
        sent: Float[Tensor, "b c h w"],
        level: Float[Tensor, "b 1"],
        *,
        distance: Distance = absolute_errors,
    ) -> Float[Tensor, " b"]:
        """The first stage, eq. (9): how far N2(Ŝ, N1(Ŝ, I)) is from I, of each image."""
        return distance(self.restore_knowing(decoded, sent, level), sent)

    def diffusion_loss(
        self,
        decoded: Float[Tensor, "b c h w"],
        sent: Float[Tensor, "b c h w"],
        level: Float[Tensor, "b 1"],
        *,
        noise: Float[Tensor, "b p"],
        distance: Distance = absolute_errors,
    ) -> Float[Tensor, " b"]:
        """The second stage, algorithm 1: L_pre + L_diff of each image, all T steps unrolled; `noise` makes Z_T of Z."""
        padded_decoded = self._padded(decoded)
        with torch.no_grad():
            target = self._known_prior(padded_decoded, self._padded(sent))
        start = self.schedule.diffuse(target, self.schedule.steps, noise)
        prior = self.estimate(padded_decoded, level, start)
        restored = self.restore(padded_decoded, prior, level)[..., : sent.shape[-2], : sent.shape[-1]]
        return distance(restored, sent) + (prior - target).abs().mean(dim=1)

    def restore_knowing(
        self, decoded: Float[Tensor, "b c h w"], sent: Float[Tensor, "b c h w"], level: Float[Tensor, "b 1"]
    ) -> Float[Tensor, "b c h w"]:
        """What the first stage restores, with a prior that has seen the sent image: a bound, never a receiver."""
        image = self._padded(decoded)
        return self.restore(image, self._known_prior(image, self._padded(sent)), level)[
            ..., : sent.shape[-2], : sent.shape[-1]
        ]

    def estimate(
        self,
        decoded: Float[Tensor, "b c h w"],
        level: Float[Tensor, "b 1"],
        start: Float[Tensor, "b p"],
        *,
        sampler: str = "mean",
        steps: int | None = None,
        rng: Sequence[torch.Generator] | None = None,
    ) -> Float[Tensor, "b p"]:
        """Ẑ from Z_T, conditioned on the decoded images (of sides that N2 takes); differentiable."""
        condition = self.extractor(decoded).to(start)
        if self.levels:
            condition = condition + self.levels[1](level).to(start)
        # The last β of 0.99 makes of an error of ε one ten times as large: no place for bf16.
        with torch.autocast(decoded.device.type, enabled=False):
            return self.schedule.sample(
                lambda x, t: self.denoiser(x, t, condition),
                start,
                predicts=self.predicts,
                sampler=sampler,
                steps=steps,
                rng=rng,
            )

    @at_home
    def refine(
        self, decoded: Float[Tensor, "b c h w"], level: Float[Tensor, "b 1"], *, rng: Rng
    ) -> Float[Tensor, "b c h w"]:
        """Algorithm 2: refined images, not clipped; Z_T is drawn from `rng`, for each image (and tile) by itself.

        Raises:
            ValueError: images of another number of channels, with a side below what N2 takes, or with values that are
                not finite.
        """
        check_decoded(decoded, self)
        # Of several tiles of an image each draws anew, from where its image's generator is.
        own, level = spawn(rng, len(decoded)), within(level, self.seen_db)
        with torch.no_grad():
            return in_parts(lambda rows, part: self._refine(part, level[rows], own[rows]), decoded)

    def _refine(
        self, decoded: Float[Tensor, "b c h w"], level: Float[Tensor, "b 1"], rng: Sequence[torch.Generator]
    ) -> Float[Tensor, "b c h w"]:
        image = self._padded(decoded)
        start = normal_rows(rng, image.new_empty(len(image), self.denoiser.enter.out_features))
        prior = self.estimate(image, level, start, sampler=self.sampler, steps=self.sampling_steps, rng=rng)
        return self.restore(image, prior, level).to(decoded)[..., : decoded.shape[-2], : decoded.shape[-1]]

    def _padded(self, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c v u"]:
        return padded(image, self.restorer.multiple)

    def _known_prior(self, decoded: Float[Tensor, "b c h w"], sent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b p"]:
        prior: Tensor = self.oracle(decoded, sent)
        return prior.to(decoded)
