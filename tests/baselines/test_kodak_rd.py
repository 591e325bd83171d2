"""The shipped curves against CompressAI's files, and the interpolation against figures worked out by other means."""

from __future__ import annotations

import json
import math
import os
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from semlink.baselines import kodak_rd
from semlink.baselines.capacity import shannon
from semlink.baselines.kodak_rd import curve, kodak_psnr_at_capacity, names, psnr_at

NAMES = ("jpeg", "jpeg2000", "webp", "bpg", "hm", "vtm", "av1", "elic", "cheng2020")
SHIPPED = resources.files("semlink.baselines") / "data" / "kodak_rd.json"
FOLDER = Path(os.environ.get("SEMLINK_DATA", "")) / "kodak_rd"
needs_data = pytest.mark.skipif(
    "SEMLINK_DATA" not in os.environ or not FOLDER.is_dir(), reason="SEMLINK_DATA/kodak_rd: no such folder"
)


def write_results(folder: Path) -> None:
    """Files as CompressAI's, of two points each, by falling rate."""
    for file in kodak_rd.FILES.values():
        results = {"bpp": [2.0, 0.5], "psnr-rgb": [38.123456, 30.0], "encoding_time": [1.0, 2.0]}
        (folder / file).write_text(json.dumps({"name": "x", "results": results}))


# PSNR in dB at 1, 4, 7, 10 and 13 dB and ratio 1/16 with Shannon's capacity, from a survey made independently.
AT_CAPACITY = {
    "jpeg": (math.nan, 26.8, 28.8, 30.3, 31.5),
    "bpg": (29.85, 31.5, 33.2, 34.6, 36.0),
    "vtm": (30.8, 32.6, 34.2, 35.8, 37.1),
    "elic": (31.15, 32.9, 34.5, 36.05, 37.4),
}
TWO_DB_AWAY = {"bpg": (28.6, 30.4, 32.05, 33.7, 35.0), "vtm": (29.7, 31.4, 33.2, 34.8, 36.25)}
ESNO_DB = np.array([1.0, 4.0, 7.0, 10.0, 13.0])


@pytest.mark.parametrize("name", AT_CAPACITY)
def test_psnr_at_capacity_is_that_of_the_survey(name: str) -> None:
    np.testing.assert_allclose(kodak_psnr_at_capacity(name, 1 / 16, shannon(ESNO_DB)), AT_CAPACITY[name], atol=0.1)


@pytest.mark.parametrize("name", TWO_DB_AWAY)
def test_psnr_two_decibels_from_capacity_is_that_of_the_survey(name: str) -> None:
    found = kodak_psnr_at_capacity(name, 1 / 16, shannon(ESNO_DB - 2))
    np.testing.assert_allclose(found, TWO_DB_AWAY[name], atol=0.1)


def test_names_are_those_of_the_file() -> None:
    assert names() == NAMES
    shipped = json.loads(SHIPPED.read_text())
    assert tuple(shipped["curves"]) == NAMES
    assert "CompressAI" in shipped["source"]
    assert "BSD-3-Clause-Clear" in shipped["source"]


@pytest.mark.parametrize("name", NAMES)
def test_curves_rise(name: str) -> None:
    points = curve(name)
    for values in (
        (points.bpp, points.psnr_db) if points.ms_ssim is None else (points.bpp, points.psnr_db, points.ms_ssim)
    ):
        assert values.shape == points.bpp.shape
        assert bool((np.diff(values) > 0).all())
        assert not values.flags.writeable
    assert (points.ms_ssim is None) == (name == "elic")
    assert 0.04 < points.bpp[0] < points.bpp[-1] < 5


@pytest.mark.parametrize("name", NAMES)
def test_psnr_at_the_published_rates_is_the_published_one(name: str) -> None:
    points = curve(name)
    np.testing.assert_allclose(psnr_at(name, points.bpp), points.psnr_db, atol=1e-9)


def test_between_two_points_it_is_linear_in_the_logarithm() -> None:
    points = curve("bpg")
    middle = math.sqrt(float(points.bpp[2] * points.bpp[3]))
    assert float(psnr_at("bpg", middle)) == pytest.approx(float(points.psnr_db[2:4].mean()), abs=1e-9)
    assert psnr_at("bpg", [[0.2, 0.3]]).shape == (1, 2)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_extrapolated(name: str) -> None:
    points = curve(name)
    outside = [0.0, float(points.bpp[0]) * 0.999, float(points.bpp[-1]) * 1.001, math.inf, math.nan, -1.0]
    assert bool(np.isnan(psnr_at(name, outside)).all())


def test_bits_per_pixel_are_three_times_the_ratio() -> None:
    assert float(kodak_psnr_at_capacity("vtm", 1 / 6, 2.0)) == float(psnr_at("vtm", 1.0))


@needs_data
def test_the_shipped_file_is_what_the_command_makes(tmp_path: Path) -> None:
    kodak_rd.main([str(FOLDER), "--out", str(tmp_path / "made.json")])
    assert (tmp_path / "made.json").read_text() == SHIPPED.read_text()


def test_the_command_sorts_rounds_and_leaves_out(tmp_path: Path) -> None:
    write_results(tmp_path)
    kodak_rd.main([str(tmp_path), "--out", str(tmp_path / "made.json")])
    made = json.loads((tmp_path / "made.json").read_text())
    assert tuple(made["curves"]) == NAMES
    assert made["curves"]["webp"] == {"bpp": [0.5, 2.0], "psnr-rgb": [30.0, 38.1235]}
    (tmp_path / kodak_rd.FILES["hm"]).unlink()
    with pytest.raises(OSError, match=r"kodak_hm\.json"):
        kodak_rd.collect(tmp_path)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="name='BPG' must be one of: jpeg, jpeg2000, webp, bpg"):
        psnr_at("BPG", 1.0)
    for ratio in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"ratio={ratio} must be above 0"):
            kodak_psnr_at_capacity("bpg", ratio, 1.0)
