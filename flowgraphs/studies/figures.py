"""Static figures of a study's table: for a notebook, and for a column of an IEEE paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semlink.flowgraphs.comparison import COLOURS, MARKERS, as_fraction
from semlink.phy.documents import written_whole
from semlink.phy.metrics import error_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    "esno_db": "Es/N0 (dB)",
    "ebno_db": "Eb/N0 (dB), digital codecs",
    "ratio": "bandwidth ratio (channel uses per image value)",
}
QUANTITIES = {
    "psnr_db": "PSNR (dB)",
    "accuracy": "accuracy",
    "top5": "class among the five likeliest",
    "psnr_mean_db": "mean PSNR (dB)",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "st_lpips": "ST-LPIPS, lower is better",
    "lpips": "LPIPS, lower is better",
    "bler": "block error rate",
    "outage": "share of failed images",
}
LOGARITHMIC = ("bler", "outage")
SHARES = ("accuracy", "top5")  # of codecs whose ratios may be far apart: each curve states its own
NONE_SEEN = "none seen: end of the 95 % interval"
FORMATS = (".png", ".pdf", ".svg")
COLUMN_INCHES = 3.5
IEEE: Any = {
    "font.family": "serif",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1,
    "lines.markersize": 3,
    "axes.linewidth": 0.6,
    "pdf.fonttype": 42,  # IEEE PDF eXpress refuses Type 3 fonts
}


def plot_psnr(table: pd.DataFrame, **options: Any) -> Figure:  # noqa: ANN401 - those of plot_quantity
    """PSNR from the mean squared error over Es/N0, with 95 % bands; options as of `plot_quantity`."""
    return plot_quantity(table, "psnr_db", **options)


def plot_quantity(
    table: pd.DataFrame, quantity: str, *, over: str = "esno_db", width: float | None = None, ieee: bool = False
) -> Figure:
    """One quantity of a study's table, a panel for every channel, a curve for every codec and ratio.

    Error rates are drawn in decades, where there is no place for 0: a hollow triangle is the end of the 95 % interval
    where no error was seen, and no line leads there.

    Args:
        table: of a study, or of `semlink compare`.
        quantity: one of `QUANTITIES`.
        over: one of `AXES`; over the ratio, a curve for every codec and Es/N0.
        width: of the figure in inches; None for 8, or for a column.
        ieee: small serif type and embedded fonts, for a column of 3.5 inches.

    Raises:
        ValueError: an unknown quantity or axis, or one of which the table has no figure.
    """
    for name, value, allowed in (("quantity", quantity, QUANTITIES), ("over", over, AXES)):
        if value not in allowed:
            raise ValueError(f"{name}={value!r} must be one of: {', '.join(allowed)}")
    if "error" in table:  # of a table that was in a CSV, where nothing and an empty text are the same
        table = table[table["error"].isna() | (table["error"] == "")]
    if quantity not in table or over not in table or not np.isfinite(table[[quantity, over]]).all(axis=1).any():
        raise ValueError(f"the table has no {quantity} over {over}")
    from matplotlib import rc_context  # 0.5 s, which who draws nothing need not wait

    with rc_context(IEEE if ieee else None):
        return _figure(table, quantity, over, width or (COLUMN_INCHES if ieee else 8.0))


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG (300 dots an inch), PDF or SVG, as the ending of the path says; whole or not at all.

    Raises:
        ValueError: another ending.
        OSError: it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"figure {path}: its ending must be one of: {', '.join(FORMATS)}")
    from matplotlib import rc_context

    with written_whole(path) as partial, rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
        figure.savefig(partial, dpi=300)
    return path


def _figure(table: pd.DataFrame, quantity: str, over: str, width: float) -> Figure:
    from semlink.flowgraphs.studies.shown_figure import shown_figure

    channels = list(dict.fromkeys(table["spec"]))
    figure = shown_figure(figsize=(width, 0.68 * width * len(channels)), layout="constrained")
    panels = figure.subplots(len(channels), squeeze=False)[:, 0]
    for axes, channel in zip(panels, channels, strict=True):
        _draw(axes, table[table["spec"] == channel], quantity, over)
        if len(channels) > 1 or channel != "awgn":
            axes.set_title(channel)
        axes.set(xlabel=AXES[over], ylabel=QUANTITIES[quantity])
        axes.grid(alpha=0.3, linewidth=0.5)
        axes.legend()
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, quantity: str, over: str) -> None:
    ratio = "asked_ratio" if "asked_ratio" in rows else "ratio"
    told = "esno_db" if over == "ratio" else ratio
    codecs = list(dict.fromkeys(rows["codec"]))
    logarithmic = quantity in LOGARITHMIC and bool((rows[quantity] > 0).any())
    styles = dict(zip(sorted(set(rows[told])), cycle(("-", "--", ":", "-.")), strict=False))
    for (codec, value), curve in rows.groupby(["codec", told], sort=False):
        curve = curve[np.isfinite(curve[quantity]) & np.isfinite(curve[over])].sort_values(over)
        if curve.empty:
            continue
        place = codecs.index(codec)
        label = codec if len(styles) == 1 else f"{codec}, {_told(told, value)}"
        if quantity in SHARES and over != "ratio":
            label = f"{codec}, ratio {as_fraction(float(curve['ratio'].mean()))}"
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "linestyle": styles[value]}
        seen = (curve[quantity] > 0) | (not logarithmic)
        shown = curve[quantity].where(seen)
        axes.plot(curve[over], shown, marker=MARKERS[place % len(MARKERS)], label=label, **style)
        if {f"{quantity}_low", f"{quantity}_high"} <= set(curve):
            low, high = (curve[f"{quantity}_{end}"].where(seen) for end in ("low", "high"))
            axes.fill_between(curve[over], low, high, color=style["color"], alpha=0.15, linewidth=0)
        if not seen.all():
            _draw_bounds(axes, curve[~seen], quantity, over, style["color"])
    if logarithmic:
        axes.set_yscale("log")


def _draw_bounds(axes: Axes, rows: pd.DataFrame, quantity: str, over: str, colour: str) -> None:
    """What a rate of which no error was seen is still below, marked as a bound; one entry of the legend for all."""
    told = NONE_SEEN in axes.get_legend_handles_labels()[1]
    look: dict[str, Any] = {"linestyle": "none", "marker": "v", "fillstyle": "none"}
    axes.plot(rows[over], [bound_of(row, quantity) for row in rows.to_dict("records")], color=colour, **look)
    if not told:
        axes.plot([], [], color="grey", label=NONE_SEEN, **look)


def bound_of(row: Mapping[Any, Any], quantity: str) -> float:
    """The upper end of the 95 % interval of one of `LOGARITHMIC`, NaN where the row does not tell it."""
    if quantity == "outage":
        return error_rate(int(row["failed"]), int(row["images"] * row["realisations"])).high
    return float(row.get(f"{quantity}_high", math.nan))


def _told(column: str, value: float) -> str:
    return f"{value:g} dB" if column == "esno_db" else f"ratio {value:.3g}"
