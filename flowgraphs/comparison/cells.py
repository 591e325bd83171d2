"""The tables that a comparison prints: a row for every Es/N0, a column for every codec, and what is in a cell."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from rich.table import Table

from semlink.flowgraphs.comparison.causes import failed_words
from semlink.flowgraphs.comparison.comparison import Comparison
from semlink.flowgraphs.comparison.tally import CODED


def by_codec(outcome: Comparison, title: str, cell: Callable[[pd.Series], str]) -> Table:
    """A row for every Es/N0, a column for every codec; a dash where it has none there, as between printed points."""
    table = Table(title=title)
    table.add_column("Es/N0 (dB)", justify="right")
    rows_of = dict(list(outcome.table.groupby("codec", sort=False)))
    for codec in rows_of:
        table.add_column(str(codec), justify="right", overflow="fold")  # on a narrow screen a name is not cut off
    for level in sorted(set(outcome.table["esno_db"])):
        found = [rows[rows["esno_db"] == level] for rows in rows_of.values()]
        table.add_row(f"{level:g}", *(cell(rows.iloc[0]) if len(rows) else "–" for rows in found))
    return table


def psnr_cell(row: pd.Series) -> str:
    """PSNR of a row with its interval, ∞ where every image is exact, and how many images failed, whatever it is."""
    failed = failed_words(row)
    if math.isnan(row["psnr_db"]):  # of a published curve a mean of images alone is known: see `mean_psnr_cell`
        return f"–{failed}"
    return f"{_number(row['psnr_db'])}{in_brackets(row['psnr_db_low'], row['psnr_db_high'], '.2f')}{failed}"


def mean_psnr_cell(row: pd.Series) -> str:
    """The mean of the images' PSNR of a row with its interval; all there is of a published curve."""
    value, low, high = (row[f"psnr_mean_db{end}"] for end in ("", "_low", "_high"))
    if math.isnan(value):
        return "–"
    return _number(value) + in_brackets(low, high, ".2f")


def in_brackets(low: float, high: float, form: str) -> str:
    """An interval, to be put behind its figure; nothing where there is none, as of what was printed elsewhere."""
    return f" ({low:{form}} … {high:{form}})" if math.isfinite(low) else ""


def is_one_average(table: pd.DataFrame) -> bool:
    """Whether both averages of PSNR are the same, as far as they are printed: so they are of one image, say."""
    return bool(np.allclose(table["psnr_db"], table["psnr_mean_db"], rtol=0, atol=0.005, equal_nan=True))


def share_cell(column: str, row: pd.Series) -> str:
    """A share of a row in per cent with its exact interval, if it has one, and how many images failed."""
    if math.isnan(row[column]):
        return "–"
    interval = in_brackets(100 * row[f"{column}_low"], 100 * row[f"{column}_high"], ".1f")
    return f"{100 * row[column]:.1f}{interval}{failed_words(row)}"


def _number(value: float) -> str:
    return f"{value:.2f}".replace("inf", "∞")


def distance_cell(column: str, row: pd.Series) -> str:
    """A perceptual distance of a row with its interval."""
    if not math.isfinite(row[column]):
        return "–"
    return f"{row[column]:.4f}{in_brackets(row[f'{column}_low'], row[f'{column}_high'], '.4f')}"


def coded_bits(rows: pd.DataFrame) -> str:
    """What the coded bits are spent on, from the lowest to the highest of the Es/N0."""
    spans = {purpose: (rows[f"{purpose}_share"].min() * 100, rows[f"{purpose}_share"].max() * 100) for purpose in CODED}
    parts = [
        f"{purpose} {low:.1f} %" if high - low < 0.05 else f"{purpose} {low:.1f} … {high:.1f} %"
        for purpose, (low, high) in spans.items()
    ]
    return "coded bits: " + ", ".join(parts)
