"""Hybrid ARQ from words, and who cannot have it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from semlink.baselines.harq import Harq
from semlink.baselines.harq_link import HarqCodec
from semlink.flowgraphs.protocol.codebook import split_name
from semlink.flowgraphs.specs import codec_groups, make_codecs
from semlink.phy.channels import Rayleigh
from semlink.phy.link import Codec, InformedCodec


def one(name: str) -> Codec | InformedCodec:
    return make_codecs([name], ratio=1 / 6, mcs="4qam-1/2", channel=Rayleigh(64))[name]


def test_options_are_what_they_say() -> None:
    plain = one("jpeg-nr-qam:harq=4")
    assert isinstance(plain, HarqCodec)
    assert (plain.harq, str(plain.mcs), plain.fading) == (Harq(), "4qam-1/2", None)
    full = one("webp-nr-qam:outage,harq=3,combining=chase,rv=02,delay=16,ack-lost=0.01,nack-lost=1e-3,budget=mean")
    assert isinstance(full, HarqCodec)
    assert full.harq == Harq(3, "chase", (0, 2), 16, 0.01, 1e-3, "mean")
    assert full.fading == Rayleigh(64)
    assert type(full.source.source).__name__ == "WebP"
    fixed = one("jpeg-nr-qam:nr1-5,harq=2,round=1/12")
    assert isinstance(fixed, HarqCodec)
    assert fixed.harq.round_ratio == pytest.approx(1 / 12)
    assert any("harq=ROUNDS" in group.form for group in codec_groups())


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        ("harq=0", "harq=0 must be from 1 to 16 rounds"),
        ("harq=1000", "harq=1000 must be from 1 to 16"),
        ("harq=four", "harq=four must be a whole number"),
        ("harq=4,rv=0241", "rv=0241 must be of the redundancy versions 0, 1, 2 and 3"),
        ("harq=4,rv=", "rv= must be digits"),
        ("harq=4,ack-lost=2", "ack-lost=2.0 must be from 0 to 1"),
        ("harq=4,nack-lost=-1", "nack-lost=-1 must be a number from 0 on"),
        ("harq=4,round=1/0", "round=1/0 must be a number"),
        ("harq=4,delay=99999999999", "delay=99999999999 must be from 0 to"),
        ("harq=4,harq=3", "harq is given twice"),
        ("adaptive,combining=chase", "combining: only with harq=ROUNDS"),
        ("harq=4,colour=red", "option 'colour': must be among: key=FILE, env=NAME"),
        ("genie,harq=4", "mcs='genie' knows the fades"),
        ("olla", "`semlink olla` runs it over the images"),
        ("olla=0.1", "`semlink olla` runs it over the images"),
    ],
)
def test_what_is_refused(scheme: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"--codec jpeg-nr-qam:{scheme}: .*{message}"):
        one(f"jpeg-nr-qam:{scheme}")


def test_who_cannot_have_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="harq is for nr-qam, whose transport blocks have redundancy versions; ldpc"):
        one("jpeg-ldpc-qam:adaptive,harq=4")
    (tmp_path / "key").write_bytes(bytes(32))
    with pytest.raises(ValueError, match="keyed: permutes a whole frame"):
        one(f"jpeg-nr-qam:nr1-5,harq=4+keyed:key={tmp_path / 'key'}")
    with pytest.raises(ValueError, match="a codec with harq cannot be overheard"):
        one("jpeg-nr-qam:nr1-5,harq=4@awgn:esno=-3")
    for name in ("jpeg-ldpc-qam:adaptive,harq=4", "jpeg-nr-qam:harq=4"):
        with pytest.raises(ValueError, match="bursts go one way; `semlink compare` simulates it"):
            split_name(name)


def test_it_can_be_encrypted(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(32))
    codec = one(f"jpeg-nr-qam:nr1-5,harq=2,key={tmp_path / 'key'}")
    assert isinstance(codec, HarqCodec)
    frame = codec.encode(torch.full((1, 3, 64, 64), 0.4), 0.1)
    assert "nonce" in " ".join(frame.bits) or "tag" in " ".join(frame.bits)
    assert int(sum(frame.bits.values())) == 2 * frame.symbols.shape[1]  # type: ignore[arg-type]
