"""Options of a source coder behind the scheme: `avif-ldpc-qam:adaptive,speed=2`, `jpeg-ldpc-qam:resolution=full`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from semlink.baselines.ideal import CapacityCodec
from semlink.baselines.separate import AdaptiveCodec, SeparateCodec
from semlink.baselines.sources import AVIF, Resolutions, Sealed, find_source
from semlink.flowgraphs.specs import make_codecs
from semlink.phy.channels import AWGN


def source_of(name: str) -> Any:  # noqa: ANN401 - of any codec
    codec = make_codecs([name], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())[name]
    assert isinstance(codec, AdaptiveCodec | SeparateCodec | CapacityCodec)
    return codec.source


def test_the_resolution_is_chosen_unless_it_is_said_to_be_full() -> None:
    assert source_of("jpeg-ldpc-qam") == Resolutions(find_source("jpeg"))
    assert source_of("jpeg-ldpc-qam:adaptive,resolution=chosen") == Resolutions(find_source("jpeg"))
    assert source_of("jpeg-ldpc-qam:adaptive,resolution=full") == find_source("jpeg")
    assert source_of("webp-nr-qam:resolution=full") == find_source("webp")
    assert source_of("webp-capacity") == Resolutions(find_source("webp"))
    assert source_of("webp-capacity:resolution=full") == find_source("webp")
    assert source_of("webp-capacity:outage=0.1,resolution=full") == find_source("webp")


def test_avif_has_a_speed() -> None:
    assert source_of("avif-ldpc-qam:adaptive,speed=2") == Resolutions(AVIF(speed=2))
    assert source_of("avif-capacity:16qam,speed=2,resolution=full") == AVIF(speed=2)
    assert AVIF(speed=2) != AVIF()
    with pytest.raises(ValueError, match=r"speed=11 must be 0 \(the slowest and best\) … 10"):
        AVIF(speed=11)


def test_options_go_with_a_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("00" * 31 + "01")
    sealed = source_of(f"avif-ldpc-qam:adaptive,speed=8,key={key}")
    assert isinstance(sealed, Sealed)
    assert sealed.source == Resolutions(AVIF(speed=8))
    plain = source_of(f"jpeg-ldpc-qam:key={key},resolution=full")
    assert isinstance(plain, Sealed)
    assert plain.source == find_source("jpeg")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("jpeg-ldpc-qam:adaptive,speed=2", "speed=2: jpeg has none; avif has"),
        ("avif-ldpc-qam:adaptive,speed=fast", "speed=fast must be 0"),
        ("avif-ldpc-qam:adaptive,speed=12", "speed=12 must be 0"),
        ("jpeg-ldpc-qam:adaptive,resolution=half", "resolution=half must be one of: chosen, full"),
        ("jpeg-ldpc-qam:adaptive,size=2", "option 'size': must be among: key=FILE, env=NAME, resolution="),
        ("jpeg-ldpc-qam:adaptive,speed=2,speed=3", "once"),
        ("jpeg-capacity:16qam,key=x", "option 'key': must be among: resolution="),
        ("jpeg-capacity:half=1", "bound='half=1' must be one of"),
    ],
)
def test_what_is_refused(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        source_of(name)
