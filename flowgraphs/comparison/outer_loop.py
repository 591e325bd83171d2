"""`semlink olla`: outer-loop link adaptation over images in their order, with and without the loop, by target."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from semlink.baselines.outer_loop import OuterLoop, Step, run_outer_loop
from semlink.flowgraphs.comparison.contact_sheet import save_png, wrapped
from semlink.flowgraphs.comparison.report import writable
from semlink.flowgraphs.comparison.terminal import make_console, progress_bar
from semlink.flowgraphs.specs import load_images, make_channel, parse_ratio
from semlink.phy.documents import for_json

TABLE, TRACE, PLOT = "olla.csv", "trace.csv", "olla.png"
LOOPS = {"outer": "with the outer loop", "inner": "reports alone"}
"""Of each target: with the step that is given, and with none."""


def run_olla(
    *,
    words: Sequence[str],
    channel: str,
    esno_db: float,
    targets: str,
    source: str,
    ratio: str,
    step_db: float,
    delay: int,
    bias_db: float,
    repeat: int,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Run both loops for every target; write the table, the trace of every image and a figure.

    Raises:
        ValueError: an option that is refused; the message names it and what is allowed.
        OSError: a folder that cannot be written.
    """
    levels = parse_targets(targets)
    over = make_channel(channel, coherence=None, csi=None, equaliser=None)
    images = list(load_images(words).values()) * repeat
    share = parse_ratio(ratio)
    loops = {
        (target, name): OuterLoop(target, step_db if name == "outer" else 0.0, delay, bias_db)
        for target in levels
        for name in LOOPS
    }
    runs: dict[tuple[float, str], list[Step]] = {}
    with writable(out, stale=(), files=(TABLE, TRACE, PLOT)) as folder:
        with progress_bar("runs", len(loops)) as advance:
            for key, loop in loops.items():
                runs[key] = run_outer_loop(images, over, esno_db, loop, source=source, ratio=share, seed=seed)
                advance()
        table = pd.DataFrame([_row(*key, steps) for key, steps in runs.items()])
        table.to_csv(folder / TABLE, index=False)
        traces = [
            {"target": target, "loop": name, "image": i, **asdict(step)}
            for (target, name), steps in runs.items()
            for i, step in enumerate(steps)
        ]
        pd.DataFrame(traces).to_csv(folder / TRACE, index=False)
        title = (
            f"{source}-nr-qam, {over.labels['spec']} at {esno_db:g} dB, {len(images)} images one after another, "  # type: ignore[attr-defined]
            f"reports {bias_db:+g} dB off and {delay} channel uses old"
        )
        _draw(runs, title, folder / PLOT)
    files = [str(out / name) for name in (TABLE, TRACE, PLOT)]
    if as_json:
        rows = [for_json(row) for row in table.to_dict(orient="records")]
        print(json.dumps({"rows": rows, "files": files}, indent=2, allow_nan=False))
    else:
        console = make_console()
        console.print(_printed(table, title))
        console.print("written: " + ", ".join(files), soft_wrap=True)


def parse_targets(text: str) -> list[float]:
    """Block error rates from "A,B,C".

    Raises:
        ValueError: not numbers, or one twice.
    """
    try:
        levels = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--target {text!r} must be block error rates A,B,C, such as 0.01,0.1") from None
    if len(set(levels)) < len(levels):
        raise ValueError(f"--target {text!r} has one twice")
    return levels


def _row(target: float, loop: str, steps: Sequence[Step]) -> dict[str, Any]:
    uses = sum(step.uses for step in steps)
    return {
        "target": target,
        "loop": loop,
        "bler": float(np.mean([step.lost for step in steps])),
        "images": len(steps),
        "rate": sum(step.bits for step in steps) / uses,
        "throughput": sum(step.bits for step in steps if not step.lost) / uses,
        "psnr_db": 10 * math.log10(1 / max(float(np.mean([step.error for step in steps])), 1e-12)),
        "offset_db": float(np.mean([step.offset_db for step in steps[len(steps) // 2 :]])),
    }


def _printed(table: pd.DataFrame, title: str) -> Table:
    shown = Table(title=title)
    names = ("target", "", "BLER", "rate (bit/use)", "throughput (bit/use)", "PSNR (dB)", "offset, 2nd half (dB)")
    for name in names:
        shown.add_column(name, justify="right")
    for row in table.to_dict(orient="records"):
        figures = (
            f"{row['rate']:.3f}",
            f"{row['throughput']:.3f}",
            f"{row['psnr_db']:.2f}",
            f"{row['offset_db']:+.2f}",
        )
        shown.add_row(f"{row['target']:g}", LOOPS[row["loop"]], f"{row['bler']:.4f}", *figures)
    return shown


def _draw(runs: dict[tuple[float, str], list[Step]], title: str, path: Path) -> None:
    """Block error rate against target, and the offset image after image."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from semlink.flowgraphs.comparison.plots import COLOURS, MARKERS

    figure = Figure(figsize=(8, 8), layout="constrained")
    FigureCanvasAgg(figure)
    rates, offsets = figure.subplots(2)
    targets = sorted({target for target, _ in runs})
    for i, (name, label) in enumerate(LOOPS.items()):
        lost = [np.mean([step.lost for step in runs[target, name]]) for target in targets]
        rates.plot(targets, lost, marker=MARKERS[i], color=COLOURS[i], label=label)
    rates.plot(targets, targets, color="grey", linestyle=":", label="target")
    rates.set(xscale="log", yscale="symlog", xlabel="target block error rate", ylabel="images lost, share")
    rates.set_yscale("symlog", linthresh=min(targets) / 3)
    rates.set_title(wrapped(title, 100), fontsize=10)
    for i, target in enumerate(targets):
        moved = [step.offset_db for step in runs[target, "outer"]]
        offsets.plot(moved, color=COLOURS[i % len(COLOURS)], linewidth=0.8, label=f"target {target:g}")
    offsets.set(xlabel="image", ylabel="offset (dB)")
    for axes in (rates, offsets):
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize=8)
    save_png(figure, path, dpi=150)
