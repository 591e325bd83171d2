"""The contact sheet of images of any shape, with what failed marked; SSIM and MS-SSIM as curves."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from semlink.flowgraphs.comparison import Comparison, compare, draw_curves, plots
from semlink.flowgraphs.comparison.contact_sheet import FAILED, cell_sizes, contact_sheet
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Frame, Received

SHAPES = {"portrait": (60, 24), "panorama": (24, 120), "square": (24, 24), "tall": (240, 24)}
LONG = "jpeg-ldpc-qam:adaptive+sft-swin-perceptual:steps=12,sampler=ancestral"
TITLE = "tdl-c:ds=100ns,v=3,4x4,mmse+rapp:ibo=6+offset:hz=120,estimated; ratio 1/6, digital MCS 16qam-1/2; images 3"


class Halved:
    """Shows half the brightness of the first image it is told of, and fails below 5 dB."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        self.level = n0
        return Frame(torch.ones(len(image), 16, dtype=torch.complex64), uses={"payload": 16})

    def decode(self, received: Received) -> Decoded:
        count = len(received.symbols)
        failed = torch.full((count,), bool(received.n0.mean() > 0.5))
        return Decoded(torch.full((count, 3, *self.shape), 0.5), failed=failed)


def outcome(name: str, *, levels: tuple[float, ...] = (0.0, 10.0)) -> Comparison:
    shape = SHAPES[name]
    image = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    codecs = {LONG: Halved(shape), "b": Halved(shape)}
    return compare({name: image}, codecs, AWGN(), levels, pictures=levels, workers=1)


def overlaps(figure: Figure) -> list[str]:
    """Titles that reach into one another, or texts beyond the figure."""
    figure.draw_without_rendering()
    found = []
    rows: dict[float, list[tuple[float, float]]] = {}
    for axes in figure.axes:
        for text in (axes.title, axes.yaxis.label):
            box = text.get_window_extent()
            if box.x0 < 0 or box.x1 > figure.bbox.width or box.y0 < 0 or box.y1 > figure.bbox.height:
                found.append(f"{text.get_text()!r} is cut off")
        rows.setdefault(round(axes.get_position().y0, 3), []).append(axes.title.get_window_extent().intervalx)
    for row in rows.values():
        found += [f"{one} {other}" for one, other in pairwise(sorted(map(tuple, row))) if one[1] > other[0]]
    above = figure._suptitle.get_window_extent() if figure._suptitle else None  # type: ignore[attr-defined]
    if above and (above.x0 < 0 or above.x1 > figure.bbox.width):
        found.append("the title is cut off")
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_a_sheet_of_any_shape_has_room_for_its_texts(name: str) -> None:
    figure = contact_sheet(outcome(name), TITLE)
    assert overlaps(figure) == []
    high, wide = SHAPES[name]
    shown = figure.axes[0].get_window_extent()
    assert shown.height / shown.width == pytest.approx(high / wide, rel=0.02)
    assert shown.width / figure.dpi > (0.4 if name == "tall" else 1.2)  # inches


def test_a_panorama_and_a_portrait_take_what_they_need() -> None:
    assert cell_sizes([(100, 100, 3)]) == (2.1, [2.1])
    width, (panorama, portrait) = cell_sizes([(100, 400, 3), (400, 200, 3)])
    assert width == pytest.approx(4.2)
    assert panorama == pytest.approx(1.05)
    assert portrait == pytest.approx(4.2)  # not 8.4


def test_what_failed_is_marked() -> None:
    figure = contact_sheet(outcome("square"), "awgn")
    sent, lost, there = figure.axes[:3]
    assert lost.get_title().startswith("0 dB: failed,")
    assert to_hex(lost.spines["top"].get_edgecolor()) == FAILED
    for axes in (sent, there):
        assert "failed" not in axes.get_title()
        assert to_hex(axes.spines["top"].get_edgecolor()) == "#000000"


def test_ssim_and_ms_ssim_have_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    few = outcome("square")
    few.table["psnr_mean_db"] += 1
    draw_curves(few, "awgn", tmp_path / "few.png")
    few.table["ms_ssim"] = [0.5, 0.75, 0.5, 0.75]
    draw_curves(few, "awgn", tmp_path / "all.png")
    labels = [[axes.get_ylabel() for axes in figure.axes] for figure in drawn]
    averages = ["PSNR (dB), from the mean squared error", "mean of the images' PSNR (dB)"]
    assert labels == [[*averages, "SSIM"], [*averages, "SSIM", "MS-SSIM"]]
    assert drawn[1].axes[3].lines[0].get_ydata().tolist() == [0.5, 0.75]  # type: ignore[union-attr]
    assert drawn[0].axes[2].lines[0].get_ydata().tolist() == few.table["ssim"].tolist()[:2]  # type: ignore[union-attr]


def test_the_sheet_is_written(tmp_path: Path) -> None:
    plots.draw_contact_sheet(outcome("square"), "awgn", tmp_path / "contact.png")
    with Image.open(tmp_path / "contact.png") as picture:
        reds = np.all(np.asarray(picture.convert("RGB")) == (192, 0, 0), axis=2)
    assert reds.sum() > 500
