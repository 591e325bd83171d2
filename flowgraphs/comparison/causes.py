"""What failed, where an image did: the channel or the source coder."""

from __future__ import annotations

import math

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from semlink.phy.link import Transmission

_TURNED = 0.6  # share of wrong bits that no noise makes: they are the wrong way round


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
    for column, whose in (("ber_before", "the constellation's LLRs"), ("ber_after", "what the code makes of LLRs")):
        if (share := rows[column].max()) > _TURNED:
            return f"{share:.0%} of its bits are wrong: {whose} must go by log P(0)/P(1); see `semlink check`"
    return ""


def failed_words(row: pd.Series) -> str:
    """How many images of a row failed, of those sent, and of them by the source coder; empty where none did."""
    if not row["failed"]:
        return ""
    at_source = row.get("failed_source", 0)
    cause = f" ({int(at_source)} by the source coder)" if at_source and not math.isnan(at_source) else ""
    return f", {int(row['failed'])}/{int(row['images'] * row['realisations'])} failed{cause}"
