"""A covert image link to share out energy in: transmit power, a friendly jammer's power, and the receiver's steps.

All powers are over Bob's noise. Bob hears the transmitter with the gain g and the jammer with g_J, so his Es/N0 is
P_A g / (P_J g_J + 1); what that is worth after k diffusion steps is a measured surface (`QualitySurface`). The warden
hears both over Rayleigh fading with mean gains of ratio λ, and is kept in the dark to ε where r = λ P_A / P_J is at
most the ratio of ξ*(r) = 1 − ε (`semlink.phy.security.theory.rayleigh_ratio`). Energy pays for all:
P_A + P_J + e k ≤ E; and P_A lies within `TRANSMIT`, P_J is at most `JAM`.

An action is shares of E: transmitting, jamming, computing, and nothing. The steps are what the third comes nearest to,
and the others share what is left. Two kinds of channel knowledge:

- perfect: g and λ are known, and the transmitter, who can tell, sends no louder than is covert. The objective is the
  PSNR.
- partial: g is known from an earlier channel, λ from a guess where the warden is, each with a normal error in dB
  (`GAIN_ERROR_DB`, `WARDEN_ERROR_DB`). The objective is the PSNR of what was sent unseen: 0 where the warden was given
  too much, so that its mean is P(covert) · E[PSNR]. What is met in training is one image's PSNR in one such world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.optimisation.surface import QualitySurface
from semlink.phy.security import theory

RANGES: Mapping[str, tuple[float, float]] = {
    "gain_db": (-12.0, 6.0),
    "jam_db": (-25.0, -10.0),
    "warden_db": (-12.0, 0.0),
    "epsilon": (0.05, 0.25),
    "energy": (20.0, 60.0),
    "step_energy": (1.0, 8.0),
}
"""What worlds are drawn from, uniformly: g, g_J and λ in dB, ε, E and e."""
LIMITS: Mapping[str, tuple[float, float]] = {
    "gain_db": (-100.0, 100.0),
    "jam_db": (-300.0, 100.0),
    "warden_db": (-100.0, 100.0),
    "epsilon": (1e-4, 0.99),
    "energy": (1e-3, 1e6),
    "step_energy": (0.0, 1e6),
}
"""What they may be set to."""
TRANSMIT = (0.1, 20.0)
"""P_A: below the first nothing is received."""
JAM = 40.0
"""P_J at most."""
GAIN_ERROR_DB = 4.0
WARDEN_ERROR_DB = 3.0
MARGINS_DB = torch.arange(0, 15.01, 0.1)
"""What the search leaves between λ as it is believed and λ as it would be seen."""
SHARES = 4
LEAST = 1e-3
"""Added to a share before its logarithm is taken."""
CSI = ("perfect", "partial")


class Decision(NamedTuple):
    """What an action comes to: powers over Bob's noise, and steps."""

    transmit: Float[Tensor, " b"]
    jam: Float[Tensor, " b"]
    steps: Float[Tensor, " b"]


