"""`compare` is given codecs and a channel, not their names; what it returns is shown in a line."""

from __future__ import annotations

import pytest
import torch

from semlink.baselines.separate import SeparateCodec
from semlink.flowgraphs.comparison import compare
from semlink.phy.channels import AWGN

IMAGES = {"a": torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))}


def test_a_name_is_no_codec() -> None:
    with pytest.raises(ValueError, match=r"codec 'mine' is a str; it must be a codec, zoo\.load"):
        compare(IMAGES, {"mine": "deepjscc"}, AWGN(), [10.0])  # type: ignore[dict-item]


def test_a_name_is_no_channel() -> None:
    with pytest.raises(ValueError, match=r"channel is a str; it must be a channel, AWGN\(\)"):
        compare(IMAGES, {"mine": SeparateCodec()}, "awgn", [10.0])  # type: ignore[arg-type]


def test_what_is_shown() -> None:
    outcome = compare(IMAGES, {"mine": SeparateCodec(ratio=1 / 2)}, AWGN(), [0.0, 20.0])
    assert repr(outcome) == "Comparison(codecs: mine; images: 1; Es/N0: 0, 20 dB; figures in .table)"
