"""Policies that learn in an environment, seed by seed, with checkpoints; what they are worth on worlds kept aside."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.optimisation.covert import Covert
from semlink.flowgraphs.optimisation.water_filling import CHANNELS, WaterFilling
from semlink.neural.policies import Learner, PolicySettings

EVALUATIONS = 25
"""Of a training, evenly spread."""
WORLDS = 200
ASIDE = 2**40
"""Seed of the worlds that policies are measured on; trainings have smaller ones."""
MARGINS_DB = [0.5 * i for i in range(31)]
"""Of which the best one for all worlds is taken."""
CURVES = ("water-filling", "covert", "covert-partial")
"""Stored ones."""
Problem = WaterFilling | Covert


class CurvePoint(NamedTuple):
    """Where a learning policy stands.

    Attributes:
        policy, seed: which one.
        updates: so far.
        episodes: met so far; of "gradient", worlds whose objective it was told the gradient of.
        value: mean over the worlds aside.
        steps, esno_db: its decision in the first of those worlds, a covert link's; None of water-filling.
    """

    policy: str
    seed: int
    updates: int
    episodes: int
    value: float
    steps: float | None
    esno_db: float | None


@dataclass(frozen=True)
class Trained:
    """A policy at the end of its training.

    Attributes:
        curve: from its random weights on.
        values: in each of the worlds aside.
        cpu_s: processor time of its updates.
    """

    curve: Sequence[CurvePoint]
    values: Float[Tensor, " b"]
    cpu_s: float


def worlds_aside(environment: Problem, count: int = WORLDS) -> Float[Tensor, "count w"]:
    """The worlds that policies are measured on, always the same."""
    return environment.draw(count, torch.Generator().manual_seed(ASIDE))


def train_policy(
    environment: Problem,
    settings: PolicySettings,
    checkpoint: Path,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Trained:
    """Train, or go on from a checkpoint; the same policy comes out bit for bit, on one number of threads.

    Args:
        environment: what it learns in.
        settings: how.
        checkpoint: a file, written at each of `EVALUATIONS`.
        progress: told how many updates are done, after each.

    Raises:
        ValueError: the checkpoint is damaged or of other settings.
        OSError: it cannot be written.
    """
    learner, aside = Learner(environment, settings), worlds_aside(environment)
    more = learner.resume(checkpoint)
    curve = [CurvePoint(*one) for one in more.get("curve", [])] or [_measure(learner, aside)]
    every, cpu_s = max(1, settings.updates // EVALUATIONS), float(more.get("cpu_s", 0.0))
    while learner.step < settings.updates:
        begin = time.process_time()
        learner.advance()
        cpu_s += time.process_time() - begin
        if learner.step % every == 0 or learner.step == settings.updates:
            curve.append(_measure(learner, aside))
            learner.save(checkpoint, curve=[list(one) for one in curve], cpu_s=cpu_s)
        progress(learner.step)
    return Trained(curve, environment.value(aside, learner.act(aside, seed=ASIDE)), cpu_s)


def _measure(learner: Learner, aside: Tensor) -> CurvePoint:
    environment, settings = learner.environment, learner.settings
    action = learner.act(aside, seed=ASIDE)
    value = float(environment.value(aside, action).mean())
    episodes = settings.batch * learner.step if settings.policy == "gradient" else learner.met
    shown: tuple[float | None, float | None] = (None, None)
    if isinstance(environment, Covert):
        shown = shown_decision(environment, aside[:1], action[:1])
    return CurvePoint(settings.policy, settings.seed, learner.step, episodes, value, *shown)


def shown_decision(
    environment: Covert, world: Float[Tensor, "1 w"], action: Float[Tensor, "1 a"]
) -> tuple[float, float]:
    """Steps, as a mixture, and Bob's Es/N0 in dB of an action in a world."""
    done = environment.decide(world, action, whole=False)
    return float(done.steps), float(environment.esno_db(world, done))


def references(environment: Problem) -> Mapping[str, Float[Tensor, " b"]]:
    """What needs no learning, by name: its values in the worlds aside. The first is the optimum."""
    aside = worlds_aside(environment)
    if isinstance(environment, WaterFilling):
        strong = torch.arange(CHANNELS) < CHANNELS // 2
        equal = {"equal power, the five strong": strong / strong.sum(), "equal power": torch.full((CHANNELS,), 0.1)}
        fixed = {name: environment.value(aside, shares.expand(len(aside), -1)) for name, shares in equal.items()}
        return {"water-filling": environment.value(aside, environment.best(aside)), **fixed}
    found = {"oracle": environment.value(aside, environment.best(aside))}
    if environment.csi == "partial":
        found |= {"oracle that takes its CSI for true": _with_margin(environment, aside, 0.0)}
        margins = [_with_margin(environment, aside, margin) for margin in MARGINS_DB]
        found |= {"the same with the best margin for all": max(margins, key=lambda one: float(one.mean()))}
    return found


def _with_margin(environment: Covert, aside: Tensor, margin_db: float) -> Tensor:
    """What the optimum of perfect CSI is worth, with the warden's ratio taken to be so much larger."""
    believing = Covert(environment.surface, "perfect", environment.fixed)
    careful = aside.clone()
    careful[:, 2] += margin_db
    return environment.value(aside, believing.best(careful))


def stored_curves(name: str) -> pd.DataFrame:
    """The learning curves that the package holds: the `curves.csv` of a run of `semlink optimise`.

    Args:
        name: "water-filling", "covert" or "covert-partial".

    Raises:
        ValueError: there are none of that name.
    """
    if name not in CURVES:
        raise ValueError(f"name={name!r} must be one of: {', '.join(CURVES)}")
    folder = resources.files("semlink.flowgraphs.optimisation").joinpath("data")
    return pd.read_csv(io.StringIO(folder.joinpath(f"{name}.csv").read_text()))


def as_rows(trained: Sequence[Trained]) -> list[dict[str, Any]]:
    """The learning curves, a row a point."""
    return [point._asdict() for one in trained for point in one.curve]
