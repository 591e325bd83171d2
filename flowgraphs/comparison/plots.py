"""The pictures of a comparison: PSNR against Es/N0, and the received images side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from semlink.flowgraphs.comparison.comparison import Comparison, Pixels, column_of, find_cliff, pixels
from semlink.phy.metrics import METRICS, to_db

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


def draw_curves(comparison: Comparison, title: str, path: Path) -> None:
    """PSNR (from the mean squared error) against Es/N0 with 95 % bands, and the cliff of every codec that has one.

    A panel below for every perceptual metric that was measured.
    """
    measured = [name for name in comparison.metrics if np.isfinite(comparison.table[column_of(name)]).any()]
    heights = [5.2, *[3.2] * len(measured)]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    _draw_psnr(comparison, panels[0])
    panels[0].set_title(_wrapped(title, 100), fontsize=10)
    for axes, name in zip(panels[1:], measured, strict=True):
        _draw_distances(comparison, column_of(name), axes)
        axes.set(ylabel=f"{METRICS[name].label}, lower is better")
    panels[-1].set(xlabel="Es/N0 (dB), average per complex symbol")
    figure.savefig(path, dpi=150, format="png")


def _draw_psnr(comparison: Comparison, axes: Axes) -> None:
    for codec, rows, colour, style in _curves(comparison):
        published = bool(rows["psnr_db"].isna().all())
        label = f"{codec} at capacity (mean of images)" if published else codec
        label += ", ∞ where no point is" if np.isinf(rows["psnr_db"]).any() else ""
        cliff = find_cliff(rows)
        if cliff is not None:
            label += f", cliff at {cliff:.1f} dB"
            axes.axvline(cliff, color=colour, linestyle="--", linewidth=1)
        axes.plot(rows["esno_db"], rows["psnr_mean_db" if published else "psnr_db"], style, color=colour, label=label)
        axes.fill_between(
            rows["esno_db"], rows["psnr_db_low"], rows["psnr_db_high"], color=colour, alpha=0.2, linewidth=0
        )
    axes.set(ylabel="PSNR (dB), from the mean squared error")
    axes.grid(alpha=0.3)
    marked = any("cliff" in str(label) for label in axes.get_legend_handles_labels()[1])
    title_of_legend = "cliff: below it more than half of the images fail" if marked else None
    axes.legend(loc="best", fontsize=8, title=title_of_legend, title_fontsize=7)


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
        bound = "-capacity" in str(codec) or bool(rows["psnr_db"].isna().all())
        style = ":" if bound else MARKERS[i % len(MARKERS)] + "-"
        yield str(codec), rows.sort_values("esno_db"), COLOURS[i % len(COLOURS)], style


def draw_contact_sheet(comparison: Comparison, title: str, path: Path) -> None:
    """A row for every kept image and codec, a column for the original and every Es/N0."""
    esno_db = sorted({level for _, _, level in comparison.pictures})
    names = list(dict.fromkeys(name for name, _, _ in comparison.pictures))
    codecs = list(dict.fromkeys(codec for _, codec, _ in comparison.pictures))
    shape = (len(names) * len(codecs), 1 + len(esno_db))
    figure = Figure(figsize=(2.1 * shape[1], 2.35 * shape[0] + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(*shape, squeeze=False)
    for i, name in enumerate(names):
        sent = pixels(comparison.sent[name])
        for j, codec in enumerate(codecs):
            row = grid[i * len(codecs) + j]
            _show(row[0], sent, "sent")
            row[0].set_ylabel(codec, fontsize=9)
            for axes, level in zip(row[1:], esno_db, strict=True):
                got = comparison.pictures[name, codec, level]
                psnr = f"{_psnr(got, sent):.1f}".replace("inf", "∞")
                _show(axes, got, f"{level:g} dB: {psnr} dB PSNR")
    figure.suptitle(_wrapped(title, 90), fontsize=10)
    figure.savefig(path, dpi=110, format="png")


def _psnr(image: Pixels, reference: Pixels) -> float:
    return to_db(float(np.mean((image / 255 - reference / 255) ** 2)))


def _wrapped(title: str, width: int) -> str:
    """In lines that the picture is wide enough for; a channel's specification may be long."""
    parts = title.replace(",", ", ").replace(",  ", ", ")
    return "\n".join(textwrap.wrap(parts, width, break_on_hyphens=False))


def _show(axes: Axes, image: Pixels, title: str) -> None:
    axes.imshow(image, interpolation="nearest" if image.shape[1] <= 64 else "antialiased")
    axes.set_title(title, fontsize=8)
    axes.set(xticks=[], yticks=[])


def write_image(image: Pixels, path: Path) -> None:
    """Write an image as PNG."""
    Image.fromarray(image).save(path, format="png")


def some(levels: Sequence[float], count: int = 5) -> list[float]:
    """At most `count` of the Es/N0, evenly spread from the first to the last."""
    return [levels[i] for i in sorted({round(x) for x in np.linspace(0, len(levels) - 1, min(count, len(levels)))})]
