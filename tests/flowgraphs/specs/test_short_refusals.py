"""Who mistypes a name is told in two lines what may have been meant, and where the list is."""

import pytest

from semlink.baselines.adaptation import MODES
from semlink.flowgraphs.specs import codec_groups, load_images, make_codecs, parse_esno
from semlink.flowgraphs.specs.near_names import plain_names
from semlink.phy.channels import AWGN


def refusal(name: str) -> str:
    with pytest.raises(ValueError, match=r"^--codec ") as caught:
        make_codecs([name], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "near"),
    [("Swin", "swin"), ("JPEG", "jpeg-ldpc-qam"), ("webp", "webp-ldpc-qam"), ("bpg", "published:bpg")],
)
def test_a_codec(given: str, near: str) -> None:
    told = refusal(given)
    assert f"--codec {given!r} (did you mean {near!r}?) must be one of: " in told
    assert "`semlink codecs`" in told
    assert len(told) < 400


def test_what_may_be_meant_is_in_the_list() -> None:
    listed = {name for group in codec_groups() for name in group.names}
    behind = {name.rpartition("+")[2] for name in listed if "+" in name}
    for name in plain_names():
        assert name in listed or name.removeprefix("swin+") in behind


def test_a_scheme() -> None:
    told = refusal("jpeg-ldpc-qam:adaptve")
    assert "scheme 'adaptve' (did you mean 'adaptive'?) must be one of: " in told
    for mode in MODES:
        assert mode in told


def test_a_set_of_images() -> None:
    with pytest.raises(ValueError, match=r"image kodk: no such file or folder \(did you mean 'kodak'\?\), nor one of"):
        load_images(["kodk"])


def test_esno_with_its_unit() -> None:
    with pytest.raises(ValueError, match=r"--esno '10dB': give START:STOP:STEP .*, in dB, such as 0:20:2$"):
        parse_esno("10dB")
