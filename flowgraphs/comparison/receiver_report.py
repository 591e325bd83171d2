"""What a comparison says of CODEC+RECEIVER: its margins over the codec alone and over the other receivers beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import torch
from rich.table import Table

from semlink.flowgraphs.comparison.cells import in_brackets, is_one_average
from semlink.flowgraphs.comparison.comparison import Comparison
from semlink.flowgraphs.comparison.intervals import shares_fade
from semlink.flowgraphs.comparison.margins import change_percent, mean_psnr_margin, psnr_margin
from semlink.flowgraphs.comparison.tally import column_of
from semlink.flowgraphs.specs import JOINT, listened_to, split_listener
from semlink.phy import metrics
from semlink.phy.metrics import METRICS, Estimate

PSNR = "psnr_db"
MEAN_PSNR = "psnr_mean_db"


@dataclass(frozen=True)
class Margin:
    """How far a receiver is ahead of another at one Es/N0, over the same receptions.

    Attributes:
        codec: CODEC+RECEIVER.
        over: the codec alone, or with another receiver.
        esno_db: Es/N0 in dB.
        quantity: "psnr_db" or "psnr_mean_db", in dB; or a perceptual metric, in per cent of the other's, below 0
            where it is better.
        value, low, high: the margin with its 95 % interval; NaN where that is unknown.
    """

    codec: str
    over: str
    esno_db: float
    quantity: str
    value: float
    low: float
    high: float


def receiver_margins(outcome: Comparison) -> list[Margin]:
    """Of every CODEC+RECEIVER over the codec alone and the receivers behind the same codec that come before it.

    And of every codec over `Comparison.against`, where there is one.
    """
    grey = [metrics.squared_error(torch.full_like(image, 128 / 255), image).mean() for image in outcome.sent.values()]
    worst = float(np.mean(grey)) if grey else None  # of an image of which nothing arrives
    return [_margin(outcome, *case, worst) for case in _cases(outcome)]


def _cases(outcome: Comparison) -> Iterator[tuple[str, str, float, str]]:
    names = list(dict.fromkeys(name for name, _ in outcome.errors))
    levels = sorted({level for _, level in outcome.errors})
    for i, name in enumerate(names):
        codec, listener = split_listener(name)
        first, joint, _ = codec.partition(JOINT)
        alone = listened_to(first, listener)
        rivals = [
            other
            for other, (behind, heard) in ((one, split_listener(one)) for one in names[:i])
            if behind.startswith(first + JOINT) and heard == listener
        ]
        others: list[str] = [*[alone] * (alone in names), *rivals] if joint else []
        if outcome.against is not None and outcome.against not in (name, *others):
            others.append(outcome.against)
        for other in [one for one in others if _shows(outcome, one)] if _shows(outcome, name) else []:
            for quantity in (PSNR, MEAN_PSNR, *(column_of(metric) for metric in outcome.metrics)):
                yield from ((name, other, level, quantity) for level in levels)


def _shows(outcome: Comparison, codec: str) -> bool:
    """Whether a codec shows images, as one that classifies does not."""
    return not all(np.isnan(errors).all() for (name, _), errors in outcome.errors.items() if name == codec)


def _margin(outcome: Comparison, codec: str, over: str, level: float, quantity: str, worst: float | None) -> Margin:
    found = _estimate(outcome, codec, over, level, quantity, worst)
    return Margin(codec, over, level, quantity, found.value, found.low, found.high)


def _estimate(outcome: Comparison, codec: str, over: str, level: float, quantity: str, worst: float | None) -> Estimate:
    said = outcome.table[outcome.table["codec"] == codec].iloc[0]
    fades = shares_fade({name: str(said[name]) for name in ("channel", "coherence", "spec")})
    alone = bool(outcome.table.loc[outcome.table["codec"].isin([codec, over]), "bler"].notna().any())
    if quantity in (PSNR, MEAN_PSNR):
        margin = psnr_margin if quantity == PSNR else mean_psnr_margin
        errors, others = (outcome.errors[name, level] for name in (codec, over))
        return margin(errors, others, fades=fades, worst=worst, alone=alone)
    metric = next(name for name in outcome.metrics if column_of(name) == quantity)
    pair = (outcome.distances[metric, name, level] for name in (codec, over))
    return change_percent(*pair, fades=fades, alone=alone)


def margin_table(found: list[Margin]) -> pd.DataFrame:
    """One row for each margin."""
    return pd.DataFrame([asdict(one) for one in found])


def printed(outcome: Comparison, found: list[Margin]) -> Iterator[Table]:
    """A table for each quantity: a row for every Es/N0, a column for every pair."""
    labels = {
        PSNR: "PSNR in dB, from the mean squared error, above the other's",
        MEAN_PSNR: "mean of the images' PSNR in dB above the other's",
    }
    if is_one_average(outcome.table):
        del labels[MEAN_PSNR]
    labels |= {column_of(name): f"{METRICS[name].label} against the other's, in %" for name in outcome.metrics}
    for quantity, label in labels.items():
        some = [one for one in found if one.quantity == quantity]
        if some:
            yield _table(f"{label}, over the same receptions (95 % interval)", some)


def _table(title: str, found: list[Margin]) -> Table:
    table = Table(title=title)
    table.add_column("Es/N0 (dB)", justify="right")
    pairs = list(dict.fromkeys((one.codec, one.over) for one in found))
    for codec, over in pairs:
        table.add_column(f"{codec} over {over}", justify="right")
    at = {(one.codec, one.over, one.esno_db): one for one in found}
    for level in sorted({one.esno_db for one in found}):
        table.add_row(f"{level:g}", *(cell(at[codec, over, level]) for codec, over in pairs))
    return table


def cell(one: Margin | Estimate) -> str:
    """A margin in words, with its interval where that is known."""
    if math.isnan(one.value):
        return "–"
    return f"{one.value:+.2f}".replace("inf", "∞") + in_brackets(one.low, one.high, "+.2f")
