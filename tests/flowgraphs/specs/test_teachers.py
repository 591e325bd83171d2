"""Teachers behind any codec and at the transmitter, by their names on the command line, and in one comparison."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from semlink.flowgraphs.specs import DEFAULT_MCS, make_codecs
from semlink.flowgraphs.studies.plan import Plan
from semlink.flowgraphs.studies.provenance import block_digests
from semlink.neural.classifiers import Classified, LabelCodec
from semlink.phy.channels import AWGN
from semlink.phy.link import Codec, InformedCodec, Link

MODULE = """
import torch

class Bright(torch.nn.Module):
    '''Tells dark, middling and bright images apart.'''
    def forward(self, image):
        level = image.mean(dim=(1, 2, 3))[:, None]
        return -50 * (level - torch.tensor([0.2, 0.5, 0.8])).abs()

class Wide(Bright):
    side = 64
    def forward(self, image):
        if image.shape[-1] != 64:
            raise RuntimeError("64 pixels or nothing")
        return super().forward(image)

number = 7
"""
DARK_TO_BRIGHT = torch.tensor([0.8, 0.2, 0.5])[:, None, None, None].expand(3, 3, 32, 32)


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "judges.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)


def make(name: str) -> Codec | InformedCodec:
    return make_codecs([name], ratio=1 / 6, mcs=DEFAULT_MCS, channel=AWGN())[name]


@pytest.mark.parametrize(
    "name",
    ["jpeg-ldpc-qam:genie+classify:judges:Bright", "label:judges:Bright:uses=4"],
)
def test_a_teacher_stands_behind_any_codec_and_at_the_transmitter(name: str) -> None:
    got = Link(make(name), AWGN())(DARK_TO_BRIGHT, 20.0, rng=torch.Generator().manual_seed(0))
    assert got.image.argmax(dim=1).tolist() == [2, 0, 1]
    told = got.notes["transmitter" if name.startswith("label") else "received by"]
    assert told.startswith("judges:Bright classifies")
    assert sum(got.uses.values()) == (4 if name.startswith("label") else 512)


def test_what_a_codec_gives_is_the_teachers_view_of_its_images() -> None:
    plain, judged = make("deepjscc"), make("deepjscc+classify:judges:Bright")
    assert isinstance(judged, Classified)
    rngs = (torch.Generator().manual_seed(0) for _ in range(2))
    shown, seen = (
        Link(codec, AWGN())(DARK_TO_BRIGHT, 0.0, rng=rng) for codec, rng in zip((plain, judged), rngs, strict=True)
    )
    torch.testing.assert_close(seen.image, judged.teacher(shown.image).logits, atol=1e-3, rtol=1e-3)
    assert (seen.ratio, judged.ratio, judged.classes, judged.ignores_n0) == (shown.ratio, 1 / 6, 3, False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "deepjscc+classify:resnet18",
            "teacher 'resnet18' must be one of: tiniest, resnet20, resnet56; or MODULE:NAME",
        ),
        ("deepjscc+classify:", "teacher '' must be one of"),
        ("label:judges:Bright:uses=0", "uses=0 must be at least 1"),
        ("label:judges:Bright:uses=x", "uses=x must be a whole number of channel uses"),
        ("label:judges:number", "judges:number is a int; a teacher must be a torch.nn.Module"),
        ("label:judges:Bright+classify:judges:Bright", "classify:judges:Bright: takes images; what is before it gives"),
        ("label:judges:Bright+sft", "receiver sft: takes images; what is before it gives logits"),
        ("deepjscc+classify:judges:Bright+sft", "receiver sft: takes images; what is before it gives logits"),
    ],
)
def test_what_makes_no_link_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match="--codec") as error:
        make(name)
    assert said in str(error.value)
    assert error.value.args[0].count("--codec") == 1


def test_a_module_may_say_the_size_of_its_images() -> None:
    codec = make("label:judges:Wide")
    assert isinstance(codec, LabelCodec)
    with pytest.raises(ValueError, match=r"image of 32x32 with 3 channels: teacher judges:Wide takes RGB of 64x64"):
        codec.encode(DARK_TO_BRIGHT, 0.1)


@pytest.mark.parametrize("name", ["label:judges:Bright", "deepjscc+classify:judges:Bright"])
def test_they_keep_the_contract(name: str, run_semlink: Callable[..., tuple[int, str, str]]) -> None:
    status, out, err = run_semlink("check", name)
    assert (status, err) == (0, "")
    assert "logits (4, 3)" in out
    assert "logits are those of each image alone" in out


def test_a_study_keeps_the_code_of_a_teacher() -> None:
    plan = Plan(codecs=["label:judges:Bright:uses=3", "deepjscc+classify:judges:Bright"])
    assert list(block_digests(plan)) == ["judges:Bright"]


def test_one_picture_of_accuracy_with_ratios(run_semlink: Callable[..., tuple[int, str, str]]) -> None:
    for name, level in (("a", 50), ("b", 130), ("c", 200)):
        Path("shades", name).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(np.full((32, 32, 3), level + 5 * i, np.uint8)).save(f"shades/{name}/{i}.png")
    words = ["--codec", "deepjscc+classify:judges:Bright", "--codec", "label:judges:Bright", "--out", "out"]
    status, out, err = run_semlink("compare", "shades", *words, "--esno=-15,10")
    assert status == 0, err
    assert "label:judges:Bright: ratio 1/96 of channel uses per image value" in out
    assert "deepjscc+classify:judges:Bright: ratio 1/6 of channel uses per image value" in out
    table = pd.read_csv("out/compare.csv").set_index(["codec", "esno_db"])["accuracy"]
    assert table["label:judges:Bright", 10] == 1 == table["deepjscc+classify:judges:Bright", 10]
    status, _, err = run_semlink("compare", "shades", "--codec", "label:tiniest", "--out", "out")
    assert status == 2
    assert "tells 10 classes apart; the images are of 3: give a teacher of these classes" in err