@dataclass(frozen=True)
class Covert:
    """The environment; see the module. A world is the `RANGES` in their order, then the three that nobody sees.

    Args:
        surface: what steps are worth.
        csi: "perfect" or "partial".
        fixed: some of `RANGES` at a value, in every world.

    Raises:
        ValueError: another CSI, or a value that is unknown or out of `LIMITS`.
    """

    surface: QualitySurface
    csi: str = "perfect"
    fixed: Mapping[str, float] | None = None

    observed = len(RANGES)
    shares = SHARES

    def __post_init__(self) -> None:
        if self.csi not in CSI:
            raise ValueError(f"csi={self.csi!r} must be one of: {', '.join(CSI)}")
        for name, value in (self.fixed or {}).items():
            if name not in LIMITS:
                raise ValueError(f"{name}={value!r}: must be one of: {', '.join(LIMITS)}")
            low, high = LIMITS[name]
            if not low <= value <= high:
                raise ValueError(f"{name}={value:g} must be from {low:g} to {high:g}")

    @property
    def name(self) -> str:
        """With all that training depends on."""
        said = "".join(f",{name}={value!r}" for name, value in sorted((self.fixed or {}).items()))
        return f"covert:csi={self.csi}{said},surface={self.surface.codec}/{self.surface.digest}"

    def draw(self, count: int, rng: torch.Generator) -> Float[Tensor, "count 9"]:
        """Worlds; the last three columns are standard normal: the errors of g and λ, and the image."""
        ends = torch.tensor(list(RANGES.values()))
        world = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * torch.rand(count, len(RANGES), generator=rng)
        for name, value in (self.fixed or {}).items():
            world[:, list(RANGES).index(name)] = value
        return torch.cat([world, torch.randn(count, 3, generator=rng)], dim=1)

    def observe(self, world: Float[Tensor, "b 9"]) -> Float[Tensor, "b 6"]:
        """The first six columns, each over its range to about −1.7 … 1.7; ε by its logarithm."""
        ends = torch.tensor(list(RANGES.values()))
        seen, at = world[:, : len(RANGES)].clone(), list(RANGES).index("epsilon")
        seen[:, at], ends[at] = seen[:, at].log(), ends[at].log()
        return (seen - ends.mean(dim=1)) / (ends[:, 1] - ends[:, 0]) * math.sqrt(12)

    def show(self, action: Float[Tensor, "b 4"]) -> Float[Tensor, "b 8"]:
        """The shares, and their logarithms: half of a small power is 3 dB too."""
        return torch.cat([action * SHARES - 1, (action + LEAST).log() / 2 + 1], dim=1)

    def decide(self, world: Float[Tensor, "b 9"], action: Float[Tensor, "b 4"], *, whole: bool) -> Decision:
        """What an action comes to; `whole` steps, or a mixture that has a gradient.

        With perfect CSI the transmitter keeps to what is covert.
        """
        energy, step_energy = world[:, 4], world[:, 5]
        most = float(len(self.surface.steps) - 1)
        steps = (action[:, 2] * energy / step_energy.clamp(min=1e-9)).clamp(max=most)
        if whole:
            steps = torch.minimum(steps.round(), (energy / step_energy.clamp(min=1e-9)).floor())
        left = energy - steps * step_energy
        rest = action[:, [0, 1, 3]]
        transmit, jam, _ = (left[:, None] * rest / rest.sum(dim=1, keepdim=True).clamp(min=1e-9)).unbind(dim=1)
        transmit, jam = transmit.clamp(max=TRANSMIT[1]), jam.clamp(max=JAM)
        if self.csi == "perfect":
            transmit = torch.minimum(transmit, jam * _allowed(world))
        return Decision(transmit, jam, steps)

    def reward(self, world: Float[Tensor, "b 9"], action: Float[Tensor, "b 4"]) -> Float[Tensor, " b"]:
        """What is met: with partial CSI one image's PSNR in dB in the world as it is, 0 where it was seen."""
        done = self.decide(world, action, whole=True)
        if self.csi == "perfect":
            return self._received(done, self.esno_db(world, done))
        esno_db = self.esno_db(world, done) + GAIN_ERROR_DB * world[:, 6]
        psnr_db = self._received(done, esno_db) + world[:, 8] * self.surface.spread(esno_db, done.steps)
        return psnr_db * (margin_db(world, done) >= WARDEN_ERROR_DB * world[:, 7])

    def objective(self, world: Float[Tensor, "b 9"], action: Float[Tensor, "b 4"]) -> Float[Tensor, " b"]:
        """The mean of `reward` over what nobody sees, in dB, with mixtures of steps; differentiable."""
        return self.worth(world, self.decide(world, action, whole=False))

    def value(self, world: Float[Tensor, "b 9"], action: Float[Tensor, "b 4"]) -> Float[Tensor, " b"]:
        """The mean of `reward` over what nobody sees, in dB."""
        return self.worth(world, self.decide(world, action, whole=True))

    def worth(self, world: Float[Tensor, "b 9"], done: Decision) -> Float[Tensor, " b"]:
        """The objective of a decision."""
        if self.csi == "perfect":
            return self._received(done, self.esno_db(world, done))
        nodes, weights = _normal_quadrature()
        esno_db = self.esno_db(world, done)[:, None] + GAIN_ERROR_DB * nodes  # (b, nodes)
        spread = Decision(*(one[:, None].expand_as(esno_db) for one in done))
        covert: Tensor = torch.special.ndtr(margin_db(world, done) / WARDEN_ERROR_DB)
        return covert * (self._received(spread, esno_db) * weights).sum(dim=1)

    def esno_db(self, world: Float[Tensor, "b 9"], done: Decision) -> Float[Tensor, " b"]:
        """Bob's Es/N0 in dB by the gains as they are believed."""
        interference = 1 + done.jam * 10 ** (world[:, 1] / 10)
        return world[:, 0] + 10 * (done.transmit.clamp(min=1e-9) / interference).log10()

    def best(self, world: Float[Tensor, "b 9"]) -> Float[Tensor, "b 4"]:
        """The best action: every number of steps, and with partial CSI every margin of `MARGINS_DB`.

        Covertness depends on the ratio of the powers alone, and at a given ratio more power is never worse for Bob: of
        the powers, one number is left, and the energy and the limits give it.
        """
        margins = torch.zeros(1) if self.csi == "perfect" else MARGINS_DB
        count = len(self.surface.steps)
        steps = torch.arange(count, dtype=torch.float32).repeat_interleave(len(margins))
        margin = margins.repeat(count)  # of each candidate
        b, n = len(world), len(steps)
        worlds = world.repeat_interleave(n, dim=0)
        ratio = _allowed(worlds) * 10 ** (-margin.repeat(b) / 10)  # P_A over P_J
        left = worlds[:, 4] - steps.repeat(b) * worlds[:, 5]
        jam = torch.minimum((left / (1 + ratio)).clamp(max=JAM), TRANSMIT[1] / ratio)
        worth = self.worth(worlds, Decision(ratio * jam, jam, steps.repeat(b)))
        chosen = worth.masked_fill(left <= 0, -math.inf).view(b, n).argmax(dim=1) + torch.arange(b) * n
        return self._shares_of(world, (ratio * jam)[chosen], jam[chosen], steps.repeat(b)[chosen])

    def _shares_of(self, world: Tensor, transmit: Tensor, jam: Tensor, steps: Tensor) -> Float[Tensor, "b 4"]:
        computing = steps * world[:, 5]
        parts = torch.stack([transmit, jam, computing, world[:, 4] - transmit - jam - computing], dim=1).clamp(min=0)
        return parts / parts.sum(dim=1, keepdim=True)

    def _received(self, done: Decision, esno_db: Tensor) -> Tensor:
        """PSNR in dB, that falls to 0 with a transmit power below the least."""
        return self.surface.quality(esno_db, done.steps) * (done.transmit / TRANSMIT[0]).clamp(max=1)


