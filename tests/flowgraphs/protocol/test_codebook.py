"""Codec and MCS numbers of the burst header: both ways, without holes, and for good."""

from __future__ import annotations

import pytest

from semlink.baselines.mcs import MCS_TABLE, NR_SCHEMES, NR_TABLE_1, NR_TABLE_2, NR_TABLE_4, parse_mcs
from semlink.baselines.sources import SOURCES
from semlink.flowgraphs.protocol import codebook
from semlink.neural import zoo
from semlink.phy.waveform import FIELDS, BurstHeader


def test_numbers_that_were_given_out_keep_their_meaning() -> None:
    """They are on the air and in recordings."""
    plain = {5: "deepjscc-plain-4", 6: "deepjscc-plain-10", 7: "deepjscc-plain-16"}
    photo = {8: "swin-photo", 9: "hybrid"}
    assert {1: "deepjscc", 2: "swin", 3: "swin-gsc", 4: "adjscc", **plain, **photo} == codebook.NEURAL
    tasks = {16: "task", 17: "label:tiniest", 18: "label:resnet20", 19: "label:resnet56"}
    assert tasks == codebook.TASKS
    digital = ("jpeg", "jpeg2000", "webp", "avif", "heic", "prompt")
    assert {32 + i: f"{source}-ldpc-qam" for i, source in enumerate(digital)} == codebook.DIGITAL
    assert (codebook.USER[0], codebook.USER[-1]) == (48, 63)
    schemes = {0: "4qam-120/1024", 13: "16qam-490/1024", 36: "256qam-948/1024", 39: "16qam-1/2", 48: "256qam-5/6"}
    assert {number: codebook.scheme_name(number) for number in schemes} == schemes


def test_every_codec_and_scheme_of_the_package_has_a_number() -> None:
    sources = {"jpeg", "jpeg2000", "webp", "avif", "heic", "prompt"}  # and not those that other tests have registered
    assert sources - {"prompt"} <= set(SOURCES)
    for name in {*zoo.names(), *(f"{source}-ldpc-qam" for source in sources)}:
        assert codebook.codec_name(codebook.codec_number(name)) == name
    assert set(codebook.SCHEMES) == {*NR_SCHEMES, *NR_TABLE_4, *MCS_TABLE.values()}
    for number, mcs in enumerate(codebook.SCHEMES):
        assert codebook.scheme_number(str(mcs)) == number
        assert parse_mcs(codebook.scheme_name(number)) == mcs
    for table, rows in (("nr1", NR_TABLE_1), ("nr2", NR_TABLE_2)):
        for index, mcs in enumerate(rows):
            assert codebook.SCHEMES[codebook.scheme_number(f"{table}-{index}")] == mcs


def test_numbers_fit_the_header_and_none_is_given_out_twice() -> None:
    numbers = [*codebook.NEURAL, *codebook.TASKS, *codebook.DIGITAL, *codebook.USER]
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) > 0  # a header that was not filled in has 0
    assert max(numbers) < 1 << FIELDS["codec"]
    assert len(codebook.SCHEMES) <= 1 << FIELDS["mcs"]


def test_names_carry_schemes_where_there_are_any() -> None:
    assert codebook.split_name("jpeg-ldpc-qam:nr1-13") == ("jpeg-ldpc-qam", "nr1-13")
    assert codebook.split_name("webp-ldpc-qam") == ("webp-ldpc-qam", "16qam-1/2")
    assert codebook.split_name("swin") == ("swin", "")
    assert codebook.split_name("user:48") == ("user:48", "")
    for name in ("", "nix", "swin:nr1-13", "jpeg", "jpeg-ldpc-qam:", "user:47", "user:64", "user", "jpeg-conv-qam"):
        with pytest.raises(ValueError, match="must be one of: deepjscc"):
            codebook.split_name(name)


def test_a_header_tells_codec_scheme_and_ratio() -> None:
    header = BurstHeader(codec=34, mcs=13, height=32, width=48, symbols=768)
    assert codebook.name_of(header) == "webp-ldpc-qam:16qam-490/1024"
    assert codebook.ratio_of(header) == pytest.approx(1 / 6)
    assert codebook.name_of(BurstHeader(codec=2)) == "swin"
    assert codebook.name_of(BurstHeader(codec=63)) == "user:63"


@pytest.mark.parametrize(("codec", "mcs"), [(0, 0), (10, 0), (31, 0), (38, 0), (47, 0), (32, 53), (32, 63)])
def test_numbers_without_a_meaning_are_refused(codec: int, mcs: int) -> None:
    with pytest.raises(ValueError, match="mcs=" if codec == 32 else "codec="):
        codebook.name_of(BurstHeader(codec=codec, mcs=mcs))
