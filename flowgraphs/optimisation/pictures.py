"""Pictures of an optimisation: learning curves, and the quality surface with the oracle and the way of each policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semlink.flowgraphs.comparison import COLOURS
from semlink.flowgraphs.optimisation.covert import Covert
from semlink.flowgraphs.optimisation.trials import Problem, shown_decision, worlds_aside
from semlink.phy.documents import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_optimisation(
    problem: Problem, known: Mapping[str, float], rows: Sequence[Mapping[str, Any]], path: Path
) -> None:
    """Write a picture: learning curves, and of a covert link the surface beside them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = 2 if isinstance(problem, Covert) else 1
    figure = Figure(figsize=(7 * panels, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    draw_learning(axes[0], rows, known, falls_short=not isinstance(problem, Covert))
    if isinstance(problem, Covert):
        draw_surface(axes[1], problem, rows)
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=150, format="png")


def draw_learning(
    axes: Axes, rows: Sequence[Mapping[str, Any]], known: Mapping[str, float], *, falls_short: bool
) -> None:
    """What each policy is worth against the episodes it has met: the seeds' mean, from the worst to the best.

    Args:
        axes: to draw on.
        rows: of curves.csv.
        known: means of what needs no learning, the optimum first.
        falls_short: draw how much is missing to the optimum, in decades, instead of the values themselves.
    """
    table = pd.DataFrame(rows)
    optimum = next(iter(known.values()))
    base, sign = (optimum, -1) if falls_short else (0.0, 1)
    for i, (policy, one) in enumerate(table.groupby("policy", sort=False)):
        seeds = one.groupby("episodes")["value"]
        episodes, mean = np.array(list(seeds.groups)), seeds.mean().to_numpy()
        axes.plot(episodes, base + sign * mean, color=COLOURS[i], label=f"{policy}, {one['seed'].nunique()} seeds")
        axes.fill_between(
            episodes,
            base + sign * seeds.min().to_numpy(),
            base + sign * seeds.max().to_numpy(),
            color=COLOURS[i],
            alpha=0.2,
        )
    for style, (name, value) in zip(("-", "--", ":", "-."), known.items(), strict=False):
        if not falls_short or value < optimum:
            axes.axhline(base + sign * value, color="black", linestyle=style, linewidth=1, label=name)
    if falls_short:
        axes.set_yscale("log")
    axes.set_xscale("symlog", linthresh=100)
    axes.set_xlim(left=0)
    said = "reward missing to the optimum (bit)" if falls_short else "objective (dB)"
    axes.set(xlabel="episodes met (gradient: worlds)", ylabel=said)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def draw_surface(axes: Axes, problem: Covert, rows: Sequence[Mapping[str, Any]]) -> None:
    """The quality surface, and where the policies' decisions of one world went while they learned, to the oracle's."""
    surface = problem.surface
    levels = axes.contourf(surface.esno_db, surface.steps, surface.psnr_db.numpy(), levels=16, cmap="Greys")
    axes.figure.colorbar(levels, ax=axes, label="PSNR (dB)")
    table = pd.DataFrame(rows)
    first = table[table["seed"] == table["seed"].min()]
    for i, (policy, one) in enumerate(first.groupby("policy", sort=False)):
        axes.plot(
            one["esno_db"],
            one["steps"],
            ".-",
            color=COLOURS[i],
            linewidth=1,
            label=f"{policy}, seed {one['seed'].iloc[0]}",
        )
        axes.plot(one["esno_db"].iloc[-1:], one["steps"].iloc[-1:], "o", color=COLOURS[i], markersize=9)
    world = worlds_aside(problem)[:1]
    steps, esno_db = shown_decision(problem, world, problem.best(world))
    axes.plot([esno_db], [steps], "*", color="black", markersize=16, label="oracle")
    axes.set(xlabel="Bob's Es/N0 (dB), as believed", ylabel="diffusion steps of the receiver")
    axes.legend(fontsize=8, loc="lower right")
