"""Names of digital links with parts of one's own: taken apart in one way only, made, and refused with reasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from semlink.baselines import doors
from semlink.flowgraphs.specs import DigitalName, make_codecs, own_blocks, own_parts, parse_digital
from semlink.flowgraphs.studies import Study
from semlink.flowgraphs.studies.provenance import block_digests
from semlink.phy.channels import AWGN

PARTS = """
import torch


class Repeated:
    def __init__(self, k, n):
        self.k, self.n, self.place = k, n, torch.arange(n) % k

    def encode(self, bits):
        return bits[:, self.place]

    def decode(self, llr):
        return (llr.new_zeros(len(llr), self.k).index_add(1, self.place, llr) < 0).to(llr)


class Backwards:
    def __call__(self, n):
        return range(n - 1, -1, -1)


class Turned:
    points = (1, 1j, -1, -1j)
    labels = ((0, 0), (0, 1), (1, 1), (1, 0))


class Loud:
    points = (3, -3)


broken = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module of parts, whose name no other test has."""
    name = f"parts_{abs(hash(tmp_path.name)) % 10**8}"
    (tmp_path / f"{name}.py").write_text(PARTS)
    monkeypatch.chdir(tmp_path)
    known = [dict(one) for one in (doors.OWN_CODES, doors.INTERLEAVERS, doors.CONSTELLATIONS)]
    yield name
    for now, before in zip((doors.OWN_CODES, doors.INTERLEAVERS, doors.CONSTELLATIONS), known, strict=True):
        now.clear()  # type: ignore[attr-defined]
        now.update(before)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("jpeg-ldpc-qam", ("jpeg", "ldpc", None, "qam", None, None)),
        ("jpeg-ldpc-qam:adaptive", ("jpeg", "ldpc", None, "qam", "adaptive", None)),
        ("webp-nr-qam:nr1-13,key=k", ("webp", "nr", None, "qam", "nr1-13,key=k", None)),
        ("jpeg-m:C-qam:4qam-1/2", ("jpeg", "m:C", None, "qam", "4qam-1/2", None)),
        ("jpeg-a.b:C-c:D-e:F:1/2", ("jpeg", "a.b:C", "c:D", "e:F", "1/2", None)),
        ("jpeg-conv-random-8psk:2/3", ("jpeg", "conv", "random", "8psk", "2/3", None)),
        ("jpeg-polar-qam:adaptive,table=p/q.csv", ("jpeg", "polar", None, "qam", "adaptive", "p/q.csv")),
        ("jpeg-polar-qam:adaptive,key=k,table=t", ("jpeg", "polar", None, "qam", "adaptive,key=k", "t")),
    ],
)
def test_a_name_has_one_reading(name: str, parts: tuple[str | None, ...]) -> None:
    assert parse_digital(name) == DigitalName(*parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["jpeg-capacity", "swin", "jpeg-ldpc", "jpeg-ldpc-qam-", "x-ldpc-qam", "m:C", "jpeg-q-qam"]
)
def test_other_names_are_none(name: str) -> None:
    assert parse_digital(name) is None


def made(name: str, mcs: str = "16qam-1/2") -> object:
    return make_codecs([name], ratio=1 / 3, mcs=mcs, channel=AWGN())[name]


def test_parts_of_ones_own_make_a_codec(own: str) -> None:
    codec = made(f"jpeg-{own}:Repeated-{own}:Backwards-{own}:Turned:1/2")
    assert codec.code == f"{own}:Repeated-{own}:Backwards"  # type: ignore[attr-defined]
    assert str(codec.mcs) == f"{own}:Turned-1/2"  # type: ignore[attr-defined]
    assert str(made("jpeg-ldpc-8psk", "16qam-2/3").mcs) == "8psk-2/3"  # type: ignore[attr-defined]
    assert str(made("jpeg-ldpc-8psk", "nr1-13").mcs) == "8psk-490/1024"  # type: ignore[attr-defined]
    assert str(made("jpeg-ldpc-8psk", "3/4").mcs) == "8psk-3/4"  # type: ignore[attr-defined]


def test_a_budget_that_is_too_small_is_told_of_schemes_of_the_same_points() -> None:
    image = torch.zeros(1, 3, 8, 8)
    for name, words in (
        ("jpeg-ldpc-8psk:1/2", "one code block$"),
        ("jpeg-ldpc-qam:4qam-1/2", "mcs='64qam-.* would fit$"),
    ):
        codec = make_codecs([name], ratio=1 / 12, mcs="", channel=AWGN())[name]
        with pytest.raises(ValueError, match=words):
            codec.encode(image, 0.1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("jpeg-no_such_module:C-qam", "no module no_such_module"),
        ("jpeg-{own}:Nothing-qam", "has no Nothing"),
        ("jpeg-{own}:broken-qam", "code {own}:broken: int cannot be called"),
        ("jpeg-conv-{own}:broken-qam:4qam-1/2", "interleaver {own}:broken: int cannot be called"),
        ("jpeg-ldpc-{own}:Loud:1/2", r"mean energy is 9 \(\+9.54 dB\)"),
        ("jpeg-ldpc-16apsk", "16apsk: rate 1/2 must be one of: 2/3"),
        ("jpeg-ldpc-8psk:5/4", "must be a code rate between 0 and 1"),
        ("jpeg-ldpc-8psk:adaptive", "--code ldpc --constellation 8psk --out FILE"),
        ("jpeg-polar-qam:adaptive", "measure a table by `semlink bench bler --code polar"),
        ("jpeg-polar-qam:adaptive,table=nowhere.csv", "table=nowhere.csv: holds no block error rates"),
        ("jpeg-polar-qam:4qam-1/2,table=x.csv", "table=x.csv: a fixed scheme needs none"),
        ("jpeg-ldpc-qam:adaptive,table=", "table=FILE must name one file"),
        ("jpeg-polar-qam:adaptive,table=a.csv,table=b.csv", "table=FILE must name one file"),
        ("jpeg-uncoded-16apsk:2/3", "code='uncoded' with mcs='16apsk-2/3' sends at rate 1: 16apsk: rate 1 must be"),
        ("jpeg-polar-qam:genie", "link adaptation needs code='ldpc' or 'nr'"),
    ],
)
def test_what_cannot_be_had_is_said(name: str, words: str, own: str) -> None:
    with pytest.raises(ValueError, match=words.replace("{own}", own)):
        made(name.replace("{own}", own))


def test_packages_offer_parts_by_entry_point(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Offered:
        name, module, attr = "mine", own, "Repeated"

    monkeypatch.setattr(own_blocks, "entry_points", lambda group: [Offered()] if group == "semlink.codes" else [])
    assert parse_digital("jpeg-mine-qam") is not None
    assert made("jpeg-mine-qam:4qam-1/2").code == "mine"  # type: ignore[attr-defined]


def test_a_study_remembers_the_parts_and_the_table(own: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x")
    codec = f"jpeg-{own}:Repeated-{own}:Backwards-qam:adaptive,table=t.csv"
    assert own_parts(codec)[0] == [(f"{own}:Repeated", "codes"), (f"{own}:Backwards", "interleavers")]
    digests = block_digests(Study(codecs=[codec], images="samples", channels=["awgn"], esno_db=[0.0]))
    assert {f"{own}:Repeated", f"{own}:Backwards", "t.csv"} <= set(digests)
