"""The comparison, through Python and through the command line."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from semlink.baselines.separate import SeparateCodec
from semlink.flowgraphs.comparison import COLUMNS, compare
from semlink.flowgraphs.specs import parse_esno, parse_ratio
from semlink.neural.networks import DeepJSCC
from semlink.phy import metrics
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Link
from semlink.phy.rng import image_rngs

DESIGN = [
    "codec",
    "channel",
    "csi",
    "esno_db",
    "ratio",
    "psnr_db",
    "psnr_mean_db",
    "ssim",
    "failed",
    "bler",
    "images",
    "realisations",
    "seed",
]

Command = Callable[..., tuple[int, str, str]]


def image(seed: int, side: int = 48) -> Tensor:
    small = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(small, side, mode="bicubic").clamp(0, 1)


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Three smooth images of two sizes as files."""
    paths = []
    for seed, side in enumerate((48, 48, 72)):
        pixels = (image(seed, side)[0] * 255).byte().permute(1, 2, 0).numpy()
        paths.append(str(tmp_path / f"picture{seed}.png"))
        Image.fromarray(pixels).save(paths[-1])
    return paths


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "semlink.flowgraphs", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.mark.slow
def test_the_command_writes_table_curves_and_pictures(pictures: list[str], tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = run(
        "compare", *pictures, "--esno", "4:24:10", "--mcs", "64qam-2/3", "--out", str(out), "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    table = pd.read_csv(out / "compare.csv")
    assert list(table.columns)[: len(DESIGN)] == DESIGN
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == len(printed["rows"]) == 12
    assert set(table["codec"]) == {"jpeg-ldpc-qam", "jpeg-ldpc-qam:adaptive", "deepjscc", "swin"}
    assert (table["ratio"] <= 1 / 6).all()
    assert (table["images"] == 3).all()
    assert (table["realisations"] == 2).all()
    digital = table[table["codec"] == "jpeg-ldpc-qam"].set_index("esno_db")
    assert digital.loc[4, "failed"] == 6
    assert digital.loc[24, "failed"] == 0
    assert digital.loc[4, "bler"] == 1
    assert digital.loc[24, "psnr_db"] > digital.loc[4, "psnr_db"] + 5
    assert printed["cliff_db"]["deepjscc"] is None
    assert printed["cliff_db"]["jpeg-ldpc-qam"] in ([4, 14], [4, 24], [14, 24])
    entropy_coded, whole_file = printed["notes"]["jpeg-ldpc-qam"]["source"]  # of 48×48 and of 72×72
    assert "entropy-coded" in entropy_coded
    assert "whole JPEG file" in whole_file
    assert len(list((out / "received").iterdir())) == 3 * 4 * 3
    for name in ("compare.png", "contact.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 400
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


def both(side: int = 32) -> dict[str, DeepJSCC | SeparateCodec]:
    torch.manual_seed(0)
    return {"digital": SeparateCodec(mcs="4qam-1/2"), "neural": DeepJSCC(8, (4, 6)).eval()}


def test_order_batches_and_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = {f"{i}": image(i, 32 if i < 3 else 40) for i in range(5)}
    backwards = dict(reversed(list(images.items())))
    condition = Rayleigh("block")
    first = compare(images, both(), condition, [5.0, 15.0], realisations=2, seed=3).table
    again = compare(backwards, both(), condition, [5.0, 15.0], realisations=2, seed=3, workers=2).table
    monkeypatch.setattr("semlink.flowgraphs.comparison.comparison.BATCH_PIXELS", 1)
    alone = compare(images, both(), condition, [5.0, 15.0], realisations=2, seed=3).table
    other = compare(images, both(), condition, [5.0, 15.0], realisations=2, seed=4).table
    pd.testing.assert_frame_equal(first, again, rtol=1e-4)
    pd.testing.assert_frame_equal(first, alone, rtol=1e-4)
    assert not math.isclose(first["psnr_db"].iloc[-1], other["psnr_db"].iloc[-1], rel_tol=1e-4)


def test_every_codec_meets_the_same_channel() -> None:
    met: list[Tensor] = []

    class Watching(Rayleigh):
        def __call__(self, symbols: Tensor, n0: float, *, rng: object) -> object:  # type: ignore[override]
            got = super().__call__(symbols, n0, rng=rng)  # type: ignore[arg-type]
            assert got.gain is not None
            met.append(got.gain)
            return got

    compare({"a": image(0, 32)}, both(), Watching(), [5.0, 15.0])  # type: ignore[arg-type]
    assert len(met) == 4
    assert all(torch.equal(gain, met[0]) for gain in met)


def test_a_row_is_what_link_and_metrics_say() -> None:
    images = {f"{i}": image(i, 170) for i in range(3)}
    codec, channel, rows = SeparateCodec(mcs="64qam-2/3"), Rayleigh("block"), []
    table = compare(images, {"digital": codec}, channel, [14.0], realisations=2, seed=5, pictures=[14.0])
    (row,) = table.table.to_dict(orient="records")
    for realisation in range(2):
        for one in images.values():
            got = Link(codec, channel)(one, 14.0, rng=image_rngs(5, one, realisation=realisation))
            assert got.block_errors is not None
            scores = [metrics.squared_error(got.image, one).item(), metrics.ssim(got.image, one)]
            scores += [metrics.ms_ssim(got.image, one), float(got.failed), int(got.block_errors) / got.blocks]
            rows.append(scores)
    errors, ssims, ms_ssims, failed, bler = zip(*rows, strict=True)
    assert 0 < sum(failed) < 6
    assert row["psnr_db"] == pytest.approx(metrics.to_db(sum(errors) / 6))
    assert row["psnr_mean_db"] == pytest.approx(sum(map(metrics.to_db, errors)) / 6)
    assert row["ssim"] == pytest.approx(sum(ssims) / 6)
    assert row["ms_ssim"] == pytest.approx(sum(ms_ssims) / 6)
    assert row["failed"] == sum(failed)
    assert row["bler"] == pytest.approx(sum(bler) / 6)
    assert row["bler_low"] < row["bler"] < row["bler_high"]
    assert math.isnan(row["psnr_db_low"])  # of six that a fade may lose no interval holds
    labels = ("rayleigh", "perfect", "block", "zf", 5)
    assert tuple(row[key] for key in ("channel", "csi", "coherence", "equaliser", "seed")) == labels
    assert set(table.pictures) == {(name, "digital", 14.0) for name in images}


def test_thin_and_perfect_images_are_figures_too() -> None:
    table = compare({"thin": image(0, 40)[:, :, :9]}, both(), AWGN(), [20.0], realisations=2).table
    assert table["ssim"].isna().all()
    grey = torch.full((1, 3, 64, 64), 128 / 255)
    row = compare({"grey": grey}, {"digital": SeparateCodec()}, AWGN(), [20.0], realisations=2).table.iloc[0]
    assert row["psnr_db"] == row["psnr_mean_db"] == math.inf


def test_an_error_in_a_worker_is_raised_and_stops_the_rest() -> None:
    class Broken(AWGN):
        def __call__(self, symbols: Tensor, n0: float, *, rng: object) -> object:  # type: ignore[override]
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        compare({"a": image(0, 32)}, both(), Broken(), [5.0] * 20)  # type: ignore[arg-type]


def test_nothing_to_compare_is_refused() -> None:
    condition = AWGN()
    with pytest.raises(ValueError, match="images is empty"):
        compare({}, both(), condition, [0.0])
    with pytest.raises(ValueError, match="esno_db is empty"):
        compare({"a": image(0)}, both(), condition, [])
    with pytest.raises(ValueError, match="realisations=0"):
        compare({"a": image(0)}, both(), condition, [0.0], realisations=0)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0:20:5", [0, 5, 10, 15, 20]), ("-2:1:0.5", [-2, -1.5, -1, -0.5, 0, 0.5, 1]), ("7", [7]),
        ("0:0.3:0.1", [0, 0.1, 0.2, 0.3]), ("1,4,10", [1, 4, 10]), ("3:3:1", [3]), ("0:5:2", [0, 2, 4]),
    ],
)  # fmt: skip
def test_esno_forms(text: str, values: list[float]) -> None:
    assert parse_esno(text) == values


@pytest.mark.parametrize("text", ["nan", "", "20:0:2", "0:20:0", "0:20:-1", "0:nan:2", "inf", "5,3", "5,5", "a:b:c",
                                  "0:20", "0:1e9:1e-9", "0:20:inf", "1,,2", "200"])  # fmt: skip
def test_bad_esno_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"--esno .*START:STOP:STEP"):
        parse_esno(text)


