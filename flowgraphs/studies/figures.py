"""Static figures of a study's table: for a notebook, and for a column of an IEEE paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

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
    "ber_before": "bit error rate before decoding",
    "ber_after": "bit error rate after decoding",
}
LOGARITHMIC = ("bler", "outage", "ber_before", "ber_after")
SHARES = ("accuracy", "top5")  # of codecs whose ratios may be far apart: each curve states its own
NONE_SEEN = "none seen: end of the 95 % interval"
FORMATS = (".png", ".pdf", ".svg")
COLUMN_INCHES = 3.5
PAGE_INCHES = 7.16
"""Of an IEEE paper: a column, and both with what is between them."""
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
    table: pd.DataFrame,
    quantity: str,
    *,
    over: str = "esno_db",
    width: float | None = None,
    ieee: bool = False,
    columns: int | None = None,
    ebno_of: str | None = None,
) -> Figure:
    """One quantity of a study's table, a panel for every channel, a curve for every codec and ratio.

    Error rates are drawn in decades, where there is no place for 0: a hollow triangle with an arrow down is the end of
    the 95 % interval where no error was seen, and no line leads there. Codecs that send no bits have no Eb/N0: over it
    they are left out, and the legend says so.

    Args:
        table: of a study, or of `semlink compare`.
        quantity: one of `QUANTITIES`.
        over: one of `AXES`; over the ratio, a curve for every codec and Es/N0.
        width: of the figure in inches; None for 8, or for a column.
        ieee: small serif type and embedded fonts, for a column of 3.5 inches, or of panels side by side for both.
        columns: panels side by side; None for 1 of up to two, 2 of up to six, 3 of more.
        ebno_of: a codec whose Eb/N0 is a second axis, on top.

    Raises:
        ValueError: an unknown quantity or axis, one of which the table has no figure, or a codec that has no one Eb/N0
            for every Es/N0.
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
        return _figure(table, quantity, over, width, columns, ebno_of, ieee=ieee)


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


