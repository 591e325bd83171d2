"""A figure without pyplot that a notebook shows all the same."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class ShownFigure(Figure):
    """A figure that a notebook shows where a cell ends with it, whether pyplot was imported or not."""

    def _repr_png_(self) -> bytes:
        packed = io.BytesIO()
        self.savefig(packed, format="png", dpi=100)
        return packed.getvalue()


def shown_figure(**options: Any) -> ShownFigure:  # noqa: ANN401 - those of matplotlib
    """One with a canvas to be drawn on."""
    figure = ShownFigure(**options)
    FigureCanvasAgg(figure)
    return figure
