"""What has not been seen is bounded by how often one looked: in the stopping rule, and where an axis has no 0."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from semlink.flowgraphs.studies import Stop, Study, plot_quantity, run_study
from semlink.flowgraphs.studies.figures import NONE_SEEN
from semlink.flowgraphs.studies.plan import unseen_db
from semlink.phy.metrics import error_rate


def row(**values: float) -> dict[str, float]:
    """30 dB, of 4 images in 25 realisations."""
    known = {"psnr_db": 30.0, "psnr_db_low": 30.0, "psnr_db_high": 30.0, "failed": 0, "blocks": 100}
    return known | {"images": 4, "realisations": 25, "block_errors": 0} | values


def test_outages_that_were_not_seen_are_bounded_by_the_rule_of_three() -> None:
    """Of 100 transmissions 3 % may be lost: 1e-3 becomes 1e-3·0.97 + 0.03·0.05, or at best 1e-3·0.97."""
    assert unseen_db(row(), 0.05) == pytest.approx(5 * math.log10((0.97e-3 + 1.5e-3) / 0.97e-3))
    assert unseen_db(row(realisations=1), 0.05) == pytest.approx(5 * math.log10((0.25e-3 + 0.75 * 0.05) / 0.25e-3))
    assert unseen_db(row(failed=100), 0.0) == pytest.approx(-5 * math.log10(0.97))  # that any arrives
    spread = {"psnr_db_low": 29.99, "psnr_db_high": 30.01}
    assert unseen_db(row(**spread), 0.05) == unseen_db(row(), 0.05)  # of a receiver that draws, say
    assert unseen_db(row(**spread, failed=3), 0.05) == 0  # the interval tells it
    assert unseen_db(row(**spread, blocks=0), 0.05) == 0  # no code blocks to lose
    assert unseen_db(row(blocks=0), 0.05) > 0


def test_an_interval_without_width_is_not_known() -> None:
    stop = Stop(psnr_ci_db=0.1, most=1000)
    assert not stop.is_met(row(realisations=4), lost=0.05)
    assert not stop.is_met(row(realisations=500), lost=0.05)
    assert stop.is_met(row(realisations=4000), lost=0.05)
    nothing = dict.fromkeys(("psnr_db", "psnr_db_low", "psnr_db_high"), -10 * math.log10(0.05))
    assert stop.is_met(row(**nothing, failed=100), lost=0.05)
    assert stop.is_met(row(psnr_db_low=29.95, psnr_db_high=30.05, blocks=0))
    assert not stop.is_met(row(realisations=4000))  # a lost image may cost all there is


def test_a_study_goes_on_while_no_outage_was_seen(tmp_path: Path) -> None:
    """At 25 dB a block of 4-QAM fades below its cliff about once in 400 times; 12 transmissions tell nothing of it."""
    smooth = np.kron(np.random.default_rng(0).integers(0, 255, (4, 4, 3)), np.ones((4, 4, 1)))
    for i in range(4):
        Image.fromarray(np.roll(smooth, i, axis=0).astype(np.uint8)).save(tmp_path / f"{i}.png")
    options: dict[str, Any] = {"images": [str(tmp_path)], "codecs": ["jpeg-ldpc-qam:4qam-1/2"], "ratios": ["1/2"]}
    given = {**options, "channels": ["rayleigh"], "esno_db": [25], "realisations": 3, "pictures": 0}
    short = run_study(Study(**given), workers=0).iloc[0]
    assert short["failed"] == 0
    assert short["psnr_db_low"] < short["psnr_db"] - 3 < short["psnr_db_high"]  # an outage in twelve is not excluded
    stopped = run_study(Study(**given, stop=Stop(psnr_ci_db=0.5, most=12)), workers=0).iloc[0]
    assert stopped["realisations"] == 12


@pytest.fixture
def table() -> pd.DataFrame:
    """A cliff: block errors at 0 and 2 dB, none of 1,000 at 4 and 6 dB, one image in 50 lost at 0 dB."""
    rates = [error_rate(errors, 1000) for errors in (500, 20, 0, 0)]
    return pd.DataFrame(
        {
            "codec": "digital", "spec": "awgn", "ratio": 1 / 6, "esno_db": [0.0, 2.0, 4.0, 6.0],
            "bler": [one.value for one in rates], "bler_low": [one.low for one in rates],
            "bler_high": [one.high for one in rates], "failed": [1, 0, 0, 0], "images": 10, "realisations": 5,
            "outage": [0.02, 0.0, 0.0, 0.0],
        }
    )  # fmt: skip


def drawn(figure: Figure) -> tuple[list[float], list[float], str, list[str]]:
    """What the curve shows, the bounds, the scale and the legend."""
    axes = figure.axes[0]
    bounds = [y for line in axes.lines if line.get_linestyle() == "None" for y in np.asarray(line.get_ydata())]
    curve = [y for line in axes.lines if line.get_linestyle() != "None" for y in np.asarray(line.get_ydata())]
    return curve, bounds, axes.get_yscale(), axes.get_legend_handles_labels()[1]


def test_no_line_leads_to_0_on_an_axis_in_decades(table: pd.DataFrame) -> None:
    curve, bounds, scale, legend = drawn(plot_quantity(table, "bler"))
    assert scale == "log"
    np.testing.assert_equal(curve, [0.5, 0.02, math.nan, math.nan])
    assert bounds == pytest.approx([1 - 0.025 ** (1 / 1000)] * 2)
    assert legend == ["digital", NONE_SEEN]
    curve, bounds, scale, legend = drawn(plot_quantity(table, "outage"))
    np.testing.assert_equal(curve, [0.02, *[math.nan] * 3])
    assert bounds == pytest.approx([1 - 0.025 ** (1 / 50)] * 3)


def test_bounds_need_a_place_on_a_plain_axis_no_more_than_other_points(table: pd.DataFrame) -> None:
    curve, bounds, scale, legend = drawn(plot_quantity(table.iloc[2:], "bler"))
    assert (curve, bounds, scale, legend) == ([0, 0], [], "linear", ["digital"])
    curve, bounds, _, legend = drawn(plot_quantity(table.drop(columns=["bler_low", "bler_high"]), "bler"))
    np.testing.assert_equal(bounds, [math.nan, math.nan])
