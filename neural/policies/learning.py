"""Learning a policy of one-step episodes: through twin critics, or through an objective that has a gradient.

Every episode is one action, so the critics' target is the reward itself: no bootstrapping, no target networks. All
draws come from one generator that is kept in the checkpoint with the episodes met: a training that goes on from it
takes the very steps of an uninterrupted one.
"""

from __future__ import annotations

import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from semlink.neural.policies.actors import GDM, WIDTH, Actor, MLPActor, TwinCritic
from semlink.phy.documents import write_whole

POLICIES = ("gdm", "gdm-published", "mlp", "gradient")
"""Policies that learn: both forms of the denoising actor and a plain network through critics, and a plain network
through the objective's gradient."""
WEIGHT_DECAY = 1e-4
RISE = 50
"""Updates over which the learning rates rise."""
DELAY = 2
"""Updates of the critics to one of the actor (TD3, Fujimoto et al., ICML 2018)."""
TOGETHER = 4
"""Updates whose episodes are met at once."""
CRITICS_FIRST = 100
"""Updates before the actor's first: critics that know nothing would send it into a corner."""
REACH = 5.0
"""How far preferences may lie from their mean before it costs: at e^-10 a share is as good as 0, and beyond that
softmax has no gradient left. A pull, and not a clamp, leads back."""


@runtime_checkable
class Environment(Protocol):
    """One-step episodes: an observation, shares of a budget as the action, and a reward."""

    @property
    def name(self) -> str:
        """With all that a training in it depends on."""
        ...

    @property
    def observed(self) -> int:
        """Numbers of an observation."""
        ...

    @property
    def shares(self) -> int:
        """Numbers of an action."""
        ...

    def draw(self, count: int, rng: torch.Generator) -> Float[Tensor, "count w"]:
        """Worlds: all that is of an episode, what nobody observes included."""
        ...

    def observe(self, world: Float[Tensor, "b w"]) -> Float[Tensor, "b o"]:
        """What a policy sees of them, of about unit size."""
        ...

    def show(self, action: Float[Tensor, "b a"]) -> Float[Tensor, "b s"]:
        """An action as critics see it, of about unit size, differentiable."""
        ...

    def reward(self, world: Float[Tensor, "b w"], action: Float[Tensor, "b a"]) -> Float[Tensor, " b"]:
        """What an action is worth in the world as it turns out."""
        ...

    def objective(self, world: Float[Tensor, "b w"], action: Float[Tensor, "b a"]) -> Float[Tensor, " b"]:
        """The reward that is to be expected of an action by what is observed, differentiable."""
        ...

    def value(self, world: Float[Tensor, "b w"], action: Float[Tensor, "b a"]) -> Float[Tensor, " b"]:
        """The same as it is measured; it need not have a gradient."""
        ...

    def best(self, world: Float[Tensor, "b w"]) -> Float[Tensor, "b a"]:
        """The action of the largest expected reward."""
        ...


@dataclass(frozen=True)
class PolicySettings:
    """How a policy learns.

    Attributes:
        policy: one of `POLICIES`.
        seed: of weights, episodes and exploration.
        updates: of the critics; every `DELAY`-th is one of the actor too.
        episodes: new ones an update.
        warm_up: episodes before the first update.
        batch: episodes of an update.
        lr: of AdamW for actor and critics; it rises over `RISE` updates and falls as a cosine.
        width: of the hidden layers.
        exploration: standard deviation of the noise on the preferences, as wide at the end as at the beginning: the
            critics must know the corners, where softmax leads only far out.
        chance: share of the episodes that explore.
        cloning: weight of the expert's actions in the actor's loss, 0 to 1; the rest is the critics'.

    Raises:
        ValueError: a value out of range.
    """

    policy: str
    seed: int = 0
    updates: int = 1200
    episodes: int = 16
    warm_up: int = 512
    batch: int = 128
    lr: float = 3e-3
    width: int = WIDTH
    exploration: float = 2.0
    chance: float = 1.0
    cloning: float = 0.0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(f"policy={self.policy!r} must be one of: {', '.join(POLICIES)}")
        for name in ("updates", "episodes", "warm_up", "batch", "width"):
            if not 1 <= getattr(self, name) <= 10**7:
                raise ValueError(f"{name}={getattr(self, name)} must be from 1 to 10000000")
        for name in ("chance", "cloning"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must be from 0 to 1")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed={self.seed} must be from 0 to 4294967295")


