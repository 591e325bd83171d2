"""Diffusion in a few steps: the noise schedule, the forward process, and the ways back.

Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models", NeurIPS 2020 (DDPM); Song, Meng and Ermon, "Denoising
Diffusion Implicit Models", ICLR 2021 (DDIM). Steps are counted as in both papers, t = 1 … T; t = 0 is without noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import sqrt
from operator import mul

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.phy.parameters import check_choice

MAX_STEPS = 1000
RULES = ("linear", "sqrt-linear")
PREDICTIONS = ("x0", "noise")
SAMPLERS = ("mean", "ancestral", "ddim")

Predict = Callable[[Float[Tensor, "*b d"], int], Float[Tensor, "*b d"]]
"""What a network makes of x_t and t: the noise within it, or x_0."""


@dataclass(frozen=True)
class Schedule:
    """The variances β_1 … β_T of the noise that each step adds.

    Attributes:
        steps: T.
        rule: "linear": β rises linearly from `start` to `end`, as arXiv 2408.05112 says; "sqrt-linear": √β does, as in
            the code that it builds on (github.com/Zj-BinXia/DiffIR, ldm/util2.py, which calls that "linear").
        start: β_1. With T = 1 the only β is `end`, so that the forward process still ends in noise.
        end: β_T.

    Raises:
        ValueError: T outside 1 … 1000, an unknown rule, or not 0 < start ≤ end < 1.
    """

    steps: int = 4
    rule: str = "linear"
    start: float = 0.1
    end: float = 0.99

    def __post_init__(self) -> None:
        if not isinstance(self.steps, int) or isinstance(self.steps, bool) or not 1 <= self.steps <= MAX_STEPS:
            raise ValueError(f"steps={self.steps!r} must be a whole number from 1 to {MAX_STEPS}")
        check_choice("schedule", self.rule, RULES)
        if not 0 < self.start <= self.end < 1:
            raise ValueError(f"start={self.start} and end={self.end} must be 0 < start <= end < 1")

    @cached_property
    def betas(self) -> tuple[float, ...]:
        """β_1 … β_T."""
        power = 1.0 if self.rule == "linear" else 0.5
        low, high = self.start**power, self.end**power
        shares = [t / (self.steps - 1) for t in range(self.steps)] if self.steps > 1 else [1.0]
        return tuple((low + (high - low) * share) ** (1 / power) for share in shares)

    @cached_property
    def alpha_bars(self) -> tuple[float, ...]:
        """ᾱ_0 = 1, ᾱ_1 … ᾱ_T: ᾱ_t is the product of 1 − β_i over i = 1 … t.

        arXiv 2408.05112 lets the product begin at i = 0 in its algorithms and at 1 in its text; there is no β_0.
        """
        return tuple(accumulate((1 - beta for beta in self.betas), mul, initial=1.0))

    def diffuse(self, x0: Float[Tensor, "*b d"], t: int, noise: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """x_t drawn from q(x_t | x_0) with given standard normal noise (DDPM, eq. 4).

        Raises:
            ValueError: t outside 1 … T.
        """
        kept = self.alpha_bars[self._checked(t)]
        return sqrt(kept) * x0 + sqrt(1 - kept) * noise

    def posterior_mean(self, x0: Float[Tensor, "*b d"], x: Float[Tensor, "*b d"], t: int) -> Float[Tensor, "*b d"]:
        """Mean of q(x_{t−1} | x_t, x_0) (DDPM, eq. 7), where `x` is x_t.

        Raises:
            ValueError: t outside 1 … T.
        """
        beta, kept, before = self._at(t)
        return sqrt(before) * beta / (1 - kept) * x0 + sqrt(1 - beta) * (1 - before) / (1 - kept) * x

    def posterior_variance(self, t: int) -> float:
        """Variance of q(x_{t−1} | x_t, x_0) (DDPM, eq. 7); 0 at t = 1.

        Raises:
            ValueError: t outside 1 … T.
        """
        beta, kept, before = self._at(t)
        return beta * (1 - before) / (1 - kept)

    def clean(
        self, x: Float[Tensor, "*b d"], predicted: Float[Tensor, "*b d"], t: int, *, predicts: str
    ) -> Float[Tensor, "*b d"]:
        """The x_0 that x_t and a prediction at step t stand for; `predicts` is "x0" or "noise"."""
        kept = self.alpha_bars[self._checked(t)]
        return predicted if predicts == "x0" else (x - sqrt(1 - kept) * predicted) / sqrt(kept)

    def reverse_step(
        self,
        x: Float[Tensor, "*b d"],
        predicted: Float[Tensor, "*b d"],
        t: int,
        *,
        predicts: str,
        noise: Float[Tensor, "*b d"] | None = None,
    ) -> Float[Tensor, "*b d"]:
        """x_{t−1} of x_t: the posterior's mean, and `noise` times its standard deviation where noise is given.

        With predicted noise ε the mean is (x_t − (1 − α_t) / √(1 − ᾱ_t) · ε) / √α_t (DDPM, eq. 11; arXiv 2408.05112,
        eq. 12, which adds no noise).

        Raises:
            ValueError: t outside 1 … T, or `predicts` neither "x0" nor "noise".
        """
        check_choice("predicts", predicts, PREDICTIONS)
        beta, kept, _ = self._at(t)
        if predicts == "x0":
            mean = self.posterior_mean(predicted, x, t)
        else:
            mean = (x - beta / sqrt(1 - kept) * predicted) / sqrt(1 - beta)
        return mean if noise is None else mean + sqrt(self.posterior_variance(t)) * noise

    def ddim_step(
        self, x: Float[Tensor, "*b d"], predicted: Float[Tensor, "*b d"], t: int, *, to: int, predicts: str
    ) -> Float[Tensor, "*b d"]:
        """x at an earlier step `to` of x_t, without noise (DDIM, eq. 12 with σ = 0).

        Raises:
            ValueError: not 0 ≤ to < t ≤ T, or `predicts` neither "x0" nor "noise".
        """
        check_choice("predicts", predicts, PREDICTIONS)
        if not 0 <= to < self._checked(t):
            raise ValueError(f"to={to} must be a step from 0 to below t={t}")
        x0 = self.clean(x, predicted, t, predicts=predicts)
        now, then = self.alpha_bars[t], self.alpha_bars[to]
        direction = predicted if predicts == "noise" else (x - sqrt(now) * x0) / sqrt(1 - now)
        return sqrt(then) * x0 + sqrt(1 - then) * direction

    def times(self, count: int) -> list[int]:
        """The steps that a sampler of `count` of them visits: T first, evenly spaced, 0 last.

        Raises:
            ValueError: count outside 1 … T.
        """
        if not 1 <= count <= self.steps:
            raise ValueError(f"steps={count} must be from 1 to the schedule's {self.steps}")
        return [round(self.steps * (count - i) / count) for i in range(count + 1)]

    def check_sampler(self, sampler: str, steps: int | None) -> None:
        """Raise ValueError unless `sample` knows the sampler and it can take so many steps."""
        check_choice("sampler", sampler, SAMPLERS)
        if steps is not None:
            self.times(steps)
        if steps not in (None, self.steps) and sampler != "ddim":
            raise ValueError(f"steps={steps} must be {self.steps} with sampler={sampler!r}; fewer take sampler='ddim'")

    def sample(
        self,
        predict: Predict,
        x: Float[Tensor, "*b d"],
        *,
        predicts: str,
        sampler: str = "mean",
        steps: int | None = None,
        rng: Sequence[torch.Generator] | None = None,
    ) -> Float[Tensor, "*b d"]:
        """x_0 from x_T, differentiable.

        Args:
            predict: the network.
            x: x_T.
            predicts: "x0" or "noise".
            sampler: "mean": the posterior's mean at every step, as in arXiv 2408.05112 and DiffIR; "ancestral": with
                its noise (DDPM, algorithm 2); "ddim".
            steps: how many steps "ddim" takes, T where it is None; the others always take T. With 1 the network is
                asked once, at T.
            rng: for "ancestral": a generator for each row.

        Raises:
            ValueError: an unknown choice, `steps` out of range or given to another sampler, or no generators.
        """
        self.check_sampler(sampler, steps)
        if sampler == "ancestral" and rng is None:
            raise ValueError("rng=None: sampler='ancestral' draws noise and needs a generator for each row")
        times = self.times(self.steps if steps is None else steps)
        for t, to in pairwise(times):
            predicted = predict(x, t)
            if sampler == "ddim":
                x = self.ddim_step(x, predicted, t, to=to, predicts=predicts)
            else:
                noise = normal_rows(rng, x) if sampler == "ancestral" and rng is not None else None
                x = self.reverse_step(x, predicted, t, predicts=predicts, noise=noise)
        return x

    def _at(self, t: int) -> tuple[float, float, float]:
        """β_t, ᾱ_t and ᾱ_{t−1}."""
        return self.betas[self._checked(t) - 1], self.alpha_bars[t], self.alpha_bars[t - 1]

    def _checked(self, t: int) -> int:
        if not 1 <= t <= self.steps:
            raise ValueError(f"t={t} must be a step from 1 to {self.steps}")
        return t


def normal_rows(rng: Sequence[torch.Generator], like: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
    """Standard normal draws of the shape of `like`, each row from a generator of its own."""
    rows = [torch.randn(like.shape[1:], generator=one, device=one.device) for one in rng]
    return torch.stack(rows).to(like)
