"""The receiver's and the eavesdropper's rows side by side, in a comparison and in a study."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from semlink.flowgraphs.cli.studies import run_sweep
from semlink.flowgraphs.comparison import compare, known_plaintext, pieces, run_compare
from semlink.flowgraphs.specs import load_images, make_codecs
from semlink.flowgraphs.studies import read_shown, write_report
from semlink.neural import zoo
from semlink.phy.channels import AWGN, parse_channel
from semlink.phy.security import Key

KEY = "0123456789abcdef" * 4
EVE = "rayleigh:esno=-10"


def rows_of(table: pd.DataFrame) -> dict[str, pd.Series]:
    return {str(row["codec"]): row for _, row in table.iterrows()}


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "my.key"
    path.write_text(KEY)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "small.png"
    Image.fromarray((pieces(1)[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(path)
    return path


def test_with_equal_channels_she_gets_as_much_and_without_the_key_nothing(key: Path) -> None:
    """Of a graceful code; of the digital one, all or nothing; of a keyed or encrypted one, noise or mid-grey."""
    plain = ["deepjscc", f"deepjscc+keyed:key={key}", "jpeg-ldpc-qam:4qam-1/2", f"jpeg-ldpc-qam:4qam-1/2,key={key}"]
    names = [name + end for name in plain for end in ("", "@awgn", "@awgn:esno=-10", "@awgn:key=yes")]
    images = dict(zip("abcdef", torch.split(pieces(6, side=64), 1), strict=True))
    codecs = make_codecs(names, ratio=1 / 6, mcs="16qam-1/2", channel=AWGN())
    rows = rows_of(compare(images, codecs, AWGN(), [7.0], realisations=2).table)
    analogue, keyed, digital, sealed = plain
    for codec in plain:
        assert abs(rows[codec + "@awgn:key=yes"]["psnr_db"] - rows[codec]["psnr_db"]) < 0.5
    for codec in (analogue, digital):
        assert abs(rows[codec + "@awgn"]["psnr_db"] - rows[codec]["psnr_db"]) < 0.5
    assert abs(rows[keyed]["psnr_db"] - rows[analogue]["psnr_db"]) < 0.3
    assert rows[keyed]["ratio"] == rows[analogue]["ratio"]
    worse = rows[analogue + "@awgn:esno=-10"]["psnr_db"]
    assert 15 < worse < rows[analogue]["psnr_db"] - 4  # graceful, to her too
    assert rows[keyed + "@awgn"]["psnr_db"] < 13
    assert rows[digital]["failed"] == rows[sealed]["failed"] == 0
    assert rows[digital + "@awgn:esno=-10"]["failed"] == rows[sealed + "@awgn"]["failed"] == 12


def test_her_row_tells_her_channel_and_the_links(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_compare(
        words=[str(picture)], codecs=["deepjscc"], channel="awgn+jammer:friendly,jsr=-20", coherence=None,
        csi=None, equaliser=None,
        esno="10", ratio="1/6", mcs="16qam-1/2", realisations=40, metrics=[], seed=0, out=tmp_path, as_json=True,
        eavesdropper=EVE,
    )  # fmt: skip
    first, second = json.loads(capsys.readouterr().out)["rows"]
    assert [first["codec"], second["codec"]] == ["deepjscc", f"deepjscc@{EVE}"]
    assert first["spec"] == second["spec"] == "awgn+jammer:friendly,jsr=-20"
    assert (first["channel"], second["channel"], second["coherence"]) == ("awgn", "rayleigh", "block")
    assert first["esno_db"] == second["esno_db"] == 10
    assert first["psnr_db"] > second["psnr_db"] + 3
    page = tmp_path / "report.html"
    write_report(tmp_path, page)
    text = page.read_text()
    assert f"deepjscc@{EVE}" in text
    assert [str(codec) for codec in read_shown(tmp_path).study.codecs] == ["deepjscc", f"deepjscc@{EVE}"]


def test_she_listens_to_a_study(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.toml").write_text(
        f'images = ["{picture}"]\ncodecs = ["deepjscc"]\nesno_db = [10]\nrealisations = 40\n'
    )

    def run() -> int:
        return run_sweep(
            tmp_path / "study.toml", tmp_path / "out", workers=0, scheduler=None, resources=[], yes=True, csv=True,
            as_json=True, eavesdropper=EVE,
        )  # fmt: skip

    assert run() == 0
    assert json.loads(capsys.readouterr().out)["points"] == 2
    rows = rows_of(pd.read_csv(tmp_path / "out" / "table.csv"))
    assert rows["deepjscc"]["psnr_db"] > rows[f"deepjscc@{EVE}"]["psnr_db"] + 3
    assert rows[f"deepjscc@{EVE}"]["spec"] == "awgn"
    channel = parse_channel("awgn")
    codecs = make_codecs([f"deepjscc@{EVE}"], ratio=1 / 6, mcs="16qam-1/2", channel=channel)
    alone = compare(load_images([str(picture)]), codecs, channel, [10.0], realisations=40).table.iloc[0]
    assert rows[f"deepjscc@{EVE}"]["psnr_db"] == pytest.approx(alone["psnr_db"], abs=0.01)  # the same draws
    assert run() == 0  # and goes on from what is there


def test_known_images_break_a_keyed_code() -> None:
    few, many = known_plaintext(zoo.load("deepjscc"), Key(bytes(range(32))), (1, 16), 15.0, others=4)
    assert few.found < 0.5 < 0.9 < many.found
    assert few.psnr_db < 20
    assert many.psnr_db > many.keyed_psnr_db - 1
    assert few.keyed_psnr_db == many.keyed_psnr_db > 25
    with pytest.raises(ValueError, match="count=0 must be from 1"):
        pieces(0)
