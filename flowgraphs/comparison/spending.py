"""Channel uses that were really spent, and what they brought: where a receiver's answers end a transmission early."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from semlink.phy.link import Transmission

if TYPE_CHECKING:
    from semlink.flowgraphs.comparison.comparison import Comparison

SPENDING = ("uses_mean", "uses_p95", "throughput")
"""Columns: channel uses of an image, mean and what 95 % of the images do not exceed; information bits of images that
arrived per channel use, padding included, of codecs that count bits."""
THROUGHPUT = "throughput.png"
"""Where a codec's images take what they need: throughput and channel uses against Es/N0."""
FEEDBACK = "feedback"  # what a codec that hears of its receiver has among its notes and bits


@dataclass
class Spending:
    """What the transmissions of one codec at one Es/N0 spent."""

    uses: list[float] = field(default_factory=list)  # of each image
    bits: int = 0  # of information, of images that arrived
    counts: bool = False  # whether the codec tells its bits

    def add(self, got: Transmission, images: int) -> None:
        """Count a batch."""
        self.uses += [float(sum(got.uses.values()))] * images if got.spent is None else got.spent.tolist()
        told = [got.bits[purpose] for purpose in ("source", "padding") if purpose in got.bits]
        if told:
            self.counts = True
            self.bits += int((sum(told) * ~got.failed.cpu()).sum())

    def columns(self) -> dict[str, float]:
        """The figures, by name of `SPENDING`."""
        total = sum(self.uses)
        most = float(np.percentile(self.uses, 95, method="inverted_cdf"))
        return {
            "uses_mean": total / len(self.uses),
            "uses_p95": most,
            "throughput": self.bits / total if self.counts else math.nan,
        }


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

    from semlink.flowgraphs.comparison.contact_sheet import save_png, wrapped  # which import the comparison
    from semlink.flowgraphs.comparison.plots import COLOURS, MARKERS

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
    rates.legend(loc="best", fontsize=8)
    save_png(figure, path, dpi=150)
