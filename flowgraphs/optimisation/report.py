"""`semlink optimise`: policies and oracles over the same worlds, as a table, curves and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table
from torch import Tensor

from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.optimisation.covert import Covert
from semlink.flowgraphs.optimisation.oracle import check_feasible, solve
from semlink.flowgraphs.optimisation.pictures import draw_optimisation
from semlink.flowgraphs.optimisation.surface import measure_surface, read_surface, stored_surface
from semlink.flowgraphs.optimisation.trials import (
    WORLDS,
    Problem,
    Trained,
    as_rows,
    references,
    train_policy,
    worlds_aside,
)
from semlink.flowgraphs.optimisation.water_filling import WaterFilling
from semlink.neural.policies import POLICIES, PolicySettings
from semlink.phy.documents import for_json, write_whole
from semlink.phy.parallel import limited_threads
from semlink.phy.progress import Show, progress_of

ORACLE = "oracle"
ENVIRONMENTS = ("water-filling", "covert")
PUBLISHED = "the log of GDMOPT's authors ends at -0.156 after 4,055 episodes"
TARGET_PERCENT = 2.0


def run_optimise(
    *,
    environment: str,
    csi: str,
    policies: Sequence[str],
    seeds: int,
    updates: int,
    given: Sequence[str],
    cloning: float,
    surface: Path | None,
    measure: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """`semlink optimise`.

    Raises:
        ValueError: an option that cannot be, an infeasible set of constraints, or a checkpoint of other settings.
        OSError: a file that cannot be read or written.
    """
    if measure is not None:
        measure_surface(measure)
        print(f"written: {measure}")
        return
    problem = make_problem(environment, csi=csi, given=given, surface=surface)
    chosen = _chosen(policies, seeds)
    settings = [settings_of(one, seed, updates, cloning) for one in chosen if one != ORACLE for seed in range(seeds)]
    known = references(problem)
    out.mkdir(parents=True, exist_ok=True)
    trained = _trained(problem, settings, out)
    told = _told(problem, known, trained, settings)
    told["files"] = _write(problem, known, trained, told, out)
    if as_json:
        print(json.dumps(_nested_for_json(told), indent=2, allow_nan=False))
        return
    console = make_console()
    console.print(_table(told))
    for line in told["said"]:
        console.print(line, soft_wrap=True)
    console.print(f"written: {', '.join(told['files'])}", soft_wrap=True)


def settings_of(policy: str, seed: int, updates: int, cloning: float) -> PolicySettings:
    """How a policy of the command learns; the published form explores as published, and "gradient" clones nobody.

    Raises:
        ValueError: a value out of range.
    """
    settings = PolicySettings(policy, seed=seed, updates=updates, cloning=cloning)
    if policy == "gdm-published":
        return replace(settings, exploration=0.1, chance=0.1)
    return replace(settings, cloning=0.0) if policy == "gradient" else settings


def make_problem(environment: str, *, csi: str, given: Sequence[str], surface: Path | None = None) -> Problem:
    """The environment of the command's words; a covert link that cannot be is refused.

    Raises:
        ValueError: an unknown environment, an option of the other one, a value that cannot be, or no feasible powers.
        OSError: the surface cannot be read.
    """
    if environment not in ENVIRONMENTS:
        raise ValueError(f"--environment {environment!r} must be one of: {', '.join(ENVIRONMENTS)}")
    if environment == "water-filling":
        foreign = {"--csi partial": csi != "perfect", "--given": given, "--surface": surface}
        if wrong := [option for option, value in foreign.items() if value]:
            raise ValueError(f"{', '.join(wrong)}: of --environment covert alone")
        return WaterFilling()
    problem = Covert(stored_surface() if surface is None else read_surface(surface), csi, _values(given))
    for world in worlds_aside(problem):
        check_feasible(world)
    return problem


def _values(given: Sequence[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            values[name] = float(value)
        except ValueError:
            raise ValueError(f"--given {text!r} must be NAME=NUMBER, such as epsilon=0.1") from None
    return values


def _chosen(policies: Sequence[str], seeds: int) -> list[str]:
    allowed = (*POLICIES, ORACLE)
    if unknown := [one for one in policies if one not in allowed]:
        raise ValueError(f"--policy {unknown[0]!r} must be one of: {', '.join(allowed)}")
    if not 1 <= seeds <= 1000:
        raise ValueError(f"--seeds {seeds} must be from 1 to 1000")
    return list(dict.fromkeys(policies or ("gdm", "mlp", "gradient", ORACLE)))


def _trained(problem: Problem, settings: Sequence[PolicySettings], out: Path) -> list[Trained]:
    """One after another on one thread, so that a run that goes on is the run that was not stopped."""
    found: list[Trained] = []
    total, before = sum(one.updates for one in settings), 0
    with limited_threads(1), progress_of("training", total, silent=not total) as show:
        for one in settings:
            advance = partial(_advance, show, before, f"{one.policy}, seed {one.seed}")
            found.append(train_policy(problem, one, out / f"{one.policy}-{one.seed}.pt", progress=advance))
            before += one.updates
    return found


def _advance(show: Show, before: int, said: str, done: int) -> None:
    show(before + done, said=said)


def _told(
    problem: Problem, known: Mapping[str, Tensor], trained: Sequence[Trained], settings: Sequence[PolicySettings]
) -> dict[str, Any]:
    """Everything, as it is printed as JSON."""
    optimum = next(iter(known.values()))
    rows = [
        {"policy": one.policy, "seed": one.seed, "episodes": run.curve[-1].episodes, "cpu_s": round(run.cpu_s, 2)}
        | _against(problem, run.values, optimum)
        for one, run in zip(settings, trained, strict=True)
    ]
    told: dict[str, Any] = {
        "environment": problem.name,
        "worlds": WORLDS,
        "references": {name: _against(problem, values, optimum) for name, values in known.items()},
        "rows": rows,
        "policies": _by_policy(rows),
    }
    if isinstance(problem, WaterFilling):
        aside = worlds_aside(problem)
        told["optimum_bit"] = float(problem.rate(aside, problem.best(aside)).mean())
    else:
        optimum_of_first = solve(problem, worlds_aside(problem)[0])
        told["first_world"] = vars(optimum_of_first)
    told["said"] = _said(told, problem)
    return told


def _against(problem: Problem, values: Tensor, optimum: Tensor) -> dict[str, float]:
    """The mean, and for a covert link how far that is from the optimum's mean, and in how many worlds it is near."""
    mean = {"value": float(values.mean())}
    if isinstance(problem, WaterFilling):
        return mean
    near = values >= (1 - TARGET_PERCENT / 100) * optimum
    gap = 1 - float(values.mean()) / float(optimum.mean())
    return mean | {"gap_percent": 100 * gap, "share_near": float(near.float().mean())}


