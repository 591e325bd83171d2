"""What failed: the channel or the source coder."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from torch import Tensor

from semlink.baselines.separate import SeparateCodec
from semlink.baselines.sources import find_source
from semlink.flowgraphs.comparison.causes import failed_at_source, failed_words
from semlink.flowgraphs.comparison.comparison import compare
from semlink.phy.channels import AWGN
from semlink.phy.link import Transmission


def transmission(failed: list[bool], errors: list[int] | None, source: list[int] | None) -> Transmission:
    bits: dict[str, Tensor] = {} if source is None else {"source": torch.tensor(source)}
    told = None if errors is None else torch.tensor(errors)
    return Transmission(torch.zeros(3, 3, 8, 8), torch.tensor(failed), {}, 0.1, 0.0, told, bits=bits)


@pytest.mark.parametrize(
    ("failed", "errors", "source", "expected"),
    [
        ([True, True, False], [0, 2, 0], [80, 80, 80], [True, False, False]),  # arrived whole, and made nothing of
        ([True, True, True], [1, 1, 0], [0, 80, 0], [True, False, True]),  # had nothing to send
        ([True, True, False], None, [0, 80, 80], [True, False, False]),  # a ceiling
        ([True, False, True], None, None, [False, False, False]),  # nobody tells
    ],
)
def test_the_cause(
    failed: list[bool], errors: list[int] | None, source: list[int] | None, expected: list[bool]
) -> None:
    assert failed_at_source(transmission(failed, errors, source)).tolist() == expected


def test_a_comparison_tells_both() -> None:
    """A JPEG of noise that cannot be reduced has no quality that fits; in the noise of the channel all else is lost."""
    images = {
        "noise": (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.5).float(),
        "flat": torch.ones(1, 3, 32, 32),
    }
    codecs = {"plain": SeparateCodec(source=find_source("jpeg"), ratio=1 / 24), "chosen": SeparateCodec(ratio=1 / 24)}
    table = compare(images, codecs, AWGN(), [0.0, 20.0], workers=1).table.set_index(["codec", "esno_db"])
    assert table.loc[("plain", 20.0), ["failed", "failed_source"]].tolist() == [1, 1]
    assert table.loc[("plain", 0.0), ["failed", "failed_source"]].tolist() == [2, 1]
    assert table.loc[("chosen", 20.0), ["failed", "failed_source"]].tolist() == [0, 0]
    assert table.loc[("chosen", 0.0), ["failed", "failed_source"]].tolist() == [2, 0]


def test_words() -> None:
    row = pd.Series({"failed": 3, "images": 4, "realisations": 2, "failed_source": 2})
    assert failed_words(row) == ", 3/8 failed (2 by the source coder)"
    assert failed_words(pd.Series({**row, "failed_source": 0})) == ", 3/8 failed"
    assert failed_words(pd.Series({**row, "failed_source": float("nan")})) == ", 3/8 failed"
    assert failed_words(pd.Series({**row, "failed": 0})) == ""
