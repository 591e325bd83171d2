"""GDMOPT's environment: the sum rate of ten parallel channels against water-filling.

As in github.com/HongyangDu/GDMOPT: five gains uniform in 1 … 2, five in 0 … 1, new in every episode of one step; an
action is shares of the power 3; the reward is Σ log2(1 + g p) less what water-filling reaches, so 0 is the optimum.
Its state has an eleventh number, the reward of the episode before, which says nothing of this one and is left out.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

CHANNELS = 10
POWER = 3.0


def water_fill(gains: Float[Tensor, "b n"], power: float) -> Float[Tensor, "b n"]:
    """The powers that maximise Σ log2(1 + g p) at Σ p = `power`, exactly: p = max(0, μ − 1/g).

    The water level μ is that of the k best channels, (power + Σ 1/g) / k, for the largest k of which all get some.

    Args:
        gains: power gains over the noise, positive.
        power: of all channels together, positive.

    Raises:
        ValueError: a gain or the power that is not positive and finite.

    Source: T. M. Cover and J. A. Thomas, "Elements of Information Theory", 2nd ed., section 9.4.
    """
    if not 0 < power < math.inf:
        raise ValueError(f"power={power:g} must be positive and finite")
    if not bool(((gains > 0) & gains.isfinite()).all()):
        raise ValueError("gains must be positive and finite")
    floor = 1 / gains
    lowest = floor.sort(dim=-1).values
    levels = (power + lowest.cumsum(dim=-1)) / torch.arange(1, gains.shape[-1] + 1)
    filled = (levels > lowest).sum(dim=-1, keepdim=True)  # a prefix: levels fall where a channel gets some
    return (levels.gather(-1, filled - 1) - floor).clamp(min=0)


class WaterFilling:
    """The environment; see the module. Nothing is hidden, so reward and objective are the same."""

    name, observed, shares = "water-filling", CHANNELS, CHANNELS

    def draw(self, count: int, rng: torch.Generator) -> Float[Tensor, "count 10"]:
        """Gains of the ten channels; never 0 itself."""
        gains = 1 - torch.rand(count, CHANNELS, generator=rng)
        gains[:, : CHANNELS // 2] += 1
        return gains

    def observe(self, world: Float[Tensor, "b 10"]) -> Float[Tensor, "b 10"]:
        """The gains, about 0."""
        return world - 1

    def show(self, action: Float[Tensor, "b 10"]) -> Float[Tensor, "b 10"]:
        """The shares, about 0."""
        return action * CHANNELS - 1

    def reward(self, world: Float[Tensor, "b 10"], action: Float[Tensor, "b 10"]) -> Float[Tensor, " b"]:
        """The sum rate less the largest one, bit."""
        return self.rate(world, action) - self.rate(world, self.best(world))

    def objective(self, world: Float[Tensor, "b 10"], action: Float[Tensor, "b 10"]) -> Float[Tensor, " b"]:
        """The same: its gradient reaches every share."""
        return self.reward(world, action)

    def value(self, world: Float[Tensor, "b 10"], action: Float[Tensor, "b 10"]) -> Float[Tensor, " b"]:
        """The same."""
        return self.reward(world, action)

    def best(self, world: Float[Tensor, "b 10"]) -> Float[Tensor, "b 10"]:
        """The shares of water-filling."""
        return water_fill(world, POWER) / POWER

    def rate(self, world: Float[Tensor, "b 10"], action: Float[Tensor, "b 10"]) -> Float[Tensor, " b"]:
        """Σ log2(1 + g p), bit per complex symbol of each channel together."""
        return torch.log2(1 + world * action * POWER).sum(dim=1)
