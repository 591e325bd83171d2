"""Both averages of PSNR are told where they may disagree; of one image there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from semlink.flowgraphs.comparison import report
from semlink.flowgraphs.comparison.comparison import Comparison, compare
from semlink.flowgraphs.comparison.plots import draw_curves
from semlink.flowgraphs.comparison.receiver_report import printed, receiver_margins
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Frame, Received


class Dimmed:
    """Shows every image darker by a share of it: bright ones are off by more."""

    ratio = 1 / 6

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        return Frame(torch.ones(len(image), 512, dtype=torch.complex64), {"payload": 512}, header=list(0.8 * image))

    def decode(self, received: Received) -> Decoded:
        assert received.header is not None
        return Decoded(torch.stack([one for one in received.header if isinstance(one, torch.Tensor)]))


def outcome_of(*levels: float) -> Comparison:
    images = {f"{level}": torch.full((1, 3, 32, 32), level) for level in levels}
    found = compare(images, {"one": Dimmed(), "other": Dimmed()}, AWGN(), [0.0, 5.0], workers=1)
    return Comparison(found.table, {}, found.sent, found.notes, errors=found.errors, against="one")


@pytest.mark.parametrize(("levels", "averages"), [((0.4,), 1), ((0.4, 0.4001), 1), ((0.4, 0.9), 2)])
def test_as_many_as_there_are(
    levels: tuple[float, ...],
    averages: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr("semlink.flowgraphs.comparison.plots.save_png", lambda figure, path, dpi: drawn.append(figure))
    outcome = outcome_of(*levels)
    draw_curves(outcome, "title", tmp_path / "curves.png")
    assert sum("PSNR" in axes.get_ylabel() for axes in drawn[0].axes) == averages
    report._print_comparison(outcome, [], {})
    said = " ".join(capsys.readouterr().out.split())
    assert ("mean of the images' PSNR in dB (95 % interval)" in said) is (averages == 2)
    assert "PSNR in dB from the mean squared error" in said
    assert len(list(printed(outcome, receiver_margins(outcome)))) == averages


def test_a_published_curve_is_a_mean_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr("semlink.flowgraphs.comparison.plots.save_png", lambda figure, path, dpi: drawn.append(figure))
    outcome = outcome_of(0.4)
    table = report.add_published(outcome.table, ["vtm"], 1 / 6)
    draw_curves(Comparison(table, {}, outcome.sent, outcome.notes), "title", tmp_path / "curves.png")
    assert sum("PSNR" in axes.get_ylabel() for axes in drawn[0].axes) == 2
