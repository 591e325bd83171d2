"""The covert link's constraints, its optimum, and what a policy makes of it."""

from __future__ import annotations

import math

import pytest
import torch

from semlink.flowgraphs.optimisation import Covert, Decision, check_feasible, solve, stored_surface, worlds_aside
from semlink.flowgraphs.optimisation.covert import JAM, TRANSMIT, covert_ratio
from semlink.neural.policies import Learner, PolicySettings
from semlink.phy.security import theory

CSI = ["perfect", "partial"]


def link(csi: str = "perfect", **fixed: float) -> Covert:
    return Covert(stored_surface(), csi, fixed)


def some_actions(count: int) -> torch.Tensor:
    drawn = -torch.rand(count, 4, generator=torch.Generator().manual_seed(5)).log()
    return drawn / drawn.sum(dim=1, keepdim=True)


def test_the_table_of_ratios_is_the_closed_form() -> None:
    for epsilon in (1e-4, 0.05, 0.1, 0.25, 1 / 2.718281828, 0.9):
        found = float(covert_ratio(torch.tensor([epsilon], dtype=torch.float64)))
        assert found == pytest.approx(theory.rayleigh_ratio(epsilon), rel=1e-5)


@pytest.mark.parametrize("csi", CSI)
def test_the_optimum_keeps_to_every_constraint(csi: str) -> None:
    environment = link(csi)
    world = worlds_aside(environment)
    done = environment.decide(world, environment.best(world), whole=True)
    warden = done.transmit / done.jam * 10 ** (world[:, 2] / 10)
    assert (theory.rayleigh_least_error_sum(warden.numpy()) >= 1 - world[:, 3].numpy() - 1e-5).all()
    spent = done.transmit + done.jam + done.steps * world[:, 5]
    assert (spent <= world[:, 4] * (1 + 1e-5)).all()
    assert ((done.transmit >= TRANSMIT[0]) & (done.transmit <= TRANSMIT[1]) & (done.jam <= JAM)).all()


def test_whatever_is_done_is_covert_and_paid_for() -> None:
    environment = link()
    world = worlds_aside(environment)
    for whole in (True, False):
        done = environment.decide(world, some_actions(200), whole=whole)
        warden = done.transmit / done.jam * 10 ** (world[:, 2] / 10)
        assert (theory.rayleigh_least_error_sum(warden.double().numpy()) >= 1 - world[:, 3].numpy() - 1e-5).all()
        assert (done.transmit + done.jam + done.steps * world[:, 5] <= world[:, 4] * (1 + 1e-5)).all()


@pytest.mark.parametrize("csi", CSI)
def test_nothing_beats_the_optimum(csi: str) -> None:
    """Not a grid over both powers and all numbers of steps, which comes as near as it is fine."""
    environment = link(csi)
    for world in worlds_aside(environment, 3):
        best = solve(environment, world)
        alone = float(environment.value(world[None], environment.best(world[None])))
        assert best.value_db == pytest.approx(alone, abs=2e-3)
        assert best.value_db - 0.1 < _by_exhaustion(environment, world) <= best.value_db + 1e-3


def _by_exhaustion(environment: Covert, world: torch.Tensor) -> float:
    """The best of 150 x 150 powers and every number of steps, of what the constraints allow."""
    transmit, jam, steps = torch.meshgrid(
        torch.logspace(math.log10(TRANSMIT[0]), math.log10(TRANSMIT[1]), 150),
        torch.logspace(-2, math.log10(JAM), 150),
        torch.arange(5.0),
        indexing="ij",
    )
    done = Decision(transmit.flatten(), jam.flatten(), steps.flatten())
    allowed = done.transmit + done.jam + done.steps * world[5] <= world[4]
    if environment.csi == "perfect":
        allowed &= done.transmit <= done.jam * covert_ratio(world[3:4]) / 10 ** (world[2] / 10)
    done = Decision(*(one[allowed] for one in done))
    return float(environment.worth(world.expand(len(done.steps), -1), done).max())


def test_the_objective_is_the_mean_of_what_is_met() -> None:
    """With partial CSI, over what nobody sees: four standard errors of 20,000; and not of a 1 dB larger margin."""
    environment = link("partial")
    world = worlds_aside(environment, 1)
    action = environment.best(world)
    hidden = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0))
    met = environment.reward(torch.cat([world[:, :6].expand(20_000, -1), hidden], dim=1), action.expand(20_000, -1))
    error = float(met.std()) / 20_000**0.5
    assert abs(float(met.mean()) - float(environment.value(world, action))) < 4 * error
    louder = environment.decide(world, action, whole=True)
    louder = louder._replace(transmit=louder.transmit * 10**0.3)
    assert abs(float(met.mean()) - float(environment.worth(world, louder))) > 4 * error


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"energy": 0.05}, "infeasible, energy: the least transmit power 0.1 is more than energy=0.05"),
        ({"warden_db": 30.0}, "infeasible, jamming: warden_db=30, epsilon=.* need P_J >= "),
        (
            {"energy": 1.0, "epsilon": 0.01, "warden_db": 0.0},
            "infeasible, energy: .* need P_A [+] P_J >= .* more than energy=1",
        ),
        ({"epsilon": 1.0}, "epsilon=1 must be from"),
        ({"energy": float("nan")}, "energy=nan must be from"),
        ({"power": 1.0}, "power=1.0: must be one of: gain_db"),
    ],
)
def test_what_cannot_be_is_named(fixed: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_feasible(worlds_aside(link(**fixed))[0])


def test_a_world_that_is_drawn_is_feasible() -> None:
    for world in worlds_aside(link(), 500):
        check_feasible(world)


def test_one_more_step_is_not_bought_when_it_costs_too_much() -> None:
    dear, cheap = (solve(link(step_energy=cost), worlds_aside(link(step_energy=cost))[0]) for cost in (14.0, 0.01))
    assert dear.steps < cheap.steps == 4


def test_the_gradient_comes_within_two_percent() -> None:
    environment = link()
    world = worlds_aside(environment)
    learner = Learner(environment, PolicySettings("gradient", updates=100, width=32, batch=32))
    best = float(environment.value(world, environment.best(world)).mean())
    before = float(environment.value(world, learner.act(world, seed=0)).mean())
    for _ in range(100):
        learner.advance()
    after = float(environment.value(world, learner.act(world, seed=0)).mean())
    assert before < 0.97 * best < 0.98 * best < after <= best
