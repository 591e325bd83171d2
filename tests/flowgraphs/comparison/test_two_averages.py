"""PSNR from the mean squared error and the mean of the images' PSNR: both are told, for they may disagree."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import torch

from semlink.flowgraphs.comparison.cells import mean_psnr_cell, psnr_cell
from semlink.flowgraphs.comparison.comparison import Comparison, compare
from semlink.flowgraphs.comparison.frames import try_codecs
from semlink.flowgraphs.comparison.margins import mean_psnr_margin, psnr_margin
from semlink.flowgraphs.comparison.plots import PSNRS, draw_curves
from semlink.flowgraphs.comparison.receiver_report import printed, receiver_margins
from semlink.flowgraphs.comparison.report import LONG_S, _tell_cost, add_published
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Frame, Received


class Off:
    """Shows every image darker, the dark ones by one factor, the bright ones by another."""

    ratio = 1 / 6

    def __init__(self, dark: float, bright: float) -> None:
        self.dark, self.bright = dark, bright

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        drop = torch.where(image.mean(dim=(1, 2, 3)) < 0.5, self.dark, self.bright)
        shown = (image - drop[:, None, None, None]).clamp(0, 1)
        return Frame(torch.ones(len(image), 512, dtype=torch.complex64), {"payload": 512}, header=list(shown))

    def decode(self, received: Received) -> Decoded:
        assert received.header is not None
        return Decoded(torch.stack([one for one in received.header if isinstance(one, torch.Tensor)]))


@pytest.fixture(scope="module")
def outcome() -> Comparison:
    images = {"dark": torch.full((1, 3, 32, 32), 0.4), "bright": torch.full((1, 3, 32, 32), 0.8)}
    codecs = {"uneven": Off(0.2, 0.01), "even": Off(0.1, 0.1)}
    found = compare(images, codecs, AWGN(), [0.0, 5.0], workers=1)
    return Comparison(found.table, {}, found.sent, found.notes, errors=found.errors, against="even")


def test_they_disagree_and_both_are_printed(outcome: Comparison) -> None:
    table = outcome.table.set_index(["codec", "esno_db"])
    uneven, even = table.loc[("uneven", 0.0)], table.loc[("even", 0.0)]
    assert uneven["psnr_db"] < even["psnr_db"]
    assert uneven["psnr_mean_db"] > even["psnr_mean_db"] + 3
    assert mean_psnr_cell(uneven).startswith(f"{uneven['psnr_mean_db']:.2f}")
    assert psnr_cell(uneven).startswith(f"{uneven['psnr_db']:.2f}")


def test_margins_are_told_by_both(outcome: Comparison) -> None:
    found = {one.quantity: one.value for one in receiver_margins(outcome) if one.esno_db == 0 and one.codec == "uneven"}
    assert found["psnr_db"] < 0 < found["psnr_mean_db"]
    titles = [str(one.title) for one in printed(outcome, receiver_margins(outcome))]
    assert any("mean squared error" in one for one in titles)
    assert any("mean of the images' PSNR" in one for one in titles)


def test_both_are_drawn_and_published_curves_beside_means_alone(
    outcome: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[matplotlib.figure.Figure] = []
    monkeypatch.setattr("semlink.flowgraphs.comparison.plots.save_png", lambda figure, path, dpi: drawn.append(figure))
    table = add_published(outcome.table, ["vtm"], 1 / 6)
    draw_curves(Comparison(table, {}, outcome.sent, outcome.notes), "title", tmp_path / "curves.png")
    panels = {str(axes.get_ylabel()): axes for axes in drawn[0].axes}
    labels = {name: panels[name].get_legend_handles_labels()[1] for name in PSNRS.values()}
    assert [any("published" in one for one in shown) for shown in labels.values()] == [False, True]
    assert any("one quality for all images" in one for one in labels[PSNRS["psnr_mean_db"]])
    assert all("uneven" in shown for shown in labels.values())


def test_a_mean_margin_is_the_difference_of_means() -> None:
    rng = np.random.default_rng(0)
    errors, others = rng.uniform(1, 50, (40, 2)), rng.uniform(1, 50, (40, 2))
    found = mean_psnr_margin(errors, others)
    assert found.value == pytest.approx(float(10 * np.log10(others).mean() - 10 * np.log10(errors).mean()))
    assert found.low < found.value < found.high
    assert mean_psnr_margin(errors, errors).value == 0
    exact = mean_psnr_margin(np.zeros((3, 1)), np.ones((3, 1)))
    assert math.isinf(exact.value)
    assert math.isnan(exact.low)
    with pytest.raises(ValueError, match="shapes differ"):
        mean_psnr_margin(errors, others[:3])
    assert psnr_margin(errors, errors).value == 0


def test_what_takes_long_is_said_before(capsys: pytest.CaptureFixture[str]) -> None:
    _tell_cost({"fast": 1.0, "slow": LONG_S}, {"fast": 11, "slow": 11})
    said = capsys.readouterr().err
    assert "slow: encoding takes about 22 min of processor time" in said
    assert "fast" not in said
    images = {f"{i}": torch.rand(1, 3, 32, 32) for i in range(50)}
    taken = try_codecs({"even": Off(0.1, 0.1)}, images)
    one = try_codecs({"even": Off(0.1, 0.1)}, {"0": images["0"]})
    assert taken.keys() == one.keys() == {"even"}
    assert taken["even"] > one["even"] >= 0
