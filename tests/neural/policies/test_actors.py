"""Denoising and plain actors, and the critics."""

from __future__ import annotations

import math

import pytest
import torch

from semlink.neural.policies import GDM, MLPActor, TwinCritic, VariancePreserving

OBSERVED, SHARES = 6, 4


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(kind: str) -> GDM | MLPActor:
    torch.manual_seed(0)
    if kind == "mlp":
        return MLPActor(OBSERVED, SHARES, width=16)
    return GDM(OBSERVED, SHARES, width=16, published=kind == "published")


@pytest.mark.parametrize("kind", ["gdm", "published", "mlp"])
def test_shares_are_shares(kind: str) -> None:
    actor = make(kind)
    preference = actor.prefer(torch.randn(5, OBSERVED, generator=rng()), rng(1))
    shares = actor.shares(preference)
    assert shares.shape == (5, SHARES)
    assert (shares >= 0).all()
    assert torch.allclose(shares.sum(dim=1), torch.ones(5))


def test_the_schedule_is_gdmopts() -> None:
    """Its code takes betas of exp(-0.1/T - 0.5 (10 - 0.1) (2t - 1)/T²); all noise in all: exp of minus its integral."""
    schedule = VariancePreserving(6)
    assert schedule.betas[0] == pytest.approx(1 - math.exp(-0.1 / 6 - 0.5 * 9.9 / 36))
    assert schedule.alpha_bars[-1] == pytest.approx(math.exp(-(0.1 + 0.5 * 9.9)))


def test_a_denoiser_draws_and_a_plain_network_does_not() -> None:
    seen = torch.randn(5, OBSERVED, generator=rng())
    for kind, draws in (("gdm", True), ("mlp", False)):
        actor = make(kind)
        assert torch.equal(actor.prefer(seen, rng(1)), actor.prefer(seen, rng(1)))
        assert torch.equal(actor.prefer(seen, rng(1)), actor.prefer(seen, rng(2))) != draws


def test_the_gradient_reaches_every_action_unless_it_is_clamped() -> None:
    """The published form in its corner: x_0 beyond ±1 at the last step has no gradient; ours has."""
    seen = torch.randn(32, OBSERVED, generator=rng())
    still = {}
    for kind in ("gdm", "published"):
        actor = make(kind)
        assert isinstance(actor, GDM)
        last = actor.network[-1]
        assert isinstance(last, torch.nn.Linear)
        with torch.no_grad():
            last.bias.fill_(30.0)
        actor.shares(actor.prefer(seen, rng(1)))[:, 0].sum().backward()
        assert last.bias.grad is not None
        still[kind] = not last.bias.grad.abs().sum() > 0
    assert still == {"gdm": False, "published": True}


def test_critics_are_two() -> None:
    torch.manual_seed(0)
    critic = TwinCritic(OBSERVED, SHARES, width=16)
    action = torch.full((5, SHARES), 1 / SHARES, requires_grad=True)
    said = critic(torch.randn(5, OBSERVED, generator=rng()), action)
    assert said.shape == (5, 2)
    assert not torch.equal(said[:, 0], said[:, 1])
    said.min(dim=1).values.sum().backward()
    assert action.grad is not None
    assert (action.grad != 0).all()


@pytest.mark.parametrize("kind", ["gdm", "mlp"])
def test_cloning_brings_an_actor_to_its_expert(kind: str) -> None:
    actor, expert = make(kind), torch.tensor([0.7, 0.2, 0.1, 0.0])
    seen, draws = torch.randn(64, OBSERVED, generator=rng()), rng(1)
    optimiser = torch.optim.Adam(actor.parameters(), lr=0.01)

    def distance() -> float:
        with torch.no_grad():
            return float((actor.shares(actor.prefer(seen, rng(2))) - expert).abs().mean())

    before = distance()
    for _ in range(150):
        optimiser.zero_grad()
        actor.cloning_loss(seen, expert.expand(64, -1), draws).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert distance() < before / 3
