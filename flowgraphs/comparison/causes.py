"""What failed, where an image did: the channel or the source coder."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from semlink.baselines.blocks import CRC_MOST
from semlink.phy.link import Transmission

_TURNED = 0.6  # share of wrong bits that no noise makes of many: they are the wrong way round
_CHANCE = 4.0  # standard deviations above a half that a share of few bits must be too


def failed_at_source(got: Transmission) -> Bool[Tensor, " b"]:
    """Which images failed though every code block arrived, or had nothing to send.

    Nothing fitted the budget, or the source decoder made nothing of what arrived whole: not by the channel. Of a codec
    that tells neither code blocks nor bits the channel is held to be the cause.
    """
    failed = got.failed
    whole = torch.zeros_like(failed) if got.block_errors is None else got.block_errors == 0
    source = got.bits.get("source")
    empty = torch.zeros_like(failed) if source is None else source.to(failed.device) == 0
    return failed & (whole | empty)


def turned_round(rows: pd.DataFrame) -> str:
    """Where a codec's bits are wrong rather than right: what makes them so; empty where they are not."""
    images = rows["images"] * rows["realisations"]
    for column, bits, whose in (
        ("ber_before", rows["n"], "the constellation's LLRs"),
        ("ber_after", rows["k"] - CRC_MOST, "what the code makes of LLRs"),
    ):
        by_chance = 0.5 + _CHANCE * 0.5 / np.sqrt((images * bits).clip(lower=1))  # of one code block an image
        if (share := rows[column].where(rows[column] >= by_chance.clip(lower=_TURNED)).max()) > 0:
            return f"{share:.0%} of its bits are wrong: {whose} must go by log P(0)/P(1); see `semlink check`"
    return ""


def failed_words(row: pd.Series) -> str:
    """How many images of a row failed, of those sent, and of them by the source coder; empty where none did."""
    if not row["failed"]:
        return ""
    at_source = row.get("failed_source", 0)
    cause = f" ({int(at_source)} by the source coder)" if at_source and not math.isnan(at_source) else ""
    return f", {int(row['failed'])}/{int(row['images'] * row['realisations'])} failed{cause}"
