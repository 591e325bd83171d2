"""The pictures of a comparison: accuracy, PSNR, SSIM and perceptual distances against Es/N0, and the contact sheet."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from semlink.flowgraphs.comparison.cells import is_one_average
from semlink.flowgraphs.comparison.cliff import find_cliff
from semlink.flowgraphs.comparison.comparison import Comparison
from semlink.flowgraphs.comparison.contact_sheet import draw_contact_sheet as draw_contact_sheet
from semlink.flowgraphs.comparison.contact_sheet import save_png, wrapped
from semlink.flowgraphs.comparison.tally import Pixels, column_of
from semlink.phy.documents import write_whole
from semlink.phy.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's, told apart by all.
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
)
"""Of the curves, in their order: told apart by the colour-blind too (Okabe and Ito)."""
MARKERS = "osD^vP"
"""Of the curves, in their order."""
PSNRS = {"psnr_db": "PSNR (dB), from the mean squared error", "psnr_mean_db": "mean of the images' PSNR (dB)"}
"""The two averages, which may disagree on who is ahead, and what their panels are called."""
SIMILARITIES = {"ssim": "SSIM", "ms_ssim": "MS-SSIM"}
"""Columns that are drawn below the PSNR."""


def draw_curves(comparison: Comparison, title: str, path: Path) -> None:
    """Both averages of PSNR against Es/N0, or one if they are one, with 95 % bands, and the cliff of each codec.

    A panel below for SSIM, for MS-SSIM and for every perceptual metric, as far as they were measured. Where codecs
    classify, their accuracy stands first, PSNR only where a codec shows images, and legends state each curve's ratio.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # 0.5 s, which who draws nothing need not wait
    from matplotlib.figure import Figure

    similar = {column: label for column, label in SIMILARITIES.items() if np.isfinite(comparison.table[column]).any()}
    measured = [name for name in comparison.metrics if np.isfinite(comparison.table[column_of(name)]).any()]
    shown = ["accuracy"] * _known(comparison.table, "accuracy")
    if not shown or _known(comparison.table, "psnr_mean_db"):  # both averages: they may disagree on who is ahead
        shown += ["psnr_db"] if is_one_average(comparison.table) else PSNRS
    heights = [*[5.2] * len(shown), *[2.4] * len(similar), *[3.2] * len(measured)]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, column in zip(panels, shown, strict=False):
        if column == "accuracy":
            _draw_accuracy(comparison, axes)
        else:
            _draw_psnr(comparison, column, axes)
    panels[0].set_title(wrapped(title, 100), fontsize=10)
    for axes, (column, label) in zip(panels[len(shown) :], similar.items(), strict=False):
        _draw_similarity(comparison, column, axes)
        axes.set(ylabel=label)
    for axes, name in zip(panels[len(shown) + len(similar) :], measured, strict=True):
        _draw_distances(comparison, column_of(name), axes)
        axes.set(ylabel=f"{METRICS[name].label}, lower is better")
    panels[-1].set(xlabel="Es/N0 (dB), average per complex symbol")
    save_png(figure, path, dpi=150)


def _known(table: pd.DataFrame, column: str) -> bool:
    return column in table and bool(table[column].notna().any())


