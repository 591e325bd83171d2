"""The line of conditions above tables and figures: ratio and scheme are told where they are those of all codecs."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from semlink.flowgraphs.comparison.comparison import COLUMNS, Comparison
from semlink.flowgraphs.comparison.report import _takes_mcs, describe
from semlink.flowgraphs.studies.html_report import _cell


def outcome(ratios: list[float]) -> Comparison:
    rows = [{**dict.fromkeys(COLUMNS, math.nan), "spec": "awgn", "ratio": one} for one in ratios]
    return Comparison(pd.DataFrame(rows).assign(images=1, realisations=2), {}, {}, {})


def test_of_ratios_that_differ_both_ends_are_told() -> None:
    assert describe(outcome([1 / 6, 0.16666]), None).startswith("awgn; ratio 1/6; images 1")
    assert describe(outcome([0.0512, 1 / 6]), None).startswith("awgn; ratio 0.0512 to 1/6;")


@pytest.mark.parametrize(
    ("codec", "takes"),
    [
        ("jpeg-ldpc-qam", True),
        ("jpeg-nr-qam:harq=4,rv=02", True),
        ("jpeg-nr-qam:harq=4,nr1-5", False),
        ("jpeg-ldpc-qam:key=k", True),
        ("jpeg-ldpc-qam:resolution=full+sft-jpeg", True),
        ("jpeg-conv-random-8psk", True),
        ("jpeg-ldpc-qam:adaptive,table=a.csv", False),
        ("jpeg-ldpc-qam:4qam-1/2@awgn", False),
        ("swin", False),
    ],
)
def test_the_scheme_of_mcs_is_told_where_a_codec_has_it(codec: str, takes: bool) -> None:
    assert _takes_mcs(codec) == takes


def test_a_cause_that_is_not_known_is_not_told() -> None:
    row = {"outage": 0.5, "failed": 3, "images": 3, "realisations": 2}
    assert _cell("outage", row | {"failed_source": math.nan}).startswith("3 of 6 [0.")
    assert "source" not in _cell("outage", row | {"failed_source": math.nan})
    assert _cell("outage", row | {"failed_source": 2.0}).endswith(", 2 by the source coder")
