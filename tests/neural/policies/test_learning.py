"""Learning through critics and through the objective; stopping and going on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from semlink.neural.policies import POLICIES, Learner, PolicySettings

QUICK = PolicySettings("mlp", updates=250, width=32, batch=64, warm_up=128, lr=3e-3)


class Split:
    """Which of two shares is asked for is observed: the reward is minus how far the action is from all of it."""

    name, observed, shares = "split", 1, 2

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randint(2, (count, 1), generator=rng).float()

    def observe(self, world: Tensor) -> Tensor:
        return world * 2 - 1

    def show(self, action: Tensor) -> Tensor:
        return 2 * action - 1

    def reward(self, world: Tensor, action: Tensor) -> Tensor:
        return -50 * (action - self.best(world)).square().sum(dim=1)

    objective = value = reward

    def best(self, world: Tensor) -> Tensor:
        return torch.cat([0.2 + 0.6 * world, 0.8 - 0.6 * world], dim=1)


def learned(settings: PolicySettings, *, broken: bool = False) -> float:
    """The mean reward after training; of equal shares it is -9."""
    environment = Split()
    learner = Learner(environment, settings)
    if broken:  # critics that say the same of everything, and stay so
        for one in learner.critic.parameters():
            torch.nn.init.zeros_(one)
        learner.optimisers[1] = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0)
    for _ in range(settings.updates):
        learner.advance()
    worlds = environment.draw(200, torch.Generator().manual_seed(1))
    return float(environment.value(worlds, learner.act(worlds, seed=2)).mean())


@pytest.mark.parametrize("policy", ["gdm", "mlp", "gradient"])
def test_policies_learn(policy: str) -> None:
    assert learned(replace(QUICK, policy=policy)) > -3


def test_a_policy_does_not_learn_of_critics_that_do_not() -> None:
    assert learned(QUICK, broken=True) < -5


def test_cloning_counts() -> None:
    """With all of the weight on the expert, broken critics do not matter."""
    assert learned(replace(QUICK, cloning=1.0), broken=True) > -3


@pytest.mark.parametrize("policy", POLICIES)
def test_a_training_goes_on_as_if_it_had_not_stopped(policy: str, tmp_path: Path) -> None:
    settings = replace(QUICK, policy=policy, updates=8, warm_up=16, batch=8)
    whole, first, second = (Learner(Split(), settings) for _ in range(3))
    for _ in range(8):
        whole.advance()
    for _ in range(3):
        first.advance()
    first.save(tmp_path / "kept.pt", curve=[1.0])
    assert second.resume(tmp_path / "kept.pt") == {"curve": [1.0]}
    for _ in range(5):
        second.advance()
    for a, b in ((whole.network, second.network), (whole.critic, second.critic)):
        assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert torch.equal(whole.rewards, second.rewards)
    assert torch.equal(whole.rng.get_state(), second.rng.get_state())


def test_checkpoints_of_others_are_refused(tmp_path: Path) -> None:
    Learner(Split(), QUICK).save(tmp_path / "kept.pt")
    with pytest.raises(ValueError, match="seed was 0, is 1; choose another folder"):
        Learner(Split(), replace(QUICK, seed=1)).resume(tmp_path / "kept.pt")
    (tmp_path / "kept.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"checkpoint .*kept\.pt"):
        Learner(Split(), QUICK).resume(tmp_path / "kept.pt")
    assert Learner(Split(), QUICK).resume(tmp_path / "none.pt") == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"policy": "dqn"}, "policy='dqn' must be one of: gdm"),
        ({"updates": 0}, "updates=0 must be from 1"),
        ({"cloning": 1.5}, "cloning=1.5 must be from 0 to 1"),
        ({"chance": float("nan")}, "chance=nan"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(QUICK, **wrong)  # type: ignore[arg-type]


def test_seeds_differ_and_repeat() -> None:
    settings = replace(QUICK, updates=3, warm_up=16, batch=8)
    runs = [Learner(Split(), replace(settings, seed=seed)) for seed in (0, 0, 1)]
    losses = [[one.advance() for _ in range(3)] for one in runs]
    assert losses[0] == losses[1] != losses[2]