def _draw_accuracy(comparison: Comparison, axes: Axes) -> None:
    """Of the codecs that classify, with exact 95 % bands; the legend states the ratio of each: they are no equals."""
    for codec, rows, colour, style in _curves(comparison):
        if not _known(rows, "accuracy"):
            continue
        printed = bool(rows["accuracy_low"].isna().all())
        label = _name(comparison, codec, rows) + (", printed elsewhere, prepared otherwise" if printed else "")
        axes.plot(rows["esno_db"], 100 * rows["accuracy"], ":" if printed else style, color=colour, label=label)
        low, high = 100 * rows["accuracy_low"], 100 * rows["accuracy_high"]
        axes.fill_between(rows["esno_db"], low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set(ylabel="accuracy (%)", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(loc="best", fontsize=8, title="curves at different ratios are no equals", title_fontsize=7)


def _name(comparison: Comparison, codec: str, rows: pd.DataFrame) -> str:
    """What the legends call a curve, with its own ratio where any codec classifies: then the title states none."""
    said = comparison.labels.get(codec, codec)
    tasks = _known(comparison.table, "accuracy")
    return f"{said}, ratio {as_fraction(float(rows['ratio'].mean()))}" if tasks else said


def as_fraction(ratio: float) -> str:
    """A ratio as a reader knows it: 1/6 where it is one over a whole number."""
    return f"1/{round(1 / ratio)}" if abs(1 / ratio - round(1 / ratio)) < 0.01 else f"{ratio:.4g}"


def _draw_psnr(comparison: Comparison, column: str, axes: Axes) -> None:
    """One of the two averages. Published curves are means over images, and are drawn beside such alone."""
    for codec, rows, colour, style in _curves(comparison):
        if not _known(rows, column):
            continue
        published = bool(rows["psnr_db"].isna().all())
        said = _name(comparison, codec, rows)
        label = f"{said} at capacity, at one quality for all images" if published else said
        label += ", ∞ where no point is" if np.isinf(rows[column]).any() else ""
        cliff = find_cliff(rows)
        if cliff is not None:
            label += f", {cliff}"
            axes.axvspan(*cliff, color=colour, alpha=0.1, linewidth=0)
        axes.plot(rows["esno_db"], rows[column], style, color=colour, label=label)
        low, high = rows[f"{column}_low"], rows[f"{column}_high"]
        axes.fill_between(rows["esno_db"], low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set(ylabel=PSNRS[column])
    axes.grid(alpha=0.3)
    marked = any("cliff" in str(label) for label in axes.get_legend_handles_labels()[1])
    title_of_legend = "cliff: below it more than half of the images fail" if marked else None
    axes.legend(loc="best", fontsize=8, title=title_of_legend, title_fontsize=7)


def _draw_similarity(comparison: Comparison, column: str, axes: Axes) -> None:
    """SSIM or MS-SSIM, the mean over images and realisations; published curves have none."""
    for _, rows, colour, style in _curves(comparison):
        axes.plot(rows["esno_db"], rows[column], style, color=colour)
    axes.grid(alpha=0.3)


def _draw_distances(comparison: Comparison, column: str, axes: Axes) -> None:
    """A perceptual metric with its 95 % bands, in decades where no distance is 0; published curves have none."""
    least = comparison.table[column].min()
    if least > 0:
        axes.set_yscale("log")
    for _, rows, colour, style in _curves(comparison):
        axes.plot(rows["esno_db"], rows[column], style, color=colour)
        low = rows[f"{column}_low"].clip(lower=least / 2)  # an interval may reach below 0, where there are no decades
        axes.fill_between(rows["esno_db"], low, rows[f"{column}_high"], color=colour, alpha=0.2, linewidth=0)
    axes.grid(alpha=0.3)


def _curves(comparison: Comparison) -> Iterator[tuple[str, pd.DataFrame, str, str]]:
    """Each codec's rows with its colour and its style of line: dotted for what only bounds or is only published."""
    for i, (codec, rows) in enumerate(comparison.table.groupby("codec", sort=False)):
        published = not (_known(rows, "psnr_db") or _known(rows, "accuracy"))
        bound = "-capacity" in str(codec) or published
        style = ":" if bound else MARKERS[i % len(MARKERS)] + "-"
        yield str(codec), rows.sort_values("esno_db"), COLOURS[i % len(COLOURS)], style


def write_image(image: Pixels, path: Path) -> None:
    """Write an image (h, w, 1) or (h, w, 3) as PNG, whole or not at all."""
    packed = io.BytesIO()
    shown = Image.fromarray(image.squeeze(axis=2) if image.shape[2] == 1 else image)
    shown.save(packed, format="png", compress_level=3)  # of a photograph as small as 6 makes it, in half the time
    write_whole(path, packed.getvalue())


def some(levels: Sequence[float], count: int = 5) -> list[float]:
    """At most `count` of the Es/N0, evenly spread from the first to the last."""
    return [levels[i] for i in sorted({round(x) for x in np.linspace(0, len(levels) - 1, min(count, len(levels)))})]
