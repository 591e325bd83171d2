"""Throughput and channel uses of codecs whose receiver's answers end a transmission early: in words and drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from semlink.flowgraphs.comparison.comparison import Comparison
from semlink.flowgraphs.comparison.contact_sheet import save_png, wrapped
from semlink.flowgraphs.comparison.plots import COLOURS, MARKERS
from semlink.flowgraphs.comparison.spending import FEEDBACK

THROUGHPUT = "throughput.png"
"""Where a codec's images take what they need: throughput and channel uses against Es/N0."""


def heard(table: pd.DataFrame, notes: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """The codecs of a comparison's table whose receiver's answers end a transmission early."""
    return [codec for codec in dict.fromkeys(table["codec"]) if FEEDBACK in notes.get(codec, {})]


def spending_cell(row: pd.Series) -> str:
    """Mean and 95th percentile of the channel uses of an image, and the throughput."""
    if math.isnan(row["uses_mean"]):  # published
        return "–"
    uses = f"{row['uses_mean']:.4g}, {row['uses_p95']:.4g}"
    return uses if math.isnan(row["throughput"]) else f"{uses}; {row['throughput']:.3f} bit"


def draw_throughput(comparison: Comparison, title: str, path: Path) -> None:
    """Throughput of every codec that counts bits, and below it the channel uses of an image, up to 95 % of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    rates, uses = figure.subplots(2, sharex=True, height_ratios=(4, 3))
    measured = comparison.table[comparison.table["uses_mean"].notna()]
    for i, (codec, rows) in enumerate(measured.groupby("codec", sort=False)):
        style = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "markersize": 4}
        label = comparison.labels.get(str(codec), str(codec))
        if rows["throughput"].notna().any():
            rates.plot(rows["esno_db"], rows["throughput"], label=label, **style)
        uses.plot(rows["esno_db"], rows["uses_mean"], label=label, **style)
        uses.plot(rows["esno_db"], rows["uses_p95"], linestyle=":", color=style["color"])
    rates.set_title(wrapped(title, 100), fontsize=10)
    rates.set(ylabel="bits that arrived per channel use")
    uses.set(ylabel="channel uses an image\n(dotted: 95 % take no more)", xlabel="Es/N0 (dB), average per symbol sent")
    for axes in (rates, uses):
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
    (rates if rates.lines else uses).legend(loc="best", fontsize=8)
    save_png(figure, path, dpi=150)
