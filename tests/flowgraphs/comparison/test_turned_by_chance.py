"""Of few bits more than half may be wrong by chance: that says nothing of anybody's LLRs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from semlink.flowgraphs.comparison.causes import turned_round


def table(share: float, *, images: int, bits: int) -> pd.DataFrame:
    """Of a link of which that share of the information bits is wrong at the lower of two Es/N0."""
    return pd.DataFrame({
        "images": images, "realisations": 1, "n": 2.0 * bits, "k": bits + 24.0, "ber_before": [0.4, 0.1],
        "ber_after": [share, 0.0],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("share", "images", "bits", "said"),
    [
        (0.69, 1, 64, False),  # three standard deviations above a half: once in a thousand lost images
        (0.95, 1, 64, True),
        (0.69, 10, 64, True),
        (0.55, 50, 8000, False),  # a code that is off in its own way
        (1.0, 1, 4000, True),
    ],
)
def test_few_bits_must_be_wronger(share: float, images: int, bits: int, said: bool) -> None:
    assert bool(turned_round(table(share, images=images, bits=bits))) is said


def test_lost_blocks_are_not_blamed_on_a_code() -> None:
    """Coin tosses for the bits of a block of 40, as many times as a person may compare."""
    wrong = np.random.default_rng(0).binomial(40, 0.5, 2000) / 40
    assert (wrong > 0.6).any()
    assert not any(turned_round(table(share, images=1, bits=40)) for share in wrong if share > 0.6)


def test_a_codec_without_bits_is_not_blamed() -> None:
    unknown = table(0.9, images=1, bits=100).assign(ber_before=math.nan, ber_after=math.nan, k=math.nan, n=math.nan)
    assert turned_round(unknown) == ""
