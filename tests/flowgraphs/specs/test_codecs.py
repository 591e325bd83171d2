"""The codecs that the command line knows, and the published curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from semlink.baselines.ideal import CapacityCodec
from semlink.baselines.kodak_rd import kodak_psnr_at_capacity
from semlink.baselines.separate import AdaptiveCodec, GenieCodec, SeparateCodec
from semlink.baselines.sources import link_source
from semlink.flowgraphs.comparison.report import add_published
from semlink.flowgraphs.specs import expand, make_channel, make_codecs, published_curves
from semlink.phy.channels import AWGN, Rayleigh
from semlink.phy.link import Codec, InformedCodec, Link
from semlink.phy.sources import sample_images

IMAGE = torch.nn.functional.avg_pool2d(sample_images()[:1], 8)[:, :, :32, :32]


def one(name: str) -> Codec | InformedCodec:
    return make_codecs([name], ratio=1 / 6, mcs="4qam-1/2", channel=Rayleigh("block"))[name]


def test_names_stand_for_what_they_say() -> None:
    fixed = one("webp-conv-qam:nr1-13")
    assert isinstance(fixed, SeparateCodec)
    assert (fixed.source, fixed.code, str(fixed.mcs)) == (link_source("webp"), "conv", "16qam-490/1024")
    plain = one("jpeg-ldpc-qam")
    assert isinstance(plain, SeparateCodec)
    assert str(plain.mcs) == "4qam-1/2"
    uncoded = one("jpeg-uncoded-qam:16qam-1/2")
    assert isinstance(uncoded, SeparateCodec)
    assert (uncoded.mcs.order, uncoded.mcs.rate) == (16, 1)
    adaptive, outage = one("jpeg2000-ldpc-qam:adaptive"), one("jpeg-ldpc-qam:outage")
    assert isinstance(adaptive, AdaptiveCodec)
    assert isinstance(outage, AdaptiveCodec)
    assert adaptive.fading is None
    assert outage.fading == Rayleigh("block")
    assert isinstance(one("avif-ldpc-qam:genie"), GenieCodec)
    assert isinstance(one("webp-capacity"), CapacityCodec)


def test_all_is_the_whole_digital_picture() -> None:
    assert expand(["deepjscc", "webp-ldpc-qam:all"]) == [
        "deepjscc", "webp-ldpc-qam", "webp-ldpc-qam:adaptive", "webp-ldpc-qam:outage", "webp-ldpc-qam:genie",
        "webp-capacity",
    ]  # fmt: skip
    made = make_codecs(["jpeg-ldpc-qam:all"], ratio=1 / 6, mcs="4qam-1/2", channel=AWGN())
    assert list(made) == expand(["jpeg-ldpc-qam:all"])


@pytest.mark.parametrize("code", ["ldpc", "gallager", "conv", "uncoded"])
def test_every_code_carries_an_image(code: str) -> None:
    if code == "gallager":
        pytest.importorskip("pyldpc")
    link = Link(one(f"jpeg-{code}-qam:16qam-1/2"), AWGN())
    rng = torch.Generator().manual_seed(0)
    assert not link(IMAGE, 30.0, rng=rng).failed.any()
    assert link(IMAGE, -5.0, rng=rng).failed.all()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bpg-ldpc-qam", r"\(did you mean 'jpeg-ldpc-qam'\?\) must be one of: SOURCE-CODE"),
        ("jpeg-turbo-qam", r"SOURCE-CODE\[-INTERLEAVER\]-MAP"),
        (
            "jpeg-ldpc-qam:best",
            "scheme 'best' must be one of: adaptive, outage, genie or a fixed one, such as 16qam-1/2",
        ),
        ("jpeg-ldpc-qam:16qam-1/5", "mcs='16qam-1/5' must be one of: 4qam-1/2"),
        ("jpeg-conv-qam:adaptive", "needs code='ldpc'"),
        ("jpeg-ldpc-qam:", "must be one of"),
        ("", "must be one of"),
    ],
)
def test_unknown_codecs_are_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        one(name)


def test_published_curves_are_for_kodak_on_awgn() -> None:
    names = ["published:vtm", "published:elic", "deepjscc"]
    assert published_curves(names, ["kodak"], channel=AWGN()) == ["vtm", "elic"]
    with pytest.raises(ValueError, match="published for the set kodak"):
        published_curves(names, ["samples"], channel=AWGN())
    with pytest.raises(ValueError, match="published for the set kodak"):
        published_curves(names, ["kodak"], channel=Rayleigh())
    with pytest.raises(ValueError, match="must be one of: jpeg"):
        published_curves(["published:h266"], ["kodak"], channel=AWGN())


def test_published_rows_stand_beside_the_measured_ones() -> None:
    row = {
        "codec": "x",
        "channel": "awgn",
        "spec": "awgn",
        "csi": "perfect",
        "esno_db": 10.0,
        "coherence": "",
        "equaliser": "",
    }
    table = pd.DataFrame([row | {"seed": 0, "images": 24, "psnr_db": 30.0, "psnr_mean_db": 31.0}])
    both = add_published(table.assign(ratio=0, failed=0, realisations=1), ["vtm"], 1 / 16)
    assert list(both["codec"]) == ["x", "published:vtm"]
    expected = float(kodak_psnr_at_capacity("vtm", 1 / 16, np.log2(11)))
    assert both["psnr_mean_db"].iloc[1] == pytest.approx(expected)
    assert np.isnan(both["psnr_db"].iloc[1])
    assert add_published(table, [], 1 / 16) is table


def test_a_ceiling_of_rayleigh_is_not_drawn_on_another_channel() -> None:
    channel = make_channel("mimo:2x2", coherence=None, csi=None, equaliser=None)
    for bound in ("ergodic", "outage=0.1"):
        with pytest.raises(ValueError, match=r"is of rayleigh, not of mimo:2x2.*; give jpeg-capacity"):
            make_codecs([f"jpeg-capacity:{bound}"], ratio=1 / 6, mcs="4qam-1/2", channel=channel)
    assert make_codecs(["jpeg-capacity"], ratio=1 / 6, mcs="4qam-1/2", channel=channel)