def _figure(
    table: pd.DataFrame,
    quantity: str,
    over: str,
    width: float | None,
    columns: int | None,
    ebno_of: str | None,
    *,
    ieee: bool,
) -> Figure:
    from semlink.flowgraphs.studies.shown_figure import shown_figure

    channels = list(dict.fromkeys(table["spec"]))
    across = min(len(channels), columns or (1 if len(channels) <= 2 else 2 if len(channels) <= 6 else 3))
    down = math.ceil(len(channels) / across)
    inches = width or ((COLUMN_INCHES if across == 1 else PAGE_INCHES) if ieee else 8.0)
    figure = shown_figure(figsize=(inches, 0.68 * inches / across * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False)
    for axes in panels.flat[len(channels) :]:
        axes.remove()
    for axes, channel in zip(panels.flat, channels, strict=False):
        rows = table[table["spec"] == channel]
        _draw(axes, rows, quantity, over)
        if len(channels) > 1 or channel != "awgn":
            axes.set_title(channel)
        axes.set(xlabel=AXES[over], ylabel=QUANTITIES[quantity])
        axes.grid(alpha=0.3, linewidth=0.5)
        if ebno_of is not None:
            _add_ebno(axes, rows[rows["codec"] == ebno_of], over, ebno_of)
    _add_legends(figure, [*panels.flat[: len(channels)]])
    return figure


def _add_legends(figure: Figure, panels: Sequence[Axes]) -> None:
    """One in each panel; a single one below a grid whose panels show the same curves."""
    names = [axes.get_legend_handles_labels()[1] for axes in panels]
    if len(panels) > 2 and all(set(one) <= set(names[0]) for one in names):
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return
    for axes in panels:
        axes.legend()


def _add_ebno(axes: Axes, rows: pd.DataFrame, over: str, codec: str) -> None:
    """A second axis on top: the Eb/N0 of one codec, where each of its Es/N0 has one and it rises with it."""
    rows = rows[np.isfinite(rows["ebno_db"])].sort_values("esno_db")
    esno, ebno = rows["esno_db"].to_numpy(), rows["ebno_db"].to_numpy()
    if over != "esno_db" or len(esno) < 2 or (np.diff(esno) <= 0).any():
        raise ValueError(f"Eb/N0 of {codec}: it needs two points over Es/N0, at one ratio, of a codec that sends bits")
    if (np.diff(ebno) <= 0).any():
        said = "its Eb/N0 does not rise with Es/N0, as of a link that sends more bits at a better one"
        raise ValueError(f"Eb/N0 of {codec}: {said}; draw over ebno_db instead")

    def along(x: ArrayLike, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Between points linear; beyond them a decibel is a decibel."""
        at = np.asarray(x)
        return np.asarray(np.interp(at, one, other) + np.minimum(at - one[0], 0) + np.maximum(at - one[-1], 0))

    top = axes.secondary_xaxis("top", functions=(lambda x: along(x, esno, ebno), lambda x: along(x, ebno, esno)))
    top.set_xlabel(f"Eb/N0 (dB) of {codec}")


def _draw(axes: Axes, rows: pd.DataFrame, quantity: str, over: str) -> None:
    ratio = "asked_ratio" if "asked_ratio" in rows else "ratio"
    told = "esno_db" if over == "ratio" else ratio
    codecs = list(dict.fromkeys(rows["codec"]))
    logarithmic = quantity in LOGARITHMIC and bool((rows[quantity] > 0).any())
    styles = dict(zip(sorted(set(rows[told])), cycle(("-", "--", ":", "-.")), strict=False))
    for (codec, value), curve in rows.groupby(["codec", told], sort=False):
        without = over == "ebno_db" and curve[over].isna().all()
        curve = curve[np.isfinite(curve[quantity]) & np.isfinite(curve[over])].sort_values(over)
        if without:
            axes.plot([], [], linestyle="none", label=f"{codec}: sends no bits, has no Eb/N0")
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
        ends = [ends_of(row, quantity) for row in curve.to_dict("records")]
        if np.isfinite(ends).any():
            low, high = (pd.Series(end, index=curve.index).where(seen) for end in zip(*ends, strict=True))
            axes.fill_between(curve[over], low, high, color=style["color"], alpha=0.15, linewidth=0)
        if not seen.all():
            _draw_bounds(axes, curve[~seen], quantity, over, style["color"])
    if logarithmic:
        axes.set_yscale("log")


def _draw_bounds(axes: Axes, rows: pd.DataFrame, quantity: str, over: str, colour: str) -> None:
    """What a rate of which no error was seen is still below, marked as a bound; one entry of the legend for all."""
    told = NONE_SEEN in axes.get_legend_handles_labels()[1]
    look: dict[str, Any] = {"linestyle": "none", "marker": "v", "fillstyle": "none"}
    ends = [ends_of(row, quantity)[1] for row in rows.to_dict("records")]
    axes.plot(rows[over], ends, color=colour, **look)
    arrow = {"arrowstyle": "->", "color": colour, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
    for x, end in zip(rows[over], ends, strict=True):
        if math.isfinite(end):
            axes.annotate("", xy=(x, end / 2), xytext=(x, end), arrowprops=arrow)
            axes.update_datalim([(x, end / 2)])
    if not told:
        axes.plot([], [], color="grey", label=NONE_SEEN, **look)


def ends_of(row: Mapping[Any, Any], quantity: str) -> tuple[float, float]:
    """The 95 % interval of a quantity, NaN where the row does not tell it; of what failed it is in the counts."""
    if quantity == "outage":
        rate = error_rate(int(row["failed"]), int(row["images"] * row["realisations"]))
        return rate.low, rate.high
    return float(row.get(f"{quantity}_low", math.nan)), float(row.get(f"{quantity}_high", math.nan))


def _told(column: str, value: float) -> str:
    return f"{value:g} dB" if column == "esno_db" else f"ratio {value:.3g}"
