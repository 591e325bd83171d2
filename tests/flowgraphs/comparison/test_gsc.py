"""GSC's figures and claims, the bench of receivers, and training behind a digital link."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from semlink.flowgraphs.bench import receivers as bench_receivers
from semlink.flowgraphs.comparison import Comparison, gsc
from semlink.flowgraphs.specs import frozen_codec
from semlink.neural.diffusion import zoo
from semlink.neural.training import Settings
from semlink.phy.channels import AWGN
from semlink.phy.metrics import METRICS, MissingWeightsError

SMALL = {"width": 4, "dim": 8, "blocks": [1, 1, 1, 1], "refinement": 0, "extractor_blocks": 1}

Command = Callable[..., tuple[int, str, str]]


def images(count: int = 3, side: int = 32) -> torch.Tensor:
    small = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(small, side, mode="bicubic").clamp(0, 1)


def needs_st_lpips() -> None:
    try:
        METRICS["st-lpips"].load()
    except MissingWeightsError:
        pytest.skip("the extra semlink[st-lpips] is missing")


def test_claims_are_judged_by_what_was_measured(shipped: Path) -> None:
    table = pd.DataFrame({"codec": ["swin+sft-swin", "deepjscc"], "esno_db": 15.0, "psnr_db": [33.0, 30.0]})
    outcome = Comparison(table, {}, {}, {})
    claim = gsc.CLAIMS[0]
    found = gsc.judge(claim, outcome, "swin+sft-swin")
    assert found.percent == pytest.approx(10)
    assert not found.holds
    assert gsc.judge(replace(claim, percent=9.9), outcome, "swin+sft-swin").holds
    distances = {
        ("st-lpips", name, 0.0): torch.tensor([[0.2], [0.4]]).numpy() * share
        for name, share in (("swin+sft-swin", 0.25), ("deepjscc", 1))
    }
    found = gsc.judge(
        gsc.CLAIMS[2], replace(outcome, distances=distances, metrics=("st-lpips",), table=table), table.codec[0]
    )
    assert found.percent == pytest.approx(-75)
    assert found.holds
    assert not gsc.judge(
        replace(gsc.CLAIMS[2], percent=-75.1), replace(outcome, distances=distances), table.codec[0]
    ).holds


def test_what_stands_beside_gsc(shipped: Path) -> None:
    assert gsc.default_gsc() == "swin+sft-swin"
    assert gsc.contestants("swin+sft-swin") == [
        "swin", "swin+cnn-swin", "swin+cddm-swin", "swin+sft-swin", "deepjscc", "jpeg-ldpc-qam",
        "jpeg-ldpc-qam:adaptive", "jpeg-ldpc-qam:adaptive+sft-jpeg",
    ]  # fmt: skip
    for path in shipped.glob("*"):
        path.unlink()
    with pytest.raises(ValueError, match="--gsc: none of sft-gsc, sft-swin ships"):
        gsc.default_gsc()
    with pytest.raises(ValueError, match="--gsc 'swin' must be CODEC"):
        gsc.contestants("swin")


@pytest.mark.parametrize("figure", [4, 5, 6])
def test_a_figure_of_the_paper(
    run_semlink: Command, figure: int, shipped: Path, picture: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    needs_st_lpips()
    monkeypatch.setattr(gsc, "contestants", lambda text: ["swin", text, "deepjscc"])
    words = ["gsc", "--figure", str(figure), "--images", picture, "--esno", "10", "--out", str(tmp_path / "out")]
    status, printed, error = run_semlink(*words, "--json")
    assert status == 0, error
    told = json.loads(printed)
    assert {Path(name).name for name in told["files"]} == {path.name for path in (tmp_path / "out").iterdir()}
    assert set(told["rows"]) == {"awgn", "rayleigh"}
    assert len(told["claims"]) == (0 if figure == 6 else 2)
    for one in told["claims"]:
        ahead = one["percent"] >= one["claim"]["percent"]
        assert one["holds"] is (ahead if figure == 4 else not ahead)
        assert math.isfinite(one["gsc"])
    status, printed, error = run_semlink(*words)
    assert ("GSC over DeepJSCC" in printed) is (figure != 6)


def test_bad_figures_are_refused(run_semlink: Command, shipped: Path, tmp_path: Path) -> None:
    for words, said in (
        (["--figure", "7"], "--figure 7 must be one of: 4, 5, 6"),
        (["--figure", "4", "--gsc", "swin"], "--gsc 'swin' must be CODEC+RECEIVER"),
        (["--figure", "4", "--gsc", "swin+x", "--images", "samples"], "receiver 'x' must be one of"),
        (["--figure", "4", "--esno", "x"], "--esno 'x'"),
        (["--figure", "4", "--realisations", "0"], "--realisations 0 must be at least 1"),
    ):
        status, printed, error = run_semlink("gsc", *words, "--out", str(tmp_path / "out"))
        assert (status, printed) == (2, "")
        assert said in error
        assert not (tmp_path / "out").exists()


def test_the_bench_tries_every_sampler(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert bench_receivers.ways("swin+sft-swin")[1:] == [
        *(f"swin+sft-swin:steps={steps},sampler=ddim" for steps in (1, 2, 3, 4)),
        "swin+sft-swin:steps=4,sampler=mean",
        "swin+sft-swin:steps=4,sampler=ancestral",
    ]
    assert bench_receivers.ways("swin+cnn-swin") == ["swin", "swin+cnn-swin"]
    assert bench_receivers.ways("swin+cddm-swin")[1] == "swin+cddm-swin:steps=1"
    for text in ("swin", "swin+cddm-swin+sft-swin", "swin+sft-swin:steps=1"):
        with pytest.raises(ValueError, match=r"must be CODEC\+RECEIVER, one receiver without options"):
            bench_receivers.ways(text)
    monkeypatch.setattr(bench_receivers, "ways", lambda text: ["swin", f"{text}:steps=1", text])
    rows = bench_receivers.measure_quality("swin+sft-swin", images(4), AWGN(), 5.0)
    assert [row.codec for row in rows] == ["swin", "swin+sft-swin:steps=1", "swin+sft-swin"]
    assert rows[0].margin_db == 0
    assert rows[1].margin_db == pytest.approx(rows[1].psnr_db - rows[0].psnr_db, abs=1e-6)
    assert rows[0].images_per_s > rows[2].images_per_s > 0
    bench_receivers.quality_table(rows, "title")


def test_the_sizes_are_those_of_the_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_receivers, "BATCH", 2)
    light, control = bench_receivers.measure_sizes(["sft", "residual-cnn"])
    assert light.parameters == pytest.approx(control.parameters, rel=0.03)
    assert light.megabytes == pytest.approx(4e-6 * light.parameters)
    assert min(light.images_per_s, control.images_per_s) > 0


def test_a_recipe_may_name_a_digital_codec() -> None:
    settings = Settings("x", "sft", SMALL, task="sft-1", codec="jpeg-ldpc-qam:adaptive")
    codec = frozen_codec(settings)
    assert codec is not None
    assert codec.encode(images(1), 0.1).symbols.shape == (1, 512)
    assert frozen_codec(replace(settings, codec="zoo:swin")) is None
    assert frozen_codec(replace(settings, codec="runs/x/x.safetensors")) is None
    assert frozen_codec(Settings("x", "swin")) is None
    with pytest.raises(ValueError, match="must not need the fades"):
        frozen_codec(replace(settings, codec="jpeg-ldpc-qam:genie"))
    with pytest.raises(ValueError, match="'nothing' must be one of: adjscc, deepjscc"):
        frozen_codec(replace(settings, codec="nothing"))


def test_the_command_trains_behind_a_digital_link(run_semlink: Command, picture: str, tmp_path: Path) -> None:
    """From a recipe alone; what comes out refines that link, and says so on its card."""
    network = "{width = 4, dim = 8, blocks = [1, 1, 1, 1], refinement = 0, extractor_blocks = 1}"
    recipe = tmp_path / "behind.toml"
    recipe.write_text(
        f'name = "behind"\ntask = "sft-2"\nmodel = "sft"\ncodec = "jpeg-ldpc-qam:adaptive"\nnetwork = {network}\n'
        "steps = 2\nbatch = 4\ngroups = 2\nphotographs = 8\nlarge_photographs = 0\nlarge_share = 0.0\n"
        'channels = ["awgn"]\nesno_db = [5, 15]\n'
    )
    words = ["train", str(recipe), "--out", str(tmp_path / "run"), "--images", str(Path(picture).parent)]
    status, printed, error = run_semlink(*words)
    assert status == 0, error
    weights = tmp_path / "run" / "behind.safetensors"
    assert zoo.find_receiver(weights)[0].codec == "jpeg-ldpc-qam:adaptive"
    name = f"jpeg-ldpc-qam:adaptive+{weights}:steps=1"
    words = ["compare", picture, "--codec", name, "--esno", "10", "--realisations", "1", "--out", str(tmp_path / "out")]
    status, printed, error = run_semlink(*words)
    assert status == 0, error
    assert "behind (sft, prior sampled in 1 of 4 steps by 'ddim'; trained behind jpeg-ldpc-qam:adaptive)" in printed


def test_a_task_codec_needs_no_frozen_codec() -> None:
    """`semlink train` asks for one before every training."""
    settings = Settings("x", "task", task="distil", teacher="tiniest", loss={"labels": 1.0})
    assert frozen_codec(settings) is None
