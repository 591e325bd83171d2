"""Networks whose symbols are sent again, from words."""

from __future__ import annotations

import pytest

from semlink.flowgraphs.comparison import compare
from semlink.flowgraphs.protocol.codebook import split_name
from semlink.flowgraphs.specs import codec_groups, make_channel, make_codecs
from semlink.neural.repeated import Repeated
from semlink.phy.channels import Rayleigh
from semlink.phy.link import Codec, InformedCodec
from semlink.phy.sources import sample_images


def one(name: str, ratio: float = 1 / 6) -> Codec | InformedCodec:
    return make_codecs([name], ratio=ratio, mcs="4qam-1/2", channel=Rayleigh(256))[name]


def test_options_are_what_they_say() -> None:
    codec = one("swin:harq=4")
    assert isinstance(codec, Repeated)
    assert (codec.rounds, codec.round_ratio, codec.ratio, codec.delay) == (4, 1 / 12, 1 / 6, 0)
    assert getattr(codec.codec, "ratio") == 1 / 12  # noqa: B009 - of a network
    codec = one("swin:harq=3,delay=16,round=1/8")
    assert isinstance(codec, Repeated)
    assert (codec.rounds, codec.round_ratio, codec.delay) == (3, 1 / 8, 16)
    assert any("NETWORK:harq=ROUNDS" in group.form for group in codec_groups())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("swin:harq=0", "harq=0 must be from 1 to 16 rounds"),
        ("swin:harq=four", "harq=four must be a whole number"),
        ("swin:harq=4,round=1/4", "round=0.25 must be above 0 and no more than the ratio"),
        ("swin:harq=4,combining=ir", "option 'combining' must be, with harq of a network, among: harq, round, delay"),
        ("swin:harq=4,harq=3", "harq is given twice"),
        ("swin:harq=4,round=1/100", "one of: 1/24 to 1/3"),
        ("nosuch:harq=4", "must be one of"),
    ],
)
def test_what_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        one(name)


def test_who_must_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPEATED_KEY", "5a" * 32)
    with pytest.raises(ValueError, match="with harq it is not known how much of it is sent"):
        one("swin:harq=4+keyed:env=REPEATED_KEY")
    with pytest.raises(ValueError, match="bursts go one way"):
        split_name("swin:harq=4")
    channel = make_channel("rayleigh", coherence=None, csi="none", equaliser=None)
    with pytest.raises(ValueError, match="nobody knows the fades with --csi none"):
        make_codecs(["swin:harq=4"], ratio=1 / 6, mcs="4qam-1/2", channel=channel)


def test_more_image_at_the_same_average_ratio() -> None:
    """At 5 dB, 30 fades for one image: by half a decibel at least, of some 2; the columns tell what was spent."""
    channel = Rayleigh(256)
    codecs = make_codecs(["swin", "swin:harq=4"], ratio=1 / 6, mcs="4qam-1/2", channel=channel)
    image = sample_images()[:1, :, :32, :32]
    got = compare({"one": image}, codecs, channel, [5.0], realisations=60)
    plain, again = (got.table[got.table["codec"] == name].iloc[0] for name in codecs)
    assert again["psnr_db"] > plain["psnr_db"] + 0.5
    assert 400 < again["uses_mean"] < 624
    assert again["uses_payload"] == pytest.approx(again["uses_mean"])
    assert again["ratio"] == pytest.approx(again["uses_mean"] / 3072)
    assert "feedback" in got.notes["swin:harq=4"]
