"""Receivers by name and by path: in the zoo and in comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from semlink.flowgraphs.comparison import card_figures as measure
from semlink.flowgraphs.comparison import compare, receiver_margins, report, spreads
from semlink.flowgraphs.specs import make_codecs, split_codec
from semlink.neural import zoo as codec_zoo
from semlink.neural.diffusion import SFT, Denoised, Refined, ResidualCNN, build_receiver, zoo
from semlink.neural.diffusion.receivers import TOPIC
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Codec, InformedCodec

SMALL = {"width": 4, "dim": 8, "blocks": [1, 1, 1, 1], "refinement": 0, "extractor_blocks": 1}
NAMES = ["cddm-swin", "cnn-swin", "sft-jpeg", "sft-swin"]
"""What the fixture `shipped` holds."""

Command = Callable[..., tuple[int, str, str]]


def images(count: int = 3, side: int = 32) -> torch.Tensor:
    small = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(small, side, mode="bicubic").clamp(0, 1)


def make(name: str, channel: Any = None) -> Codec | InformedCodec:  # noqa: ANN401
    return make_codecs([name], ratio=1 / 6, mcs="4qam-1/2", channel=AWGN() if channel is None else channel)[name]


@pytest.mark.parametrize("name", zoo.receiver_names())
def test_every_card_that_ships_is_true(name: str) -> None:
    card, path = zoo.find_receiver(name)
    tensors = load_file(path)
    assert card.name == name
    assert card.sha256 == codec_zoo.sha256(path)
    assert path.stat().st_size <= 12_000_000
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    assert (Path(__file__).parents[3] / "neural" / "recipes" / f"{name}.toml").is_file()
    assert f"neural/recipes/{name}.toml" in card.command
    assert set(card.figures) == set(measure.RECEIVER_CONDITIONS)
    for curves in card.figures.values():
        assert list(curves["psnr_db"]) == [f"{level:g}" for level in measure.RECEIVER_ESNO_DB]
        assert all(curves["margin_db_low"][at] <= curves["margin_db"][at] for at in curves["margin_db"])


def test_receivers_load_by_name_and_by_path(shipped: Path) -> None:
    assert zoo.receiver_names() == NAMES
    by_name, by_path = zoo.load_receiver("sft-swin"), zoo.load_receiver(shipped / "sft-swin.safetensors")
    assert isinstance(by_name, SFT)
    assert isinstance(by_path, SFT)
    for one, other in zip(by_name.state_dict().values(), by_path.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert not by_name.training
    assert isinstance(zoo.load_receiver(str(shipped / "cnn-swin.safetensors")), ResidualCNN)
    assert zoo.find_receiver("sft", codec="jpeg-ldpc-qam:adaptive")[0].name == "sft-jpeg"
    assert zoo.find_receiver("sft", codec="swin")[0].name == "sft-swin"
    card = json.loads((shipped / "sft-swin.json").read_text())
    (shipped / "sft-gsc.json").write_text(json.dumps({**card, "name": "sft-gsc", "codec": "zoo:swin-gsc"}))
    assert zoo.find_receiver("sft", codec="swin-gsc")[0].name == "sft-gsc"
    assert zoo.find_receiver("sft", codec="swin")[0].name == "sft-swin"


def test_what_is_no_receiver_is_refused(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'sft' must be one of: cddm-swin, .*sft-swin; or a weights file"):
        zoo.load_receiver("sft")
    with pytest.raises(ValueError, match=r"none.safetensors: the weights file or its card none.json is missing"):
        zoo.load_receiver(tmp_path / "none.safetensors")
    data = bytearray((shipped / "sft-swin.safetensors").read_bytes())
    data[-1] ^= 1
    (shipped / "sft-swin.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match="SHA-256 differs"):
        zoo.load_receiver("sft-swin")
    (shipped / "cnn-swin.json").write_text("{}")
    with pytest.raises(ValueError, match=r"cnn-swin.json: not the card of a receiver"):
        zoo.load_receiver(shipped / "cnn-swin.safetensors")
    for path in shipped.iterdir():
        path.unlink()
    assert zoo.receiver_cards() == {}
    with pytest.raises(ValueError, match="this version ships none"):
        zoo.load_receiver("sft-swin")


def test_names_become_receivers(shipped: Path) -> None:
    refined = make("swin+sft-swin")
    assert isinstance(refined, Refined)
    assert isinstance(refined.refiner, SFT)
    assert (refined.refiner.sampler, refined.refiner.sampling_steps, refined.seed) == ("mean", None, 0)
    few = make("swin+sft-swin:steps=1,seed=3")
    assert isinstance(few, Refined)
    assert isinstance(few.refiner, SFT)
    assert (few.refiner.sampler, few.refiner.sampling_steps, few.seed) == ("ddim", 1, 3)
    denoised = make("swin+cddm-swin:steps=5")
    assert isinstance(denoised, Denoised)
    assert denoised.steps == 5
    both = make(f"swin+cddm-swin+{shipped / 'sft-swin.safetensors'}:sampler=ancestral")
    assert isinstance(both, Refined)
    assert isinstance(both.codec, Denoised)
    note = both.encode(images(1), 0.1).notes[TOPIC]
    assert "cddm-swin (cddm, 1 step; trained behind swin); then sft-swin (sft, prior sampled in 4 of 4 steps" in note
    other = make("deepjscc+cnn-swin").encode(images(1), 0.1)
    assert other.notes[TOPIC] == "cnn-swin (residual-cnn, no sampling; trained behind swin, not behind deepjscc)"
    genie = make("jpeg-ldpc-qam:genie+sft-jpeg", Rayleigh("block"))
    assert isinstance(genie, InformedCodec)
    assert split_codec("a+b:steps=1")[0] == "a"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("swin+sft-swim", "--codec swin+sft-swim: receiver 'sft-swim' must be one of: cddm-swin"),
        ("swin+none.safetensors", "receiver none.safetensors: the weights file or its card none.json is missing"),
        ("swin+", "a part is empty; give CODEC+RECEIVER"),
        ("swim+sft-swin", "--codec swim+sft-swin: 'swim' (did you mean 'swin'?) must be one of: adjscc, deepjscc"),
        ("swin+sft-swin:steps=0", "steps=0 must be from 1 to the schedule's 4"),
        ("swin+sft-swin:steps=5", "steps=5 must be from 1 to the schedule's 4"),
        ("swin+sft-swin:steps=2,sampler=mean", "fewer take sampler='ddim'"),
        ("swin+sft-swin:sampler=heun", "sampler='heun' must be one of: mean, ancestral, ddim"),
        ("swin+sft-swin:steps=one", "steps=one must be a whole number"),
        ("swin+sft-swin:steps=1,steps=2", "options must be NAME=VALUE,NAME=VALUE, each once"),
        ("swin+sft-swin:t=1", "a sft: option 't': must be among: steps, sampler, seed"),
        ("swin+cnn-swin:steps=1", "a residual-cnn: option 'steps': it has none"),
        ("swin+cddm-swin:steps=0", "steps=0 must be from 1 to 100"),
        ("swin+cddm-swin:steps=101", "steps=101 must be from 1 to 100"),
        ("jpeg-ldpc-qam+cddm-swin", "codec SeparateCodec must be a neural one"),
        ("deepjscc+cddm-swin", "codec has 8 symbols a cell; the denoiser was built for 16"),
        ("swin+sft-swin+cddm-swin", "codec Refined must be a neural one"),
    ],
)
def test_bad_receivers_end_in_one_line(
    run_semlink: Command, name: str, said: str, shipped: Path, picture: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, printed, error = run_semlink("compare", picture, "--codec", name, "--out", str(out))
    assert (status, printed) == (2, "")
    assert len(error.splitlines()) == 1
    assert said in error
    assert not out.exists()


def test_a_refiner_of_other_images_is_told_before_anything_is_sent(shipped: Path) -> None:
    """Another channel count, and a side below what the restorer halves: when the image is encoded."""
    grey = build_receiver("sft", SMALL | {"channels": 1}).eval()
    assert isinstance(grey, SFT)
    with pytest.raises(ValueError, match="image with 3 channels: the refiner takes 1"):
        Refined(make("swin"), grey).encode(images(1), 0.1)
    refined = make("swin+sft-swin")
    assert isinstance(refined, Refined)
    least = refined.refiner.least_side
    with pytest.raises(ValueError, match=f"image of {least - 1}x32: the refiner takes images of at least {least}x"):
        report.try_codecs({"a": refined}, {"thin": images(1)[..., : least - 1]})
    genie = make("jpeg-ldpc-qam:genie+sft-jpeg", Rayleigh("block"))
    with pytest.raises(ValueError, match="the refiner takes images of at least"):
        report.try_codecs({"a": genie}, {"thin": images(1)[..., : least - 1]})


def test_a_comparison_names_the_receiver_and_its_margins(
    run_semlink: Command, shipped: Path, picture: str, tmp_path: Path
) -> None:
    """Equal rate, failed images untouched and still failed, margins over the codec and the control, samples."""
    names = ["swin", "swin+cnn-swin", "swin+sft-swin", "jpeg-ldpc-qam", "jpeg-ldpc-qam+sft-jpeg"]
    words = [word for name in names for word in ("--codec", name)]
    arguments = ["compare", picture, *words, "--esno", "0,20", "--realisations", "2", "--samples", "3", "--json"]
    status, printed, error = run_semlink(*arguments, "--out", str(tmp_path / "out"))
    assert status == 0, error
    told = json.loads(printed)
    rows = pd.DataFrame(told["rows"]).set_index(["codec", "esno_db"])
    for name in names:
        alone = name.split("+")[0]
        for level in (0.0, 20.0):
            assert rows.ratio[name, level] == rows.ratio[alone, level]
            assert rows.failed[name, level] == rows.failed[alone, level]
    assert rows.failed["jpeg-ldpc-qam", 0.0] == 2
    assert rows.psnr_db["jpeg-ldpc-qam+sft-jpeg", 0.0] == rows.psnr_db["jpeg-ldpc-qam", 0.0]
    assert rows.psnr_db["swin+sft-swin", 20.0] != rows.psnr_db["swin", 20.0]
    assert "trained behind swin" in told["notes"]["swin+sft-swin"][TOPIC][0]
    pairs = {(one["codec"], one["over"]) for one in told["margins"]}
    assert pairs == {
        ("swin+cnn-swin", "swin"),
        ("swin+sft-swin", "swin"),
        ("swin+sft-swin", "swin+cnn-swin"),
        ("jpeg-ldpc-qam+sft-jpeg", "jpeg-ldpc-qam"),
    }
    for one in told["margins"]:
        figure = {"psnr_db": rows.psnr_db, "psnr_mean_db": rows.psnr_mean_db}[one["quantity"]]
        above = figure[one["codec"], one["esno_db"]] - figure[one["over"], one["esno_db"]]
        assert one["value"] == pytest.approx(above, abs=1e-6)
    assert len(pd.read_csv(tmp_path / "out" / "margins.csv")) == len(told["margins"])
    spread = {(one["codec"], one["esno_db"]): one["spread"] for one in told["samples"]}
    assert set(spread) == {(name, level) for name in (names[2], names[4]) for level in (0.0, 20.0)}
    assert spread["swin+sft-swin", 20.0] > 0
    assert spread["jpeg-ldpc-qam+sft-jpeg", 0.0] == 0  # failed: nothing was invented
    for end in ("mean", "spread"):
        with Image.open(tmp_path / "out" / "received" / f"0-picture_swin_sft-swin_20dB_{end}.png") as shown:
            assert shown.size == (48, 48)


def test_the_table_prints_margins_and_spread(
    run_semlink: Command, shipped: Path, picture: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    words = ["compare", picture, "--codec", "swin", "--codec", "swin+sft-swin", "--esno", "5", "--samples", "2"]
    out = tmp_path / "out"
    status, printed, error = run_semlink(*words, "--out", str(out))
    assert status == 0, error
    for said in (
        "swin+sft-swin over swin",
        "received by: sft-swin (sft,",
        "spread of the samples in levels of 255: 5 dB",
    ):
        assert said in printed
    assert (out / "margins.csv").is_file()
    again = ["compare", picture, "--codec", "swin", "--esno", "5", "--out", str(out)]
    assert run_semlink(*again)[0] == 0
    assert not (out / "margins.csv").exists()  # of the earlier run
    for count, codec, said in (("1", "swin+sft-swin", "must be from 2"), ("3", "swin+cnn-swin", "no codec samples")):
        status, _, error = run_semlink(*again, "--samples", count, "--codec", codec)
        assert status == 2
        assert said in error


def test_more_samples_show_where_the_draws_differ(shipped: Path) -> None:
    """Margins carry what `Refined` does: with another seed of the sampling another figure, over the same channel."""
    codecs = {name: make(name) for name in ("swin", "swin+sft-swin", "swin+sft-swin:seed=1")}
    outcome = compare({"a": images(1), "b": images(2)[1:]}, codecs, AWGN(), [10.0], realisations=2)
    assert {key[0] for key in outcome.errors} == set(codecs)
    assert all(errors.shape == (2, 2) for errors in outcome.errors.values())
    found = {(one.codec, one.over): one.value for one in receiver_margins(outcome)}
    assert len(set(found.values())) == 3


def test_the_zoo_lists_receivers(run_semlink: Command, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "cifar10", lambda split: images(6))
    monkeypatch.setattr(measure, "RECEIVER_ESNO_DB", (0, 15))
    monkeypatch.setenv("COLUMNS", "200")
    status, printed, error = run_semlink("zoo", "--measure", "sft-swin")
    assert status == 0, error
    for said in ("sft-swin: sft behind swin", "above the codec alone (dB)", "above the control (dB)"):
        assert said in printed
    assert "cddm-swin" not in printed  # was not measured
    curves = zoo.receiver_cards()["sft-swin"].figures["CIFAR-10 test, the first 2000, AWGN"]
    assert list(curves["psnr_db"]) == ["0", "15"]
    assert curves["margin_db"]["15"] == pytest.approx(curves["psnr_db"]["15"] - curves["codec_psnr_db"]["15"], abs=1e-3)
    assert curves["margin_db_low"]["15"] <= curves["margin_db"]["15"] <= curves["margin_db_high"]["15"]
    assert ("st_lpips" in curves) is bool(measure.installed_metrics())
    status, printed, _ = run_semlink("zoo", "--json")
    assert {"swin", *NAMES} <= {card["name"] for card in json.loads(printed)}
    status, _, error = run_semlink("zoo", "--measure", "sft")
    assert status == 2
    said = "--measure 'sft' must be FILE.safetensors of a training, or one of: adjscc-64, deepjscc-12, deepjscc-6, "
    assert said in error
    assert ", swin, cddm-swin, cnn-swin" in error
    for path in shipped.iterdir():
        path.unlink()
    assert "No receivers ship" in run_semlink("zoo")[1]


def test_samples_of_a_link_that_knows_the_fades(shipped: Path) -> None:
    """The reception that is sampled is the one that the comparison shows; the first of two samples is its picture."""
    channel = Rayleigh("block")
    codecs = {"genie": make("jpeg-ldpc-qam:genie+sft-jpeg", channel), "jpeg": make("jpeg-ldpc-qam", channel)}
    sent = {"a": images(1)}
    found = spreads(sent, codecs, channel, [20.0], count=2, seed=0)
    assert set(found) == {("a", "genie", 20.0)}
    one = found["a", "genie", 20.0]
    assert 0 < one.average < one.most
    shown = compare(sent, codecs, channel, [20.0], pictures=[20.0]).pictures["a", "genie", 20.0]
    assert abs(one.mean.astype(float) - shown).max() <= one.most + 1  # half the distance of two samples, and rounding
