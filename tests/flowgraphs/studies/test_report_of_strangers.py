"""A report reads data alone: it imports nothing that results name, and takes no picture from elsewhere."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.comparison import digest_of, sent_file, write_image
from semlink.flowgraphs.studies import Plan, read_results, read_study, write_report
from semlink.flowgraphs.studies.checked import write_row

PICTURE = np.full((8, 8, 3), 200, dtype=np.uint8)
KEY = "{codec}|{channel}|0.5|5"


def keep_results(folder: Path, *, codec: str = "deepjscc", channel: str = "awgn", **changed: Any) -> Path:  # noqa: ANN401
    """A results folder of one point, as a stranger may have written it."""
    study = Plan(codecs=["deepjscc"], channels=["awgn"], esno_db=[5], ratios=[0.5], images=["photo.png"]).to_dict()
    study |= {"codecs": [codec], "channels": [channel]} | changed.pop("study", {})
    about = {"format": 1, "study": study, "images": {"photo.png": digest_of(PICTURE)}} | changed.pop("about", {})
    row = {"codec": codec, "spec": channel, "asked_ratio": 0.5, "ratio": 0.5, "esno_db": 5.0, "psnr_db": 30.0}
    row |= {"error": "", "images": 1, "realisations": 1, "failed": 0, "pictures": {}} | changed
    folder.mkdir(exist_ok=True)
    (folder / "study.json").write_text(json.dumps(about))
    key = KEY.format(codec=codec, channel=channel)
    (folder / "points.jsonl").write_text(write_row(key, row))
    return folder


def data_of(report: Path) -> Mapping[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', report.read_text(), re.DOTALL)
    assert found is not None
    told: Mapping[str, Any] = json.loads(found[1])
    return told


def pixel_of(source: str) -> list[int]:
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as shown:
        values: list[int] = np.asarray(shown)[0, 0].tolist()
        return values


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in the working folder that leaves a mark when it is imported; the path of the mark."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "stranger").mkdir()
    mark = tmp_path / "imported"
    (tmp_path / "stranger" / "__init__.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    (tmp_path / "stranger" / "inner.py").write_text("class Block: ...\n")
    return mark


@pytest.mark.parametrize("block", ["stranger:Block", "stranger.inner:Block"])
def test_nothing_is_imported(block: str, package: Path, tmp_path: Path) -> None:
    folder = keep_results(tmp_path / "results", codec=block, channel=block)
    page = write_report(folder, tmp_path / "report.html").read_text()
    assert block in page
    assert not package.exists()
    assert "stranger" not in sys.modules
    assert type(read_results(folder)[0]) is Plan


def test_what_runs_is_looked_for(package: Path, tmp_path: Path) -> None:
    """The twin: a study that is to be run must find its channels, and the mark works."""
    folder = keep_results(tmp_path / "results", channel="stranger.gone:Block")
    with pytest.raises(ValueError, match=r"stranger\.gone"):
        read_study(folder / "study.json")
    assert package.exists()
    del sys.modules["stranger"]


def test_no_file_that_a_study_names_is_read(tmp_path: Path) -> None:
    """Not even where its pixels are those that the results say."""
    photo = tmp_path / "photo.png"
    write_image(PICTURE, photo)
    write_image(PICTURE, tmp_path / "got.png")
    folder = keep_results(
        tmp_path / "results",
        study={"images": [str(photo)]},
        about={"images": {str(photo): digest_of(PICTURE)}},
        pictures={str(photo): "got.png"},
    )
    write_image(PICTURE, folder / "got.png")
    assert data_of(write_report(folder, tmp_path / "r.html"))["sent"] == {str(photo): "data:,"}
    (folder / "sent").mkdir()
    write_image(PICTURE, folder / sent_file(digest_of(PICTURE)))
    shown = data_of(write_report(folder, tmp_path / "r.html"))["sent"][str(photo)]
    assert pixel_of(shown) == [200, 200, 200]
    write_image(PICTURE + 1, folder / sent_file(digest_of(PICTURE)))  # which were not sent
    assert data_of(write_report(folder, tmp_path / "r.html"))["sent"] == {str(photo): "data:,"}


@pytest.mark.parametrize("file", ["../got.png", "/got.png", "a/../../got.png", "link.png", "up/got.png"])
def test_no_picture_leaves_the_folder(file: str, tmp_path: Path) -> None:
    write_image(PICTURE, tmp_path / "got.png")
    folder = keep_results(tmp_path / "results", pictures={"photo.png": file})
    (folder / "link.png").symlink_to(tmp_path / "got.png")
    (folder / "up").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"pictures=.* must be|outside the folder"):
        write_report(folder, tmp_path / "r.html")


def test_a_fingerprint_is_no_path(tmp_path: Path) -> None:
    write_image(PICTURE, tmp_path / "xx.png")
    folder = keep_results(
        tmp_path / "results", about={"images": {"photo.png": "../../xx"}}, pictures={"photo.png": "g.png"}
    )
    write_image(PICTURE, folder / "g.png")
    assert data_of(write_report(folder, tmp_path / "r.html"))["sent"] == {"photo.png": "data:,"}
