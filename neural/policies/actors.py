"""Actors: from what is observed of an environment to shares of a budget.

`GDM` is the generative diffusion model of GDMOPT (Du et al., "Beyond Deep Reinforcement Learning: A Tutorial on
Generative Diffusion Models in Network Optimization", arXiv 2308.05384; code github.com/HongyangDu/GDMOPT): it denoises
Gaussian noise into an action in six steps, conditioned on the observation. In the published form the network predicts
the noise, x_0 is clamped to ±1 and the shares are |a| / Σ|a|: the clamp has no gradient outside its bounds, and what is
left of it at high noise is divided by √ᾱ. Here the network predicts x_0 itself, nothing is clamped, and the shares are
the softmax of x_0. `published=True` is the form of the paper's code, to be measured beside it.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural.diffusion import Schedule

DENOISING_STEPS = 6
TIME = 16
"""Numbers of the embedding of the time."""
LEAST = 1e-3
"""Added to a share before its logarithm is taken."""
WIDTH = 64
"""Of the hidden layers."""


def mlp(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """Two hidden layers of `width`, with SiLU; GDMOPT has Mish, which takes twice as long and does no better."""
    return nn.Sequential(
        nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, outputs)
    )


@runtime_checkable
class Actor(Protocol):
    """What decides: observations to preferences, and preferences to shares."""

    def prefer(self, observation: Float[Tensor, "b o"], rng: torch.Generator) -> Float[Tensor, "b a"]:
        """Preferences, real numbers without bounds; exploration adds noise to them."""
        ...

    def shares(self, preference: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """Shares that are not negative and sum to one."""
        ...

    def cloning_loss(
        self, observation: Float[Tensor, "b o"], expert: Float[Tensor, "b a"], rng: torch.Generator
    ) -> Tensor:
        """How far it is from an expert's shares: what is minimised to imitate it."""
        ...


class VariancePreserving(Schedule):
    """GDMOPT's schedule: β_t = 1 − exp(−b₀/T − (b₁ − b₀)(2t − 1) / (2T²)), from b₀ = 0.1 to b₁ = 10."""

    @cached_property
    def betas(self) -> tuple[float, ...]:
        """β_1 … β_T."""
        low, high, count = 0.1, 10.0, self.steps
        exponents = (low / count + (high - low) * (2 * t - 1) / (2 * count**2) for t in range(1, count + 1))
        return tuple(-math.expm1(-one) for one in exponents)


class MLPActor(nn.Module):
    """A plain network of two hidden layers and a softmax: the control of `GDM`.

    Args:
        observed: numbers of an observation.
        shares: of an action.
        width: of the hidden layers.
    """

    def __init__(self, observed: int, shares: int, *, width: int = WIDTH) -> None:
        super().__init__()
        self.network = mlp(observed, shares, width)

    def prefer(self, observation: Float[Tensor, "b o"], rng: torch.Generator) -> Float[Tensor, "b a"]:  # noqa: ARG002
        """The logits of the shares; nothing is drawn."""
        logits: Tensor = self.network(observation)
        return logits

    def shares(self, preference: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """Their softmax."""
        return preference.softmax(dim=-1)

    def cloning_loss(
        self, observation: Float[Tensor, "b o"], expert: Float[Tensor, "b a"], rng: torch.Generator
    ) -> Tensor:
        """Mean squared error of the shares."""
        return (self.shares(self.prefer(observation, rng)) - expert).square().mean()


class GDM(nn.Module):
    """A denoising actor: preferences from Gaussian noise in `DENOISING_STEPS` steps, the gradient through all of them.

    Args:
        observed: numbers of an observation.
        shares: of an action.
        width: of the hidden layers.
        published: predict the noise, clamp x_0 to ±1 and take |a| / Σ|a|, as GDMOPT's code does.
    """

    times: Tensor

    def __init__(self, observed: int, shares: int, *, width: int = WIDTH, published: bool = False) -> None:
        super().__init__()
        self.schedule, self.published, self.count = VariancePreserving(DENOISING_STEPS), published, shares
        self.network = mlp(shares + TIME + observed, shares, width)
        frequency = torch.exp(-math.log(10_000) * torch.arange(TIME // 2) / (TIME // 2 - 1))
        angle = torch.arange(1, DENOISING_STEPS + 1)[:, None] * frequency
        self.register_buffer("times", torch.cat([angle.sin(), angle.cos()], dim=1), persistent=False)

    def prefer(self, observation: Float[Tensor, "b o"], rng: torch.Generator) -> Float[Tensor, "b a"]:
        """x_0 from x_T ~ N(0, I), with the posterior's noise at every step but the last (DDPM, algorithm 2)."""
        x = torch.randn(len(observation), self.count, generator=rng)
        for t in range(DENOISING_STEPS, 0, -1):
            x = self.schedule.posterior_mean(self._clean(x, t, observation), x, t)
            if t > 1:
                noise = torch.randn(x.shape, generator=rng)
                x = x + math.sqrt(self.schedule.posterior_variance(t)) * noise
        return x

    def shares(self, preference: Float[Tensor, "b a"]) -> Float[Tensor, "b a"]:
        """Their softmax; as published, |a| / Σ|a|."""
        if not self.published:
            return preference.softmax(dim=-1)
        size = preference.abs() + 1e-9
        return size / size.sum(dim=-1, keepdim=True)

    def cloning_loss(
        self, observation: Float[Tensor, "b o"], expert: Float[Tensor, "b a"], rng: torch.Generator
    ) -> Tensor:
        """Denoising: the expert's preferences, noised to a step drawn at random, and the shares that are made of it."""
        t = int(torch.randint(1, DENOISING_STEPS + 1, (), generator=rng))
        x0 = expert if self.published else (expert + LEAST).log()
        x = self.schedule.diffuse(x0, t, torch.randn(x0.shape, generator=rng))
        return (self.shares(self._clean(x, t, observation)) - expert).square().mean()

    def _clean(self, x: Float[Tensor, "b a"], t: int, observation: Float[Tensor, "b o"]) -> Float[Tensor, "b a"]:
        """x_0 as the network sees it in x_t."""
        time = self.times[t - 1].expand(len(x), TIME)
        said: Tensor = self.network(torch.cat([x, time, observation], dim=1))
        return self.schedule.clean(x, said, t, predicts="noise").clamp(-1, 1) if self.published else said


class TwinCritic(nn.Module):
    """Two networks that foretell the reward of an action (Fujimoto et al., ICML 2018): the smaller one is believed.

    Args:
        observed: numbers of an observation.
        shown: numbers that an action is shown by.
        width: of the hidden layers.
    """

    def __init__(self, observed: int, shown: int, *, width: int = WIDTH) -> None:
        super().__init__()
        self.networks = nn.ModuleList([mlp(observed + shown, 1, width) for _ in range(2)])

    def forward(self, observation: Float[Tensor, "b o"], action: Float[Tensor, "b s"]) -> Float[Tensor, "b 2"]:
        """The reward that each of them expects."""
        x = torch.cat([observation, action], dim=1)
        return torch.cat([network(x) for network in self.networks], dim=1)
