"""`semlink figure` and `semlink report` take the folder of `semlink compare`."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from semlink.flowgraphs.specs import parse_esno
from semlink.flowgraphs.studies import read_shown
from semlink.flowgraphs.studies.html_report import _commands

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a comparison of a small picture leaves."""
    from semlink.flowgraphs.comparison import run_compare

    folder = tmp_path_factory.mktemp("compared")
    small = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    shown = torch.nn.functional.interpolate(small, 32, mode="bicubic").clamp(0, 1)[0]
    Image.fromarray((shown * 255).byte().permute(1, 2, 0).numpy()).save(folder / "small.png")
    run_compare(
        words=[str(folder / "small.png")],
        codecs=["jpeg-uncoded-qam:4qam-1/2", "deepjscc"],
        channel="awgn",
        **dict.fromkeys(("coherence", "csi", "equaliser"), None),
        esno="0,10",
        ratio="1/6",
        mcs="4qam-1/2",
        realisations=2,
        metrics=[],
        seed=3,
        out=folder / "out",
        as_json=True,
    )
    return folder / "out"


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found is not None
    told: dict[str, Any] = json.loads(found[1])
    return told


def test_a_figure_of_a_comparison(compared: Path, run_semlink: Command, tmp_path: Path) -> None:
    for where, quantity in ((compared, "psnr_db"), (compared / "compare.csv", "outage")):
        out = tmp_path / f"{quantity}.svg"
        status, told, error = run_semlink("figure", str(where), "--out", str(out), "--quantity", quantity)
        assert (status, told, error) == (0, f"written: {out}\n", "")
        assert "deepjscc" in out.read_text()


def test_a_report_of_a_comparison_shows_its_pictures(compared: Path, run_semlink: Command, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert run_semlink("report", str(compared), "--out", str(out))[0] == 0
    page = out.read_text()
    told = data_of(page)
    assert told["codecs"] == ["jpeg-uncoded-qam:4qam-1/2", "deepjscc"]
    assert [len(row["pictures"]) for row in told["rows"]] == [1, 1, 1, 1]
    (sent,) = told["sent"].values()
    assert sent.startswith("data:image/webp;base64,")
    assert "semlink sweep" not in page
    command = re.search(r"semlink compare .*", page)
    assert command is not None
    assert command[0].count("--codec") == 2
    assert "--seed 3" in command[0]
    assert "Begun 20" in page


def test_its_command_can_be_run(compared: Path) -> None:
    shown = read_shown(compared)
    words = shlex.split(_commands(shown.study, shown.table, swept=False))
    assert words[:2] == ["semlink", "compare"]
    (levels,) = (word.removeprefix("--esno=") for word in words if word.startswith("--esno="))
    assert parse_esno(levels) == sorted(set(shown.table["esno_db"]))


def test_one_of_before_is_shown_without_pictures(compared: Path, run_semlink: Command, tmp_path: Path) -> None:
    shutil.copy(compared / "compare.csv", tmp_path)
    out = tmp_path / "report.html"
    assert run_semlink("report", str(tmp_path), "--out", str(out))[0] == 0
    told = data_of(out.read_text())
    assert told["ratios"] == [pytest.approx(1 / 6, rel=0.02)]
    assert not any(row["pictures"] for row in told["rows"])
    assert "How it came about is not known" in out.read_text()


def test_what_is_neither_is_told(run_semlink: Command, tmp_path: Path) -> None:
    for name, text in (("none", None), ("notes.txt", "x"), ("empty.csv", ""), ("other.csv", "a,b\n1,2\n")):
        if text is not None:
            (tmp_path / name).write_text(text)
        status, _, error = run_semlink("figure", str(tmp_path / name), "--out", str(tmp_path / "a.png"))
        assert status == 2
        assert name in error
        assert len(error.splitlines()) == 1


def test_a_table_with_words_for_numbers_is_told(compared: Path, tmp_path: Path) -> None:
    table = pd.read_csv(compared / "compare.csv").astype({"psnr_db": object})
    table.loc[0, "psnr_db"] = "many"
    table.to_csv(tmp_path / "compare.csv", index=False)
    with pytest.raises(ValueError, match="psnr_db must be numbers"):
        read_shown(tmp_path)


def test_damaged_comparisons_are_read_or_refused(compared: Path, tmp_path: Path) -> None:
    rng, whole = random.Random(0), {name: (compared / name).read_bytes() for name in ("compare.csv", "compare.json")}
    refused = 0
    for i in range(90):
        name = ("compare.csv", "compare.json")[i % 2]
        for other, data in whole.items():
            (tmp_path / other).write_bytes(data)
        data, at = whole[name], rng.randrange(len(whole[name]))
        changed = (
            data[:at],
            data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
            data[:at] + data[at + 2 :],
        )
        (tmp_path / name).write_bytes(changed[i // 2 % 3])
        try:
            read_shown(tmp_path)
        except ValueError:
            refused += 1
    assert 15 < refused < 90
    about = json.loads(whole["compare.json"])
    outside = {"image": "a", "codec": "b", "esno_db": 1, "file": "../x.png"}
    parts: tuple[dict[str, Any], ...] = ({"pictures": [outside]}, {"ratio": 0}, {"sent": []})
    for wrong in parts:
        (tmp_path / "compare.csv").write_bytes(whole["compare.csv"])
        (tmp_path / "compare.json").write_text(json.dumps({**about, **wrong}))
        with pytest.raises(ValueError, match="a part of it is missing or of another kind; remove it"):
            read_shown(tmp_path)