def _by_policy(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean, worst and best of the seeds, the best policy first."""
    table: dict[str, list[float]] = {}
    for row in rows:
        table.setdefault(row["policy"], []).append(row["value"])
    means = {name: {"mean": sum(x) / len(x), "worst": min(x), "best": max(x)} for name, x in table.items()}
    return dict(sorted(means.items(), key=lambda one: -one[1]["mean"]))


def _said(told: Mapping[str, Any], problem: Problem) -> list[str]:
    """Who wins, and whether the target is met."""
    policies: Mapping[str, Mapping[str, float]] = told["policies"]
    if not policies:
        return []
    order = "; ".join(f"{name} {x['mean']:.4f} ({x['worst']:.4f} … {x['best']:.4f})" for name, x in policies.items())
    lines = [f"best first, mean over the seeds (worst … best): {order}"]
    if isinstance(problem, WaterFilling):
        return [*lines, f"optimum {told['optimum_bit']:.3f} bit; {PUBLISHED}"]
    optimum = next(iter(told["references"].values()))["value"]
    gaps = {name: 100 * (1 - x["mean"] / optimum) for name, x in policies.items()}
    verdicts = (f"{name} {gap:.2f} %, {'met' if gap <= TARGET_PERCENT else 'missed'}" for name, gap in gaps.items())
    return [*lines, f"within {TARGET_PERCENT:g} % of the oracle in the mean of {WORLDS} worlds: {'; '.join(verdicts)}"]


def _write(
    problem: Problem, known: Mapping[str, Tensor], trained: Sequence[Trained], told: Mapping[str, Any], out: Path
) -> list[str]:
    files = [out / "optimise.json"]
    if trained:
        files += [out / "curves.csv", out / "optimise.png"]
        write_whole(files[1], pd.DataFrame(as_rows(trained)).to_csv(index=False))
        draw_optimisation(problem, {name: float(one.mean()) for name, one in known.items()}, as_rows(trained), files[2])
    write_whole(files[0], json.dumps(_nested_for_json(told), indent=2, allow_nan=False) + "\n")
    return list(map(str, files))


def _nested_for_json(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {key: _nested_for_json(one) for key, one in value.items()}
    return [_nested_for_json(one) for one in value] if isinstance(value, list) else for_json(value)


def _table(told: Mapping[str, Any]) -> Table:
    """References, then every seed."""
    table = Table(title=f"{told['environment']}, {WORLDS} worlds aside")
    covert = "first_world" in told
    columns = ["policy", "seed", "episodes", "PSNR (dB)" if covert else "reward (bit)", "CPU (s)"]
    for name in (*columns, *(("below the oracle (%)", "worlds within 2 %") if covert else ())):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for name, row in told["references"].items():
        table.add_row(name, "", "", *_cells(row, ""))
    for row in told["rows"]:
        table.add_row(row["policy"], str(row["seed"]), f"{row['episodes']}", *_cells(row, f"{row['cpu_s']:.1f}"))
    return table


def _cells(row: Mapping[str, float], cpu_s: str) -> list[str]:
    first = [f"{row['value']:.4f}", cpu_s]
    return (
        first if "gap_percent" not in row else [*first, f"{row['gap_percent']:.2f}", f"{100 * row['share_near']:.0f} %"]
    )
