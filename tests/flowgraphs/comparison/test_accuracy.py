"""Codecs that classify, in tables, pictures, reports and studies: accuracy over Es/N0, each at its own ratio."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from semlink.flowgraphs.comparison import Score, compare, plots
from semlink.flowgraphs.comparison.accuracy import score
from semlink.flowgraphs.specs import Labels
from semlink.phy.channels import AWGN
from semlink.phy.link import Decoded, Frame, Received

CLASSES = 4
MODULE = f"""
import torch
from semlink.phy.link import Decoded, Frame

class Level:
    '''Sends one of {CLASSES} levels of brightness as one of as many phases.'''
    classes = {CLASSES}
    ignores_n0 = True
    def encode(self, image, n0):
        level = (image.mean(dim=(1, 2, 3)) * 3.999).long()
        return Frame(1j ** level[:, None].to(torch.complex64).repeat(1, 2), {{"payload": 2}})
    def decode(self, received):
        sums = received.symbols.sum(dim=1, keepdim=True)
        return Decoded((sums * torch.tensor([1, -1j, -1, 1j])).real)
"""


class Level:
    """Sends one of four levels of brightness as one of four phases, and shows nothing."""

    def encode(self, image: Tensor, n0: float) -> Frame:
        level = (image.mean(dim=(1, 2, 3)) * 3.999).long()
        return Frame(1j ** level[:, None].to(torch.complex64).repeat(1, 2), {"payload": 2})

    def decode(self, received: Received) -> Decoded:
        sums = received.symbols.sum(dim=1, keepdim=True)
        return Decoded((sums * torch.tensor([1, -1j, -1, 1j])).real)


IMAGES = {f"{i}": torch.full((1, 3, 16, 16), (i % CLASSES + 0.5) / CLASSES) for i in range(200)}
IMAGES = {name: image + 1e-4 * i * torch.ones_like(image) for i, (name, image) in enumerate(IMAGES.items())}
LABELS = Labels("abcd", {name: int(name) % CLASSES for name in IMAGES})


def test_accuracy_is_that_of_the_phases_and_has_an_exact_interval() -> None:
    table = compare(IMAGES, {"level": Level()}, AWGN(), [-3.0, 0.0, 40.0], labels=LABELS).table.set_index("esno_db")
    assert table["accuracy"][40.0] == 1
    for level in (-3.0, 0.0):
        # Two symbols of one phase of four: each axis, turned by 45 degrees, is wrong with probability Q(sqrt(2 Es/N0)).
        axis = stats.norm.sf(math.sqrt(2 * 10 ** (level / 10)))
        expected = (1 - axis) ** 2
        assert abs(table["accuracy"][level] - expected) < 4 * math.sqrt(expected * (1 - expected) / len(IMAGES))
    right = round(200 * table["accuracy"][0.0])
    exact = stats.binomtest(right, 200).proportion_ci(0.95, "exact")
    assert (table["accuracy_low"][0.0], table["accuracy_high"][0.0]) == pytest.approx((exact.low, exact.high))
    assert table[["psnr_db", "psnr_mean_db", "ssim", "top5"]].isna().all(axis=None)
    assert table["ratio"].iloc[0] == pytest.approx(2 / (3 * 16**2))
    assert set(table["images"]) == {200}


def test_top5_is_told_from_a_hundred_classes_on() -> None:
    logits = torch.arange(100.0).repeat(3, 1)  # the likeliest first: 99, 98, 97, 96, 95
    counted = score(logits, [99, 95, 94], 100)
    assert counted == Score(3, 1, 2, 100)
    assert counted.columns()["top5"] == pytest.approx(2 / 3)
    assert math.isnan(score(logits[:, :10], [9, 5, 4], 10).columns()["top5"])


def test_images_and_classes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"level at 5 dB: logits \(200, 4\), and images without labels; give cifar10"):
        compare(IMAGES, {"level": Level()}, AWGN(), [5.0])
    five = Labels("abcde", LABELS.of)
    with pytest.raises(ValueError, match=r"level at 5 dB: logits of 4 classes; the images are of 5"):
        compare(IMAGES, {"level": Level()}, AWGN(), [5.0], labels=five)
    said = Level()
    said.classes = 4  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"--codec level: tells 4 classes apart; the images are of 5: give a teacher"):
        compare(IMAGES, {"level": said}, AWGN(), [5.0], labels=five)


@pytest.fixture
def shades(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shading.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate("abcd"):
        (tmp_path / "shades" / name).mkdir(parents=True)
        for j in range(3):
            level = round(255 * (i + 0.4 + 0.1 * j) / CLASSES)
            Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(tmp_path / "shades" / name / f"{j}.png")
    return tmp_path


def test_one_comparison_of_both_kinds(shades: Path, run_semlink: Callable[..., tuple[int, str, str]]) -> None:
    words = ["--codec", "shading:Level", "--codec", "deepjscc", "--esno", "30,40", "--out", "out"]
    status, out, err = run_semlink("compare", "shades", *words)
    assert status == 0, err
    assert "accuracy in % (95 % interval)" in out
    assert "100.0 (73.5 … 100.0)" in out
    assert "shading:Level: ratio 1/384 of channel uses per image value" in out
    assert "PSNR in dB" in out
    table = pd.read_csv("out/compare.csv").set_index("codec")
    assert (table.loc["shading:Level", "accuracy"] == 1).all()
    assert table.loc["deepjscc", "accuracy"].isna().all()
    record = json.loads(Path("out/compare.json").read_text())
    assert {one["codec"] for one in record["pictures"]} == {"deepjscc"}
    assert run_semlink("figure", "out", "--out", "a.svg", "--quantity", "accuracy")[0] == 0
    assert "shading:Level, ratio 1/384" in Path("a.svg").read_text()
    assert run_semlink("report", "out")[0] == 0
    assert "share of images whose class was the likeliest one" in Path("report.html").read_text()


def test_where_nothing_shows_images_there_is_no_contact_sheet(
    shades: Path, run_semlink: Callable[..., tuple[int, str, str]]
) -> None:
    Path("out").mkdir()
    Path("out/contact.png").write_bytes(b"of an earlier run")
    words = ["--codec", "shading:Level", "--esno", "0", "--out", "out"]
    status, out, err = run_semlink("compare", "shades", *words, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["rows"][0]["psnr_db"] is None
    assert 0 <= told["rows"][0]["accuracy_low"] <= told["rows"][0]["accuracy"] <= 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["compare.csv", "compare.json", "compare.png"]
    status, _, err = run_semlink("compare", "samples", *words)
    assert status == 2
    assert "tells classes apart, and the images have no label; give cifar10:COUNT" in err


def test_a_study_of_accuracies(shades: Path, run_semlink: Callable[..., tuple[int, str, str]]) -> None:
    study = 'images = ["shades"]\ncodecs = ["shading:Level"]\nesno_db = [-5, 30]\nrealisations = 3\n'
    Path("study.toml").write_text(study)
    status, _, err = run_semlink("sweep", "study.toml", "--out", "results", "--workers", "0")
    assert status == 0, err
    table = pd.read_parquet("results/table.parquet")
    assert list(table["error"]) == ["", ""]
    assert table["accuracy"].iloc[1] == 1
    assert table["accuracy"].iloc[0] < 1
    exact = stats.binomtest(36, 36).proportion_ci(0.95, "exact")
    assert table["accuracy_low"].iloc[1] == pytest.approx(exact.low)  # three realisations of twelve images
    Path("study.toml").write_text(study.replace("shades", "samples"))
    status, _, err = run_semlink("sweep", "study.toml", "--out", "other", "--workers", "0")
    assert status == 2
    assert "the images have no label" in err


def test_the_legend_of_accuracies_states_the_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    seen: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: seen.append(figure))
    plots.draw_curves(compare(IMAGES, {"level": Level()}, AWGN(), [0.0, 5.0], labels=LABELS), "", tmp_path / "a.png")
    (axes,) = seen[0].axes
    assert axes.get_legend_handles_labels()[1] == ["level, ratio 1/384"]
    assert axes.get_ylabel() == "accuracy (%)"