def test_ratios() -> None:
    assert parse_ratio("1/6") == 1 / 6
    assert parse_ratio("0.125") == 0.125
    assert parse_ratio("0.1666667") == 1 / 6
    for text in ("0", "-1/6", "2", "1/0", "nan", "1/6/2", "", "x"):
        with pytest.raises(ValueError, match="--ratio"):
            parse_ratio(text)


def bad_images(folder: Path) -> dict[str, Path]:
    files = {name: folder / f"{name}.png" for name in ("missing", "empty", "text", "cut", "pixel", "huge")}
    files["empty"].touch()
    files["text"].write_text("no image")
    Image.effect_noise((64, 64), 50).save(files["cut"])
    files["cut"].write_bytes(files["cut"].read_bytes()[:1000])
    Image.new("RGB", (1, 1)).save(files["pixel"])
    Image.new("1", (10_000, 10_000)).save(files["huge"])
    return files


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing", "missing.png: no such file"), ("empty", "the file is empty"), ("text", "not a readable image"),
        ("cut", "damaged"), ("pixel", "1x1|1×1"), ("huge", "100 megapixels; at most 16"),
    ],
)  # fmt: skip
def test_bad_images_end_in_one_line(run_semlink: Command, name: str, said: str, tmp_path: Path) -> None:
    path, out = bad_images(tmp_path)[name], tmp_path / "out"
    status, printed, error = run_semlink("compare", str(path), "--out", str(out))
    assert status == 2
    assert printed == ""
    assert len(error.splitlines()) == 1
    assert any(part in error for part in said.split("|"))
    assert str(path) in error
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--esno", "nan"], "--esno 'nan'"),
        (["--esno", ""], "--esno ''"),
        (["--esno", "20:0:2"], "--esno '20:0:2'"),
        (["--codec", "turbo"], "--codec 'turbo' must be one of: adjscc, deepjscc, deepjscc-plain-10, "),
        (["--codec", "deepjscc", "--codec", "deepjscc"], "more than once"),
        (["--channel", "moon"], "--channel: channel 'moon' must be one of: awgn, rayleigh"),
        (["--channel", "rayleigh", "--coherence", "0"], "coherence=0"),
        (["--channel", "rayleigh", "--csi", "half"], "csi=half must be one of: perfect, estimated, outdated, none"),
        (["--csi", "none"], "csi: the channel awgn has no such option; these have: rayleigh"),
        (["--mcs", "8psk-1/2"], "mcs='8psk-1/2' must be one of: 4qam-1/2"),
        (["--ratio", "1/7"], "ratio=0.142857 must be, for deepjscc, one of"),
        (["--ratio", "0"], "--ratio '0'"),
        (["--ratio", "1/9999", "--codec", "jpeg-ldpc-qam"], "ratio=0.00010001 is too small for an image of 256×256×3"),
        (["no-such-thing"], "no-such-thing: no such file or folder, nor one of the sets: samples"),
        (["cifar10:0"], "cifar10:0: the count must be 1"),
        (["samples", "samples"], "given more than once"),
        (["--ratio", "0.1667"], "ratio=0.1667 must be, for deepjscc, one of: 1/12, 1/6"),
        (["--seed", "-1"], "--seed -1 must be at least 0"),
        (["--realisations", "0"], "--realisations 0 must be at least 1"),
        (["--seed", "abc"], "'--seed'"),
        (["--snr", "3"], "--snr"),
        (["--channel", "rayleigh", "--coherence", "５"], "coherence=５ must be block, fast or a whole number"),
    ],
)
def test_bad_options_end_in_one_line(run_semlink: Command, arguments: list[str], said: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    status, printed, error = run_semlink("compare", *arguments, "--out", str(out))
    assert (status, printed) == (2, "")
    assert len(error.splitlines()) == 1
    assert said in error
    assert not out.exists()


def test_an_unwritable_folder_is_told_before_the_work(
    run_semlink: Command, pictures: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("semlink.flowgraphs.comparison.report.compare", lambda *a, **k: pytest.fail("it began to send"))
    for out in (tmp_path / "file", tmp_path / "file" / "out", Path("/proc/nothing/out")):
        status, _, error = run_semlink("compare", pictures[0], "--out", str(out))
        assert status == 2
        assert f"--out {out}: cannot be written" in error
        assert len(error.splitlines()) == 1


def test_an_error_midway_leaves_nothing(
    run_semlink: Command, pictures: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*arguments: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("semlink.flowgraphs.comparison.plots.draw_contact_sheet", full)
    out = tmp_path / "deep" / "out"
    words = ["compare", pictures[0], "--codec", "deepjscc", "--esno", "5", "--out", str(out)]
    status, _, error = run_semlink(*words)
    assert status == 2
    assert "No space left" in error
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("clash", ["contact.png", "received"])
def test_a_clash_with_what_is_there_is_told_before_the_work(
    run_semlink: Command, clash: str, pictures: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "semlink.flowgraphs.comparison.report.compare", lambda *_, **__: pytest.fail("it began to send")
    )
    out = tmp_path / "out"
    out.mkdir()
    (out / clash).touch() if clash == "received" else (out / clash).mkdir()
    status, _, error = run_semlink("compare", pictures[0], "--out", str(out))
    assert status == 2
    assert clash in error
    assert [path.name for path in out.iterdir()] == [clash]


def test_images_of_one_name_keep_their_pictures_apart(
    run_semlink: Command, tmp_path: Path, pictures: list[str]
) -> None:
    (tmp_path / "a").mkdir()
    shutil.copy(pictures[0], tmp_path / "a" / "x.png")
    shutil.copy(pictures[1], tmp_path / "x.png")
    words = ["compare", str(tmp_path / "a"), str(tmp_path / "x.png"), "--codec", "deepjscc", "--esno", "5"]
    for _ in range(2):  # the second run replaces the first's
        assert run_semlink(*words, "--out", str(tmp_path / "out"))[0] == 0
    assert len(list((tmp_path / "out" / "received").iterdir())) == 2
    again = run_semlink(*words[:3], str(tmp_path / "a" / ".." / "x.png"))
    assert again[0] == 2
    assert "more than once" in again[2]


@pytest.mark.slow
def test_ctrl_c_leaves_nothing(tmp_path: Path, pictures: list[str]) -> None:
    """In the middle of far more work than is waited for, in short steps."""
    work = [pictures[0], "--codec", "deepjscc", "--realisations", "100000", "--out", "out"]
    command = [sys.executable, "-m", "semlink.flowgraphs", "compare", *work]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            time.sleep(0.1)
            if (tmp_path / "out").exists():
                break
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "semlink: interrupted"
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_help_answers_without_the_heavy_imports(tmp_path: Path) -> None:
    code = "import sys; from semlink.flowgraphs import cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ})
    assert done.stdout.strip() == "False", done.stderr
    for command in ("compare", "train", "zoo", "bench"):
        told = run(command, "--help", cwd=tmp_path)
        assert told.returncode == 0
    assert "in dB" in run("compare", "--help", cwd=tmp_path).stdout


def test_a_comparison_begins_without_what_it_may_never_use() -> None:
    code = "import sys, semlink.flowgraphs.studies.workers as _; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"matplotlib", "scipy.optimize", "scipy.stats", "sionna", "torch._dynamo", "onnx", "distributed"}
    assert not heavy & set(done.stdout.split())


def test_a_warning_is_one_line_without_a_place_in_the_code(pictures: list[str], tmp_path: Path) -> None:
    words = ["compare", pictures[0], "--channel", "tdl-c:ds=3000ns", "--codec", "deepjscc", "--esno", "10"]
    words += ["--realisations", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "semlink.flowgraphs", *words, "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in done.stderr.splitlines() if "warning" in line.lower()]
    assert line.startswith("semlink: warning: cp=9 samples are")
    assert "peak-to-average power" in done.stdout
