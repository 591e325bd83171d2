"""What is measured on the way is what the card will show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.comparison import card_figures
from semlink.neural import zoo
from semlink.neural.training import Data, Settings, train
from semlink.neural.training.measuring import CHANNELS, Gauge
from semlink.neural.training.runlog import ESNO_DB
from semlink.phy.metrics import to_db


def test_channels_and_levels_are_the_cards() -> None:
    assert list(CHANNELS.values()) == list(card_figures.CONDITIONS.values())
    assert set(ESNO_DB) <= set(card_figures.ESNO_DB)
    two = Gauge(Settings("x", task="sft-2", model="sft", codec="zoo:swin"), None).channels
    assert list(two.values()) == list(card_figures.RECEIVER_CONDITIONS.values())


def test_the_log_has_what_the_weights_do_over_each_channel(
    tmp_path: Path, data: Data, tiny: Settings, log: Callable[[Path], list[dict[str, str]]]
) -> None:
    train(replace(tiny, validation=5), tmp_path, data=data)
    (row,) = [row for row in log(tmp_path) if row["psnr_db_at_10_db"]]
    model, images = zoo.load_run(tmp_path, "tiny"), data.validation.float() / 255
    curves = {name: card_figures.psnr_curve(model, channel, images, [0, 10]) for name, channel in CHANNELS.items()}
    for name, curve in curves.items():
        for level, psnr_db in curve.items():
            assert float(row[f"{name}_at_{level}_db"]) == pytest.approx(psnr_db, abs=0.05), (name, level)


def test_a_large_picture_counts_as_many_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from semlink.neural.training import runlog

    asked: list[int] = []

    def receive(image: torch.Tensor, _esno_db: float) -> torch.Tensor:
        asked.append(len(image))
        return image * 0

    images = torch.full((5, 3, 256, 256), 255, dtype=torch.uint8)
    assert runlog.validate(receive, images)[0] == pytest.approx(to_db(1.0))
    assert asked[:2] == [3, 2]
