"""What users missed: any pair of codecs, names of their own for curves, and a folder with a broken picture in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from semlink.flowgraphs.specs import parse_labels

Run = Callable[..., tuple[int, str, str]]
COMMON = ("--esno", "10", "--realisations", "3", "--codec", "deepjscc", "--codec", "swin")


@pytest.fixture
def folder(picture: str, tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a", "b"):
        shutil.copy(picture, folder / f"{name}.png")
    return folder


def test_one_broken_picture_is_named_counted_and_left_out(folder: Path, tmp_path: Path, run_semlink: Run) -> None:
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:200])
    status, printed, said = run_semlink("compare", str(folder), *COMMON, "--json", "--out", str(tmp_path / "out"))
    assert status == 1
    assert {row["images"] for row in json.loads(printed)["rows"]} == {1}
    assert "b.png" in said.splitlines()[-2]
    assert said.splitlines()[-1] == "1 of 2 pictures could not be read"
    (folder / "a.png").unlink()
    status, _, said = run_semlink("compare", str(folder), *COMMON, "--out", str(tmp_path / "out"))
    assert (status, len(said.splitlines())) == (2, 1)


def test_a_broken_picture_that_was_asked_for_by_name_ends_it(folder: Path, run_semlink: Run) -> None:
    (folder / "b.png").write_bytes(b"nothing")
    status, _, said = run_semlink("compare", str(folder / "a.png"), str(folder / "b.png"), *COMMON)
    assert (status, len(said.splitlines())) == (2, 1)


def test_any_two_codecs_have_their_margin_and_curves_their_names(
    folder: Path, tmp_path: Path, run_semlink: Run
) -> None:
    (folder / "b.png").unlink()
    words = ["compare", str(folder), *COMMON, "--out", str(tmp_path / "out"), "--json"]
    status, printed, _ = run_semlink(*words, "--against", "deepjscc", "--label", "swin=Ours = new")
    assert status == 0
    told = json.loads(printed)
    margin, mean = told["margins"]
    assert (margin["quantity"], mean["quantity"]) == ("psnr_db", "psnr_mean_db")
    assert (margin["codec"], margin["over"]) == ("swin", "deepjscc")
    psnr = {row["codec"]: row["psnr_db"] for row in told["rows"]}
    assert margin["value"] == pytest.approx(psnr["swin"] - psnr["deepjscc"], abs=1e-6)
    assert margin["low"] < margin["value"] < margin["high"]
    assert list(pd.read_csv(tmp_path / "out" / "margins.csv")["codec"]) == ["swin", "swin"]
    status, printed, _ = run_semlink(*words)
    assert "margins" not in json.loads(printed)
    assert (
        run_semlink("figure", str(tmp_path / "out"), "--out", str(tmp_path / "f.svg"), "--label", "swin=Ours")[0] == 0
    )
    assert ">Ours<" in (tmp_path / "f.svg").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("swin", r"--label 'swin' must be CODEC=TEXT, CODEC one of: swin, swin\+sft:steps=1"),
        ("swim=a", "--label 'swim=a' must be CODEC=TEXT"),
        ("swin= ", "must be CODEC=TEXT"),
        ("swin=swin+sft:steps=1", r"two codecs would be called 'swin\+sft:steps=1'"),
    ],
)
def test_labels_that_name_nothing(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_labels([given], ["swin", "swin+sft:steps=1"])


def test_a_label_with_equals_signs_on_both_sides() -> None:
    assert parse_labels(["swin+sft:steps=1=k=1"], ["swin", "swin+sft:steps=1"]) == {"swin+sft:steps=1": "k=1"}


def test_who_is_not_compared_is_no_reference(folder: Path, run_semlink: Run) -> None:
    status, _, said = run_semlink("compare", str(folder), *COMMON, "--against", "adjscc")
    assert status == 2
    assert "--against adjscc must be one of the codecs that are compared: deepjscc, swin" in said


def test_options_of_the_other_kind_are_refused(run_semlink: Run) -> None:
    status, _, said = run_semlink("gsc", "--table", "1", "--images", "samples", "--seed", "3")
    assert (status, said) == (2, "semlink: error: --images, --seed: of --figure alone\n")
    status, _, said = run_semlink("gsc", "--figure", "4c", "--users", "3")
    assert (status, said) == (2, "semlink: error: --users: of --table alone\n")
