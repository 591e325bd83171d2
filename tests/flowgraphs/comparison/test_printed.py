"""Accuracies that others have printed stand in tables and pictures as what they are."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.axes import Axes

from semlink.flowgraphs.comparison import compare, plots
from semlink.flowgraphs.comparison.cells import by_codec, share_cell
from semlink.flowgraphs.comparison.report import add_published
from semlink.flowgraphs.specs import PRINTED, Labels, published_curves
from semlink.neural.classifiers import LabelCodec, load_teacher
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.sources import cifar10


def test_the_printed_curve_is_added_at_its_own_ratio_and_levels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {f"{i}": image for i, image in enumerate(torch.split(cifar10("test")[:4], 1))}
    labels = Labels([f"{i}" for i in range(10)], {name: int(name) for name in images})
    found = compare(images, {"label": LabelCodec(load_teacher("tiniest"))}, AWGN(), [0.0, 5.0], labels=labels)
    table = add_published(found.table, ["rkd-sc"], 1 / 6)
    rows = table[table["codec"] == "published:rkd-sc"].set_index("esno_db")
    assert rows.index.tolist() == list(range(-10, 25, 2))
    assert (rows.loc[-10, "accuracy"], rows.loc[24, "accuracy"]) == (0.268, 0.713)  # the first and the last printed
    assert rows["accuracy"].is_monotonic_increasing or rows["accuracy"].diff().min() > -0.002
    assert rows["ratio"].unique() == pytest.approx([256 / 150528])
    assert rows["accuracy_low"].isna().all()
    assert math.isnan(rows.loc[0, "psnr_db"])
    shown = by_codec(replace(found, table=table), "title", partial(share_cell, "accuracy"))
    columns = [list(column.cells) for column in shown.columns]
    assert columns[0] == [f"{level:g}" for level in sorted({*range(-10, 25, 2), 0, 5})]
    assert columns[1].count("–") == 17  # measured at 0 and 5 dB
    assert columns[2].count("–") == 1  # and nothing was printed at 5 dB
    assert columns[2][0] == "26.8"
    said = []
    plain = Axes.plot

    def plot(self: Axes, x: Any, y: Any, style: str, **given: Any) -> Any:  # noqa: ANN401
        said.append((style, given.get("label")))
        return plain(self, x, y, style, **given)

    monkeypatch.setattr(Axes, "plot", plot)
    plots.draw_curves(replace(found, table=table), "title", tmp_path / "a.png")
    assert (":", "published:rkd-sc, ratio 1/588, printed elsewhere, prepared otherwise") in said
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_it_is_drawn_where_it_was_printed_alone() -> None:
    assert published_curves(["label:x", "published:rkd-sc"], ["cifar100:500"], channel=AWGN()) == ["rkd-sc"]
    for words, channel in ((["cifar10"], AWGN()), (["cifar100"], Rayleigh("block")), ([], AWGN())):
        with pytest.raises(ValueError, match="published for the set cifar100, and drawn on awgn alone"):
            published_curves(["published:rkd-sc"], words, channel=channel)
    with pytest.raises(ValueError, match=r"must be one of: .*rkd-sc"):
        published_curves(["published:rkd"], ["cifar100"], channel=AWGN())
    assert all(len(one.esno_db) == len(one.accuracy) for one in PRINTED.values())
