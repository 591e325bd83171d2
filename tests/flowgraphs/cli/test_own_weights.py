"""Weights of one's own training wherever a codec is named: `--codec runs/mine/mine.safetensors`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.comparison import card_figures
from semlink.flowgraphs.specs import load_trained, make_codecs
from semlink.flowgraphs.studies import Study, run_study
from semlink.flowgraphs.studies.provenance import block_digests
from semlink.neural import zoo
from semlink.neural.models import build
from semlink.neural.networks import DeepJSCC
from semlink.phy.channels import AWGN

Run = Callable[..., tuple[int, str, str]]
NETWORK = {"cell_symbols": 8, "widths": [4, 6]}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a training leaves behind, named from the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/mine")
    folder.mkdir(parents=True)
    model = build("deepjscc", NETWORK)
    path = folder / "mine.safetensors"
    zoo.write_weights(model, path)
    count = sum(parameter.numel() for parameter in model.parameters())
    words = {"data": "none", "channel": "awgn", "command": "none", "sha256": zoo.sha256(path), "esno_db": (0.0, 20.0)}
    zoo.write_card(zoo.Card("mine", "deepjscc", 1 / 6, NETWORK, count, **words), folder)  # type: ignore[arg-type]
    return str(path)


def test_it_is_compared_like_any_other(mine: str, run_semlink: Run, picture: str) -> None:
    words = ["compare", picture, "--codec", mine, "--esno", "10", "--realisations", "1", "--json", "--out", "out"]
    status, out, err = run_semlink(*words)
    assert status == 0, err
    (row,) = json.loads(out)["rows"]
    assert row["codec"] == mine
    assert row["psnr_db"] > 0


def test_receivers_stand_behind_it(mine: str) -> None:
    (codec,) = make_codecs([f"{mine}+classify:tiniest"], ratio=1 / 6, mcs="16qam-1/2", channel=AWGN()).values()
    assert codec.classes == 10


def test_a_study_tells_when_the_weights_are_others(mine: str, picture: str, tmp_path: Path) -> None:
    study = Study(images=[picture], codecs=[mine], esno_db=[10], realisations=1)
    run_study(study, tmp_path / "out", workers=0)
    before = block_digests(study)
    assert list(before) == [mine]
    card = Path(mine).with_suffix(".json")
    card.write_text(card.read_text().replace('"data": "none"', '"data": "other"'))
    assert block_digests(study) != before
    with pytest.raises(ValueError, match=r"mine\.safetensors"):
        run_study(study, tmp_path / "out", workers=0)


def test_it_is_checked_and_exported(mine: str, run_semlink: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _, out, _ = run_semlink("check", mine)
    assert "good   decoded batch" in out  # it was never trained, and the check sees that as well
    assert "WRONG  noise" in out
    asked: list[tuple[object, str]] = []
    monkeypatch.setattr(
        "semlink.flowgraphs.cli.export.export_codec", lambda model, _, *, name, size: asked.append((model, name)) or ()
    )
    assert run_semlink("export", mine, "--size", "32x32")[0] == 0
    ((model, name),) = asked
    assert isinstance(model, DeepJSCC)
    assert name == "mine"


def test_its_figures_are_measured_onto_its_own_card(
    mine: str, run_semlink: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(2, 3, 32, 32)
    monkeypatch.setattr(card_figures, "cifar10", lambda _: images)
    status, out, err = run_semlink("zoo", "--measure", mine)
    assert status == 0, err
    assert f"semlink zoo --measure {mine}" in out
    figures = zoo.run_card(mine).figures
    assert set(figures) == set(card_figures.CONDITIONS)
    assert all(set(curve) == {f"{level:g}" for level in card_figures.ESNO_DB} for curve in figures.values())


@pytest.mark.parametrize("command", [["compare", "--esno", "10", "--codec"], ["export"], ["zoo", "--measure"]])
def test_what_is_not_there_is_said(command: list[str], tmp_path: Path, run_semlink: Run) -> None:
    status, _, err = run_semlink(*command, str(tmp_path / "none.safetensors"))
    assert status == 2
    assert f"{tmp_path / 'none.json'}: no such file; `semlink train` writes it" in " ".join(err.split())


def test_a_ratio_that_it_lacks_is_named(mine: str) -> None:
    with pytest.raises(ValueError, match=r"ratio=0\.5 must be, for mine, 1/6"):
        make_codecs([mine], ratio=0.5, mcs="16qam-1/2", channel=AWGN())
    assert load_trained(mine).encode(torch.rand(1, 3, 32, 32), 0.1).symbols.shape == (1, 512)