class Learner:
    """A policy, its critics and optimisers, and the episodes that it has met.

    Args:
        environment: what it learns in.
        settings: how.
    """

    def __init__(self, environment: Environment, settings: PolicySettings) -> None:
        self.environment, self.settings, self.step, self.met = environment, settings, 0, 0
        torch.manual_seed(settings.seed)  # for the initial weights alone
        sizes = (environment.observed, environment.shares)
        published = settings.policy == "gdm-published"
        self.is_diffusion = published or settings.policy == "gdm"
        self.network: nn.Module = (
            GDM(*sizes, width=settings.width, published=published)
            if self.is_diffusion
            else MLPActor(*sizes, width=settings.width)
        )
        shown = environment.show(torch.full((1, environment.shares), 1 / environment.shares)).shape[1]
        self.critic = TwinCritic(environment.observed, shown, width=settings.width)
        self.optimisers = [_adamw(self.network, settings), _adamw(self.critic, settings)]
        self.rng = torch.Generator().manual_seed(settings.seed)
        needed = 0 if settings.policy == "gradient" else settings.warm_up + settings.updates * settings.episodes
        self.worlds = torch.zeros(needed, environment.draw(1, torch.Generator()).shape[1])
        self.actions, self.rewards = torch.zeros(needed, environment.shares), torch.zeros(needed)

    @property
    def actor(self) -> Actor:
        """What decides."""
        return cast(Actor, self.network)

    def act(self, world: Float[Tensor, "b w"], *, seed: int) -> Float[Tensor, "b a"]:
        """The actions without exploration; a diffusion actor draws its noise by `seed`."""
        rng = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            return self.actor.shares(self.actor.prefer(self.environment.observe(world), rng))

    def advance(self) -> float:
        """One update; returns the critics' mean squared error (over the variance of the warm-up's rewards), or the
        objective's loss where there are none."""
        settings = self.settings
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = settings.lr * _share_of_rate(self.step, settings.updates)
        loss = self._by_gradient() if settings.policy == "gradient" else self._by_critics()
        self.step += 1
        return loss

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on."""
        return {
            "settings": asdict(self.settings),
            "environment": self.environment.name,
            "step": self.step,
            "met": self.met,
            "networks": [self.network.state_dict(), self.critic.state_dict()],
            "optimisers": [one.state_dict() for one in self.optimisers],
            "episodes": [one[: self.met].clone() for one in (self.worlds, self.actions, self.rewards)],
            "rng": self.rng.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`.

        Raises:
            ValueError: it is of another environment or of other settings.
        """
        before = {**state["settings"], "environment": state["environment"]}
        now = {**asdict(self.settings), "environment": self.environment.name}
        if changed := [name for name in now if before.get(name) != now[name]]:
            said = (f"{name} was {before.get(name)!r}, is {now[name]!r}" for name in changed)
            raise ValueError(f"of other settings: {'; '.join(said)}")
        for network, saved in zip((self.network, self.critic), state["networks"], strict=True):
            network.load_state_dict(saved)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.met = int(state["step"]), int(state["met"])
        for kept, saved in zip((self.worlds, self.actions, self.rewards), state["episodes"], strict=True):
            kept[: self.met] = saved
        self.rng.set_state(state["rng"])

    def save(self, path: Path, **more: Any) -> None:  # noqa: ANN401
        """Write a checkpoint, whole or not at all, with whatever else belongs to it."""
        packed = io.BytesIO()
        torch.save({**self.state(), "more": more}, packed)
        write_whole(path, packed.getvalue())

    def resume(self, path: Path) -> dict[str, Any]:
        """Go on from a checkpoint, where there is one; returns what else was in it.

        Raises:
            ValueError: it is damaged, or of other settings.
        """
        if not path.is_file():
            return {}
        try:
            state = torch.load(path, weights_only=True)
            self.restore(state)
            return dict(state["more"])
        except Exception as error:  # a damaged file raises any of a dozen types
            raise ValueError(f"checkpoint {path}: {error}; choose another folder or remove it") from error

    def _by_gradient(self) -> float:
        world = self.environment.draw(self.settings.batch, self.rng)
        preference = self.actor.prefer(self.environment.observe(world), self.rng)
        loss = _overreach(preference) - self.environment.objective(world, self.actor.shares(preference)).mean()
        _descend(loss, self.optimisers[0])
        return float(loss.detach())

    def _by_critics(self) -> float:
        if not self.met:
            self._meet(self.settings.warm_up)
        if self.step % TOGETHER == 0:
            self._meet(self.settings.episodes * min(TOGETHER, self.settings.updates - self.step))
        rows = torch.randint(self.met, (self.settings.batch,), generator=self.rng)
        world, observation = self.worlds[rows], self.environment.observe(self.worlds[rows])
        expected = self.critic(observation, self.environment.show(self.actions[rows]))
        error = (expected - self._standard(self.rewards[rows, None])).square().mean()
        _descend(error, self.optimisers[1])
        if self.step % DELAY == 0 and self.step >= min(CRITICS_FIRST, self.settings.updates // 4):
            self._improve(world, observation)
        return float(error.detach())

    def _improve(self, world: Tensor, observation: Tensor) -> None:
        """One update of the actor."""
        preference = self.actor.prefer(observation, self.rng)
        action = self.environment.show(self.actor.shares(preference))
        loss = _overreach(preference) - self.critic(observation, action).min(dim=1).values.mean()
        if weight := self.settings.cloning:
            expert = self.environment.best(world)
            loss = (1 - weight) * loss + weight * self.actor.cloning_loss(observation, expert, self.rng)
        _descend(loss, self.optimisers[0])

    def _standard(self, reward: Tensor) -> Tensor:
        """Of zero mean and unit variance over the warm-up, so that units do not matter."""
        first = self.rewards[: self.settings.warm_up]
        return (reward - first.mean()) / first.std().clamp(min=1e-6)

    def _meet(self, count: int) -> None:
        """Meet so many episodes, exploring, and keep them."""
        world = self.environment.draw(count, self.rng)
        with torch.no_grad():
            preference = self.actor.prefer(self.environment.observe(world), self.rng)
            explores = torch.rand(count, 1, generator=self.rng) < self.settings.chance
            noise = self.settings.exploration * torch.randn(preference.shape, generator=self.rng)
            action = self.actor.shares(preference + explores * noise)
        new = slice(self.met, self.met + count)
        self.worlds[new], self.actions[new] = world, action
        self.rewards[new] = self.environment.reward(world, action)
        self.met += count


def _adamw(network: nn.Module, settings: PolicySettings) -> torch.optim.AdamW:
    return torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=WEIGHT_DECAY, fused=True)


def _share_of_rate(step: int, updates: int) -> float:
    return min(1.0, (step + 1) / RISE) * 0.5 * (1 + math.cos(math.pi * step / updates))


def _overreach(preference: Tensor) -> Tensor:
    """What preferences beyond `REACH` of their mean cost."""
    beyond = (preference - preference.mean(dim=1, keepdim=True)).abs() - REACH
    return beyond.clamp(min=0).square().mean()


def _descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