def margin_db(world: Float[Tensor, "b 9"], done: Decision) -> Float[Tensor, " b"]:
    """How far the ratio of the warden's mean powers, as it is believed, lies below the largest covert one, dB."""
    return 10 * (_allowed(world) * done.jam.clamp(min=1e-9) / done.transmit.clamp(min=1e-9)).log10()


def _allowed(world: Float[Tensor, "b 9"]) -> Float[Tensor, " b"]:
    """The largest P_A / P_J that is covert."""
    return covert_ratio(world[:, 3]) / 10 ** (world[:, 2] / 10)


def covert_ratio(epsilon: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """`semlink.phy.security.theory.rayleigh_ratio` of many ε from `LIMITS`, by a fine table of its inverse."""
    known, ratio = _ratio_table()
    return torch.from_numpy(np.exp(np.interp(epsilon.double().numpy(), known, ratio))).to(epsilon)


@cache
def _ratio_table() -> tuple[np.ndarray, np.ndarray]:
    logs = np.linspace(math.log(1e-6), math.log(1e6), 60_001)
    return 1 - theory.rayleigh_least_error_sum(np.exp(logs)), logs


@cache
def _normal_quadrature() -> tuple[Tensor, Tensor]:
    """Places and weights of the mean over a standard normal number."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(16)
    return torch.tensor(nodes, dtype=torch.float32), torch.tensor(weights / weights.sum(), dtype=torch.float32)
