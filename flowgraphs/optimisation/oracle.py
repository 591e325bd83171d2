"""The optimum of one covert link, by every number of steps and, for what is continuous, a closed form or SciPy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from semlink.flowgraphs.optimisation.covert import JAM, RANGES, TRANSMIT, WARDEN_ERROR_DB, Covert, Decision
from semlink.phy.security import theory

MOST_MARGIN_DB = 6 * WARDEN_ERROR_DB


@dataclass(frozen=True)
class Optimum:
    """The best decision of a link.

    Attributes:
        steps: of the receiver.
        transmit: P_A.
        jam: P_J.
        margin_db: how far the ratio of the warden's mean powers lies below the largest covert one, as it is believed.
        value_db: the objective.
    """

    steps: int
    transmit: float
    jam: float
    margin_db: float
    value_db: float


def check_feasible(world: Tensor) -> None:
    """Raise a ValueError that names the constraint, unless the least transmit power is allowed in a world (w,).

    Raises:
        ValueError: no powers satisfy the constraint that it names.
    """
    _, _, warden_db, epsilon, energy, _ = world[: len(RANGES)].tolist()
    least, jam = TRANSMIT[0], TRANSMIT[0] / ratio_of(world)
    if least > energy:
        raise ValueError(f"infeasible, energy: the least transmit power {least:g} is more than energy={energy:g}")
    said = f"warden_db={warden_db:g}, epsilon={epsilon:g}"
    if jam > JAM:
        raise ValueError(f"infeasible, jamming: {said} need P_J >= {jam:.4g}, and it may be {JAM:g} at most")
    if least + jam > energy:
        raise ValueError(
            f"infeasible, energy: {said} need P_A + P_J >= {least + jam:.4g}, which is more than energy={energy:g}"
        )


def ratio_of(world: Tensor) -> float:
    """The largest covert P_A / P_J of a world."""
    return float(theory.rayleigh_ratio(float(world[3])) / 10 ** (float(world[2]) / 10))


def solve(environment: Covert, world: Tensor) -> Optimum:
    """The optimum of one world (w,); with partial CSI the margin is found by SciPy for every number of steps.

    Raises:
        ValueError: as `check_feasible`.
    """
    check_feasible(world)
    found = [_at(environment, world, k) for k in range(len(environment.surface.steps))]
    return max((one for one in found if one is not None), key=lambda one: one.value_db)


def _at(environment: Covert, world: Tensor, steps: int) -> Optimum | None:
    """The best of a number of steps; None where they leave too little energy."""
    left = float(world[4]) - steps * float(world[5])
    at_once = _powers(world, left, 0.0)
    if left <= 0 or at_once[0] < TRANSMIT[0] * (1 - 1e-9):
        return None
    margin = 0.0
    if environment.csi == "partial":
        found = minimize_scalar(
            lambda one: -_worth(environment, world, steps, _powers(world, left, one)),
            bounds=(0.0, MOST_MARGIN_DB),
            method="bounded",
            options={"xatol": 1e-4},
        )
        margin = float(found.x)
    powers = _powers(world, left, margin)
    return Optimum(steps, *powers, margin, _worth(environment, world, steps, powers))


def _powers(world: Tensor, left: float, margin_db: float) -> tuple[float, float]:
    """The largest P_A and P_J of a ratio that is so far below the largest covert one."""
    ratio = ratio_of(world) * 10 ** (-margin_db / 10)
    jam = min(left / (1 + ratio), JAM, TRANSMIT[1] / ratio)
    return ratio * jam, jam


def _worth(environment: Covert, world: Tensor, steps: int, powers: tuple[float, float]) -> float:
    decision = Decision(*(torch.tensor([float(one)], dtype=torch.float64) for one in (*powers, steps)))
    return float(environment.worth(world[None].double(), decision))
