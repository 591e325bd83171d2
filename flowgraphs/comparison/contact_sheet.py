"""The contact sheet of a comparison: what was sent and what was received, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.flowgraphs.comparison.comparison import Comparison, pixels
from semlink.flowgraphs.comparison.tally import Pixels
from semlink.phy.documents import written_whole
from semlink.phy.metrics import to_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 2.1
"""Of a picture, in inches; of panoramas more, up to `MOST_IN`."""
MOST_IN = 4.2
LEAST_IN = 0.7
TITLE_IN = 0.34  # two lines above a picture
FAILED = "#c00000"
_POINT_IN = 1 / 72
_WIDE = 0.6  # of a letter, in its size: a little more than the mean


def draw_contact_sheet(comparison: Comparison, title: str, path: Path) -> None:
    """A row for every kept image and codec, a column for the original and every Es/N0; what failed has a red frame."""
    save_png(contact_sheet(comparison, title), path, dpi=110)


def save_png(figure: Figure, path: Path, *, dpi: int) -> None:
    """Write a figure as PNG, whole or not at all, drawn once: a layout engine that stays would have it drawn twice."""
    engine = figure.get_layout_engine()
    if engine is not None:
        figure.set_dpi(dpi)
        engine.execute(figure)
        figure.set_layout_engine("none")
    with written_whole(path) as partial:
        figure.savefig(partial, dpi=dpi, format="png")


def contact_sheet(comparison: Comparison, title: str) -> Figure:
    """The figure that `draw_contact_sheet` writes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # 0.5 s, which who draws nothing need not wait
    from matplotlib.figure import Figure

    esno_db = sorted({level for _, _, level in comparison.pictures})
    names = list(dict.fromkeys(name for name, _, _ in comparison.pictures))
    codecs = list(dict.fromkeys(codec for _, codec, _ in comparison.pictures))
    sent = {name: pixels(comparison.sent[name]) for name in names}
    width, heights = cell_sizes([sent[name].shape for name in names])
    rows = [height for height in heights for _ in codecs]
    wide, columns = width * (1 + len(esno_db)) + 0.4, 1 + len(esno_db)
    lines = wrapped(title, letters(wide, 10))
    high = sum(rows) + TITLE_IN * len(rows) + 0.2 * (1 + lines.count("\n"))
    figure = Figure(figsize=(wide, high), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=rows)
    for row, (name, codec) in zip(grid, [(name, codec) for name in names for codec in codecs], strict=True):
        _show(row[0], sent[name], "sent", width)
        height = heights[names.index(name)]
        row[0].set_ylabel(
            "\n".join(_split(comparison.labels.get(codec, codec), letters(height + TITLE_IN, 9))), fontsize=9
        )
        for axes, level in zip(row[1:], esno_db, strict=True):
            got, lost = comparison.pictures[name, codec, level], (name, codec, level) in comparison.lost
            told = f"{_psnr(got, sent[name]):.1f} dB PSNR".replace("inf", "∞")
            _show(axes, got, f"{level:g} dB: {'failed, ' * lost}{told}", width, lost=lost)
    figure.suptitle(lines, fontsize=10)
    return figure


def cell_sizes(shapes: Sequence[Sequence[int]]) -> tuple[float, list[float]]:
    """Inches: the width of all pictures, which panoramas widen, and the height of each image of (h, w, c)."""
    sides = [w / h for h, w, *_ in shapes]
    width = min(MOST_IN, WIDTH_IN * max(1.0, max(sides) ** 0.5))
    return width, [min(MOST_IN, max(LEAST_IN, width / side)) for side in sides]


def letters(inches: float, points: float) -> int:
    """How many letters of a size fit beside each other."""
    return max(8, int(inches / (points * _POINT_IN * _WIDE)))


def wrapped(title: str, width: int) -> str:
    """In lines that the picture is wide enough for; a channel's specification may be long."""
    parts = title.replace(",", ", ").replace(",  ", ", ")
    return "\n".join(textwrap.wrap(parts, width, break_on_hyphens=False))


def _split(name: str, width: int) -> list[str]:
    """A codec's name in lines, if it can be behind a colon, a plus or a hyphen."""
    spaced = name.replace(":", ":\0").replace("+", "\0+").replace("-", "-\0")
    lines = [""]
    for part in spaced.split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return [piece for line in lines for piece in textwrap.wrap(line, width)]


def _psnr(image: Pixels, reference: Pixels) -> float:
    return to_db(float(np.mean((image / 255 - reference / 255) ** 2)))


def _show(axes: Axes, image: Pixels, title: str, width: float, *, lost: bool = False) -> None:
    shown = image[:, :, 0] if image.shape[2] == 1 else image
    axes.imshow(
        shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest" if image.shape[1] <= 64 else "antialiased"
    )
    axes.set_title(textwrap.fill(title, letters(width, 8)), fontsize=8, color=FAILED if lost else "black")
    axes.set(xticks=[], yticks=[])
    if lost:
        for spine in axes.spines.values():
            spine.set(color=FAILED, linewidth=2.5)
