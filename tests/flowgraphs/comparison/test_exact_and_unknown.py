"""What is exact, what is unknown, what failed and what is no number are told apart, in print and in JSON."""

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

from semlink.flowgraphs.comparison import check_codec, compare, psnr_cell
from semlink.flowgraphs.comparison.cells import mean_psnr_cell
from semlink.flowgraphs.comparison.receiver_report import cell
from semlink.flowgraphs.specs import codecs
from semlink.flowgraphs.studies import Study, run_study
from semlink.phy.channels import AWGN
from semlink.phy.documents import for_json
from semlink.phy.link import Decoded, Frame, Received, normalise_power
from semlink.phy.metrics import Estimate

Command = Callable[..., tuple[int, str, str]]


class Lost:
    """A codec whose decoder returns what is no number for every image but the first of a batch."""

    ratio = 1 / 3
    value = math.nan

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        """Pairs of pixels as symbols."""
        pairs = image.flatten(1).unflatten(1, (-1, 6))[..., :2].contiguous()
        return Frame(normalise_power(torch.view_as_complex(pairs)), {"payload": image[0].numel() // 6})

    def decode(self, received: Received) -> Decoded:
        """Nothing."""
        assert received.image_shape is not None
        image = torch.full((len(received.symbols), *received.image_shape), 0.5)
        image[1:, 0, 0, 0] = self.value
        return Decoded(image)


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> None:
    made = codecs._make_codec
    monkeypatch.setattr(codecs, "_make_codec", lambda name, **rest: Lost() if name == "lost" else made(name, **rest))


@pytest.fixture
def grey(tmp_path: Path) -> str:
    """A picture of mid-grey, which is what is shown of it where nothing arrives."""
    Image.fromarray(np.full((16, 16, 3), 128, np.uint8)).save(tmp_path / "grey.png")
    return str(tmp_path / "grey.png")


def row(**values: float) -> pd.Series:
    ends = {"psnr_db": 30.0, "psnr_db_low": 29.0, "psnr_db_high": 31.0, "psnr_mean_db": 32.0}
    return pd.Series(ends | {"failed": 0, "images": 2, "realisations": 3} | values)


def test_a_cell_tells_exact_from_unknown_and_counts_what_failed() -> None:
    exact = dict.fromkeys(("psnr_db", "psnr_db_low", "psnr_db_high", "psnr_mean_db"), math.inf)
    unknown = dict.fromkeys(("psnr_db", "psnr_db_low", "psnr_db_high"), math.nan)
    assert psnr_cell(row(failed=2)) == "30.00 (29.00 … 31.00), 2/6 failed"
    assert psnr_cell(row(**exact)) == "∞"
    assert psnr_cell(row(**exact, failed=6)) == "∞, 6/6 failed"
    assert psnr_cell(row(**unknown)) == "–"
    assert psnr_cell(row(**unknown, failed=1)) == "–, 1/6 failed"
    ends = {"psnr_mean_db_low": math.nan, "psnr_mean_db_high": math.nan}
    assert mean_psnr_cell(row(**unknown, **ends)) == "32.00"
    assert mean_psnr_cell(row(psnr_mean_db_low=31.0, psnr_mean_db_high=33.0)) == "32.00 (31.00 … 33.00)"
    assert mean_psnr_cell(row(**ends | {"psnr_mean_db": math.inf})) == "∞"
    assert mean_psnr_cell(row(**ends | {"psnr_mean_db": math.nan})) == "–"
    assert cell(Estimate(-math.inf, math.nan, math.nan)) == "-∞"


def test_json_tells_infinite_from_unknown() -> None:
    told = for_json({"a": math.inf, "b": {"c": -math.inf, "d": math.nan}, "e": 1.5, "f": "x", "g": 2})
    assert told == {"a": "Infinity", "b": {"c": "-Infinity", "d": None}, "e": 1.5, "f": "x", "g": 2}
    assert float(told["a"]) == math.inf
    json.dumps(told, allow_nan=False)


def test_an_exact_image_is_a_figure_on_the_command_line(run_semlink: Command, grey: str, tmp_path: Path) -> None:
    given = ("compare", grey, "--codec", "jpeg-ldpc-qam", "--esno", "-5,20", "--out", str(tmp_path / "out"))
    status, told, _ = run_semlink(*given, "--json")
    assert status == 0
    failing, arriving = json.loads(told)["rows"]
    for one in (failing, arriving):
        assert one["psnr_db"] == one["psnr_db_low"] == one["psnr_mean_db"] == "Infinity"
        assert one["ms_ssim"] is None
        assert one["psnr_mean_db_low"] is None
    assert (failing["failed"], arriving["failed"]) == (6, 0)
    _, told, _ = run_semlink(*given)
    assert "∞, 6/6 failed" in told
    assert "–" not in told


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_an_error_of_that_codec(
    value: float, lost: None, run_semlink: Command, grey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lost, "value", value)
    images = {name: torch.full((1, 3, 12, 12), level) for name, level in (("a", 0.2), ("b", 0.4), ("c", 0.6))}
    said = r"lost at 5 dB: decoded image holds values that are not finite \(2 of 3 images\)"
    with pytest.raises(ValueError, match=said):
        compare(images, {"lost": Lost()}, AWGN(), [5.0])
    found = {one.what: one for one in check_codec(Lost())}
    assert found["decode"].good is False
    folder = tmp_path / "two"
    folder.mkdir()
    for level in (80, 255):
        Image.fromarray(np.full((12, 12, 3), level, np.uint8)).save(folder / f"{level}.png")
    status, _, told = run_semlink(
        "compare", str(folder), "--codec", "lost", "--esno", "5", "--out", str(tmp_path / "o")
    )
    assert status == 2
    assert "semlink: error: lost at 5 dB: decoded image holds values" in told
    study = Study(images=[str(folder)], codecs=["lost", "jpeg-ldpc-qam"], esno_db=[5], ratios=["1/3"])
    table = run_study(study, workers=0).set_index("codec")
    assert "decoded image holds values that are not finite" in table.loc["lost", "error"]
    assert table.loc["jpeg-ldpc-qam", "error"] == ""
