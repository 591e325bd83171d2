"""What a study is, what it refuses, and that its numbers are those of a comparison."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semlink.flowgraphs.comparison import compare
from semlink.flowgraphs.specs import load_images, make_channel, make_codecs
from semlink.flowgraphs.studies import Engine, Point, Stop, Study, read_study, run_study
from semlink.phy.channels import AWGN
from semlink.phy.sources import sample_images


def test_a_study_gives_what_compare_gives() -> None:
    study = Study(codecs=["deepjscc"], esno_db=[0, 10], channels=["rayleigh"], realisations=2)
    table = run_study(study, workers=0)
    channel = make_channel("rayleigh", coherence=None, csi=None, equaliser=None)
    images = load_images(["samples"])
    codecs = make_codecs(["deepjscc"], ratio=1 / 6, mcs="16qam-1/2", channel=channel)
    expected = compare(images, codecs, channel, [0, 10], realisations=2).table
    for name in ("psnr_db", "psnr_mean_db", "ssim", "ratio", "papr_db", "psnr_db_low", "images", "realisations"):
        np.testing.assert_allclose(table[name].astype(float), expected[name].astype(float), rtol=1e-5, err_msg=name)
    assert list(table["error"]) == ["", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("esno_db = [", "study.toml: "),
        ("codec = ['swin']", "codec must be among: images, codecs, channels"),
        ("codecs = []", "codecs is empty"),
        ("esno_db = []", "esno_db is empty"),
        ("esno_db = '5:0:1'", "START:STOP:STEP"),
        ("esno_db = ['a']", "must be numbers of dB"),
        ("codecs = [1]", "must be a list of texts"),
        ("codecs = ['swin', 'swin']", "has a value twice"),
        ("ratios = ['1/0']", "must be a number above 0"),
        ("ratios = [true]", "must be numbers, or texts"),
        ("channels = ['ether']", "ether"),
        ("realisations = 0", "realisations=0 must be a whole number from 1"),
        ("realisations = 5\nstop = {block_errors = 1, most = 2}", "stop.most=2 must be at least realisations=5"),
        ("stop = {psnr = 1}", "stop.psnr must be among: psnr_ci_db, block_errors, most"),
        ("stop = {psnr_ci_db = -1}", "stop.psnr_ci_db=-1 must be"),
        ("refine = {finest_db = 0}", "refine.finest_db=0 must be"),
        ("metrics = ['beauty']", "must be one of"),
        ("seed = 'x'", "seed='x' must be a whole number from 0"),
    ],
)
def test_bad_studies_are_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(ValueError) as caught:
        read_study(tmp_path / "study.toml")
    assert words in str(caught.value)


def test_bad_codecs_show_before_anything_is_sent(tmp_path: Path, small: Callable[..., Study]) -> None:
    for values, words in (
        ({"codecs": ["turbo"]}, "--codec 'turbo' must be one of"),
        ({"codecs": ["deepjscc"], "ratios": ["1/24"]}, "ratio=0.0416667 must be, for deepjscc"),
        ({"images": [str(tmp_path / "nothing")]}, "no such file or folder"),
    ):
        with pytest.raises(ValueError) as caught:
            run_study(small(**values), tmp_path / "out", workers=0)
        assert words in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_the_point_is_named_by_all_that_decides_it() -> None:
    points = Study(codecs=["swin", "deepjscc"], channels=["awgn", "rayleigh"], ratios=["1/6", "1/12"]).points()
    assert len({point.key for point in points}) == len(points) == 2 * 2 * 2 * 11
    assert Point("swin", "awgn", 1 / 6, 0.0).curve == Point("swin", "awgn", 1 / 6, 2.0).curve


def test_sample_images_and_awgn_are_what_a_study_sends_by_default() -> None:
    assert Study().size == 4 * 11
    assert len(sample_images()) == len(Engine(Study(codecs=["deepjscc"])).images)
    assert AWGN().labels["spec"] == "awgn"


def test_as_many_realisations_as_compare_unless_told(
    small: Callable[..., Study], run_semlink: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Four images: two realisations make more than 6 receptions over AWGN, eight more than 30 where there are fades."""
    study = small(channels=["awgn", "rayleigh"], esno_db=[6], realisations=None)
    table = run_study(study, workers=0)
    assert dict(zip(table["spec"], table["realisations"], strict=True)) == {"awgn": 2, "rayleigh": 8}
    code, out, _ = run_semlink(
        "compare", *study.images, "--codec", *study.codecs, "--channel", "rayleigh", "--esno", "6",
        "--ratio", "1/3", "--json", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert (row["realisations"], row["psnr_db"]) == (8, pytest.approx(table["psnr_db"][1]))
    few = run_study(replace(study, stop=Stop(psnr_ci_db=1e-9, most=5)), workers=0)
    assert list(few["realisations"]) == [5, 5]
