"""Water-filling is exact, and GDMOPT's environment is what its figures say."""

from __future__ import annotations

import pytest
import torch

from semlink.flowgraphs.optimisation import WaterFilling, references, water_fill
from semlink.neural.policies import Learner, PolicySettings

POWER = 3.0


def gains(count: int = 500) -> torch.Tensor:
    return WaterFilling().draw(count, torch.Generator().manual_seed(3)).double()


def test_the_conditions_of_karush_kuhn_and_tucker_hold() -> None:
    """Σ p = P; 1/(1/g + p) is one number where p > 0, and 1/(1/g) = g is no larger elsewhere: sufficient, as the rate
    is concave."""
    g = gains()
    p = water_fill(g, POWER)
    assert (p >= 0).all()
    assert torch.allclose(p.sum(dim=1), torch.full((500,), POWER, dtype=torch.float64), atol=1e-12)
    slope, used = 1 / (1 / g + p), p > 0
    price = slope.masked_fill(~used, 0).max(dim=1, keepdim=True).values
    assert torch.allclose(slope[used], price.expand_as(slope)[used], rtol=1e-12)
    assert (slope[~used] <= price.expand_as(slope)[~used] * (1 + 1e-12)).all()
    assert 0 < int((~used).sum()) < used.numel()


@pytest.mark.parametrize("power", [1e-9, 1e9])
def test_little_power_goes_to_the_best_channel_and_much_is_shared(power: float) -> None:
    g = gains(20)
    p = water_fill(g, power)
    if power < 1:
        assert torch.equal(p.argmax(dim=1), g.argmax(dim=1))
        assert ((p > 0).sum(dim=1) == 1).all()
    else:
        assert torch.allclose(p, torch.full_like(p, power / 10), rtol=1e-3)


def test_equal_gains_share_equally() -> None:
    assert torch.allclose(water_fill(torch.ones(1, 4), 2.0), torch.full((1, 4), 0.5))


@pytest.mark.parametrize(("g", "power"), [([1.0, 0.0], 1.0), ([1.0, float("inf")], 1.0), ([1.0, 2.0], -1.0)])
def test_what_cannot_be_filled(g: list[float], power: float) -> None:
    with pytest.raises(ValueError, match="must be positive and finite"):
        water_fill(torch.tensor([g]), power)


def test_the_environment_has_gdmopts_figures() -> None:
    """Optimum 4.646 bit, equal power -0.993, on the five strong channels -0.048; four standard errors of 20,000."""
    environment = WaterFilling()
    world = environment.draw(20_000, torch.Generator().manual_seed(0))
    best = environment.rate(world, environment.best(world))
    equal = environment.reward(world, torch.full((1, 10), 0.1))
    for found, said in ((best, 4.646), (equal, -0.993)):
        assert abs(float(found.mean()) - said) < 4 * float(found.std()) / 20_000**0.5 + 5e-4
    known = {name: float(one.mean()) for name, one in references(environment).items()}
    assert known == pytest.approx(
        {"water-filling": 0.0, "equal power, the five strong": -0.048, "equal power": -0.993}, abs=0.06
    )
    assert -0.06 < known["equal power, the five strong"] < -0.04


def test_the_gradient_comes_near_the_optimum() -> None:
    """Nearer than equal power on the five strong channels, which needs no learning."""
    environment = WaterFilling()
    learner = Learner(environment, PolicySettings("gradient", updates=250, width=64, batch=64, lr=3e-3))
    for _ in range(250):
        learner.advance()
    world = environment.draw(500, torch.Generator().manual_seed(1))
    assert -0.035 < float(environment.reward(world, learner.act(world, seed=0)).mean()) <= 0
