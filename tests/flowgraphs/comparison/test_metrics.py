"""Perceptual metrics in a comparison, through Python and through the command line."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from semlink.flowgraphs.comparison import Comparison, compare, plots
from semlink.neural.networks import DeepJSCC
from semlink.phy import metrics
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Codec, Link
from semlink.phy.metrics import perceptual
from semlink.phy.rng import image_rngs

COLUMNS = [f"{metric}{end}" for metric in ("st_lpips", "lpips") for end in ("", "_low", "_high")]
ST_LPIPS = pytest.mark.skipif(find_spec("stlpips_pytorch") is None, reason="the extra semlink[st-lpips] is missing")
LPIPS = pytest.mark.skipif(find_spec("torchmetrics") is None, reason="the extra semlink[lpips] is missing")

Command = Callable[..., tuple[int, str, str]]


def image(seed: int, side: int = 32) -> Tensor:
    small = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    shown = torch.nn.functional.interpolate(small, side, mode="bicubic").clamp(0, 1)
    return (shown * 255).round() / 255


def codecs() -> dict[str, Codec]:
    torch.manual_seed(0)
    return {"first": DeepJSCC(8, (4, 6)).eval(), "second": DeepJSCC(8, (4, 6)).eval()}


def name_trunk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AlexNet's trunk with random weights, taken for torchvision's by its SHA-256."""
    rng, state = torch.Generator().manual_seed(0), {}
    shapes = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))
    for name, shape in zip(perceptual.TRUNK_LAYERS, shapes, strict=True):
        state[f"{name}.weight"] = torch.randn(shape, generator=rng) / math.sqrt(math.prod(shape[1:]))
        state[f"{name}.bias"] = torch.zeros(shape[0])
    torch.save(state, folder / "trunk.pth")
    digest = hashlib.sha256((folder / "trunk.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(perceptual, "TRUNK_SHA256", digest[:8])
    monkeypatch.setenv("SEMLINK_LPIPS_TRUNK", str(folder / "trunk.pth"))


@pytest.fixture
def picture(tmp_path: Path) -> str:
    pixels = (image(0, 48)[0] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return str(tmp_path / "picture.png")


@ST_LPIPS
@LPIPS
def test_a_row_is_the_mean_over_images_and_realisations(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name_trunk(tmp_path, monkeypatch)
    images = {f"{i}": image(i, 32 if i < 2 else 40) for i in range(3)}
    channel, sent, both = Rayleigh("block"), codecs(), ("st-lpips", "lpips")
    got = compare(images, sent, channel, [10.0], realisations=4, seed=5, metrics=both)
    assert tuple(got.metrics) == both
    for row in got.table.to_dict(orient="records"):
        for metric, distance in (("st_lpips", metrics.st_lpips), ("lpips", metrics.lpips)):
            values = np.empty((3, 4))
            for i, one in enumerate(images.values()):
                for r in range(4):
                    rng = image_rngs(5, one, realisation=r)
                    received = Link(sent[row["codec"]], channel)(one, row["esno_db"], rng=rng).image
                    values[i, r] = distance(received, one)
            expected = metrics.bounded_mean(values)
            figures = [row[metric], row[f"{metric}_low"], row[f"{metric}_high"]]
            assert figures == pytest.approx([expected.value, expected.low, expected.high], rel=1e-4)
            assert expected.low < expected.value < expected.high


@ST_LPIPS
def test_order_batches_and_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = {f"{i}": image(i, 32 if i < 2 else 40) for i in range(3)}
    backwards = dict(reversed(list(images.items())))
    first = compare(images, codecs(), AWGN(), [5.0, 15.0], metrics=["st-lpips"], workers=1).table
    again = compare(backwards, codecs(), AWGN(), [5.0, 15.0], metrics=["st-lpips"], workers=2).table
    monkeypatch.setattr("semlink.flowgraphs.comparison.comparison.BATCH_PIXELS", 1)
    alone = compare(images, codecs(), AWGN(), [5.0, 15.0], metrics=["st-lpips"], workers=2).table
    assert first["st_lpips"].nunique() == 4
    pd.testing.assert_frame_equal(first[COLUMNS], again[COLUMNS], rtol=1e-4)
    pd.testing.assert_frame_equal(first[COLUMNS], alone[COLUMNS], rtol=1e-4)


@ST_LPIPS
def test_what_was_not_asked_for_or_is_too_small_is_empty() -> None:
    images = {"a": image(0), "b": image(1)}
    silent = compare(images, codecs(), AWGN(), [10.0])
    assert silent.table[COLUMNS].isna().all(axis=None)
    assert not silent.metrics
    asked = compare(images, codecs(), AWGN(), [10.0], realisations=2, metrics=["st-lpips"]).table
    assert np.isfinite(asked[COLUMNS[:3]]).all(axis=None)
    assert asked[COLUMNS[3:]].isna().all(axis=None)
    thin = compare({**images, "thin": image(2)[..., :20]}, codecs(), AWGN(), [10.0], metrics=["st-lpips"]).table
    assert thin[COLUMNS].isna().all(axis=None)
    assert np.isfinite(thin["psnr_db"]).all()


def test_what_cannot_be_measured_is_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(AWGN):
        def __call__(self, *_: object, **__: object) -> object:  # type: ignore[override]
            pytest.fail("it began to send")

    monkeypatch.delenv("SEMLINK_LPIPS_TRUNK", raising=False)
    with pytest.raises(ValueError, match="metric 'vmaf' must be one of: st-lpips, lpips"):
        compare({"a": image(0)}, codecs(), Silent(), [0.0], metrics=["vmaf"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="LPIPS: set SEMLINK_LPIPS_TRUNK"):
        compare({"a": image(0)}, codecs(), Silent(), [0.0], metrics=["lpips"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image a: 1 channels; st-lpips must have 3"):
        compare({"a": image(0)[:, :1]}, codecs(), Silent(), [0.0], metrics=["st-lpips"])  # type: ignore[arg-type]


@ST_LPIPS
def test_the_command_shows_it(run_semlink: Command, picture: str, tmp_path: Path) -> None:
    words = ["compare", picture, "--codec", "deepjscc", "--esno", "5,15", "--realisations", "2"]
    words += ["--metric", "st-lpips", "--metric", "st-lpips", "--out", str(tmp_path / "out")]
    status, printed, _ = run_semlink(*words)
    table = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert status == 0
    assert "ST-LPIPS (95 % interval); lower is better" in printed
    assert table["lpips"].isna().all()
    for value in table["st_lpips"]:
        assert value > 0
        assert f"{value:.4f} (" in printed
    status, printed, _ = run_semlink(*words, "--json")
    rows = json.loads(printed)["rows"]
    assert [row["st_lpips"] for row in rows] == pytest.approx(table["st_lpips"].tolist())
    assert [row["lpips"] for row in rows] == [None, None]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["vmaf"], "--metric 'vmaf' must be one of: st-lpips, lpips"),
        (["st-lpips"], "--metric st-lpips: ST-LPIPS: its weights are in another package: pip install"),
        (["lpips"], "--metric lpips: LPIPS: set SEMLINK_LPIPS_TRUNK to the path of torchvision's alexnet-owt-7be5be79"),
    ],
)
def test_a_metric_that_is_not_to_be_had_is_one_line(
    run_semlink: Command, given: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "semlink.flowgraphs.comparison.report.compare", lambda *_, **__: pytest.fail("it began to send")
    )
    monkeypatch.setattr(perceptual, "find_spec", lambda _: None)
    monkeypatch.delenv("SEMLINK_LPIPS_TRUNK", raising=False)
    perceptual._st_lpips_weights.cache_clear()
    words = [word for name in given for word in ("--metric", name)]
    status, printed, error = run_semlink("compare", *words, "--out", str(tmp_path / "out"))
    assert (status, printed) == (2, "")
    assert len(error.splitlines()) == 1
    assert said in error
    assert not (tmp_path / "out").exists()


def test_help_names_every_metric(run_semlink: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    _, told, _ = run_semlink("compare", "--help")
    for word in (*perceptual.METRICS, perceptual.TRUNK, perceptual.TRUNK_FILE):
        assert word in told


def a_comparison(st_lpips: list[float]) -> Comparison:
    ends = {
        f"{name}{end}": db for name, db in (("psnr_db", 30.0), ("psnr_mean_db", 31.0)) for end in ("", "_low", "_high")
    }
    distances = {"st_lpips": st_lpips, "st_lpips_low": [v - 0.1 for v in st_lpips], "st_lpips_high": st_lpips}
    counts = {"failed": 0, "images": 1, "realisations": 1, "lpips": math.nan, "ssim": math.nan, "ms_ssim": math.nan}
    table = pd.DataFrame({"codec": "some", "esno_db": [0.0, 10.0], **ends, **distances, **counts})
    return Comparison(table, {}, {}, {}, ("st-lpips", "lpips"))


@pytest.mark.parametrize(("values", "scale"), [([0.2, 0.05], "log"), ([0.2, 0.0], "linear")])
def test_the_figure_has_a_panel_for_what_was_measured(
    values: list[float], scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    class Kept(Figure):
        def savefig(self, *arguments: object, **options: object) -> None:
            drawn.append(self)
            super().savefig(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("matplotlib.figure.Figure", Kept)
    plots.draw_curves(a_comparison(values), "title", tmp_path / "compare.png")
    psnr, mean, st_lpips = drawn[0].axes  # all of lpips is empty: no panel
    assert psnr.get_ylabel().startswith("PSNR")
    assert mean.get_ylabel().startswith("mean of the images' PSNR")
    assert st_lpips.get_ylabel() == "ST-LPIPS, lower is better"
    assert st_lpips.get_yscale() == scale
    assert list(st_lpips.lines[0].get_ydata()) == values
    assert min(st_lpips.get_ylim()) > (0.01 if scale == "log" else -1)
    plots.draw_curves(Comparison(a_comparison(values).table, {}, {}, {}), "title", tmp_path / "compare.png")
    assert len(drawn[1].axes) == 2
