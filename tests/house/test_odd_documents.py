"""Results, cards and studies that are good JSON and odd: shown as far as they go, or one line that names the file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.cli import zoo as zoo_command
from semlink.flowgraphs.comparison import write_image
from semlink.flowgraphs.studies import read_study, write_report
from semlink.flowgraphs.studies import results as results_module
from semlink.flowgraphs.studies.checked import write_row
from semlink.flowgraphs.studies.plan import Plan
from semlink.flowgraphs.studies.results import Results
from semlink.neural.diffusion import ReceiverCard

PLAN = Plan(codecs=["jpeg-ldpc-qam"], channels=["awgn"], esno_db=[5.0], ratios=[0.25], images=["a.png"])
KEY = "jpeg-ldpc-qam|awgn|0.25|5"
ROW: dict[str, Any] = {
    "codec": "jpeg-ldpc-qam", "spec": "awgn", "channel": "awgn", "asked_ratio": 0.25, "ratio": 0.25, "esno_db": 5.0,
    "psnr_db": 20.0, "error": "", "pictures": {"a.png": "g.png"}, "images": 1, "realisations": 1, "failed": 0,
    "blocks": 4, "block_errors": 0,
}  # fmt: skip
MADE_WITH: dict[str, Any] = {
    "blocks": {}, "code": "", "versions": {"semlink": "1"}, "git": "", "created": "today",
    "machine": {"system": "x", "processor": "y", "cores": 2},
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 3.5, 10**26, 2**62, -1e300, 5e-324, "", "x", "ä" * 3000, "a|b", "[bold]", "{{title}}",
    "</script>", "../../x", [], {}, [[1]], {"a": {}}, [{}], {"": 0}, ["x", 1], "0:1:0", "1/0", "nan", "0:1e9:1e-9",
)  # fmt: skip


def about() -> dict[str, Any]:
    return {"format": 1, "study": PLAN.to_dict(), "images": {"a.png": "0" * 64}, **MADE_WITH}


def fine(read: Callable[[], object], where: str = "") -> bool:
    """Whether it is read; what is refused must be one line of a bearable length. Any other error ends the test."""
    said = ""
    try:
        read()
    except ValueError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 1000 + len(where)
    return not said


def every_place(document: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    return [one for key in keys for one in ((document, key), *every_place(document[key]))]


def odd(document: Any, rng: random.Random, each: int) -> list[Any]:  # noqa: ANN401
    """With every value in turn left out, or replaced by a few of `ODD`."""
    made = []
    for i in range(len(every_place(document))):
        for value in [..., *rng.sample(ODD, each)]:
            other = json.loads(json.dumps(document))
            parent, key = every_place(other)[i]
            if value is ...:
                del parent[key]
            else:
                parent[key] = value
            made.append(other)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_image(np.zeros((8, 8, 3), np.uint8), tmp_path / "g.png")
    (tmp_path / "study.json").write_text(json.dumps(about()))
    (tmp_path / "points.jsonl").write_text(write_row(KEY, ROW))
    return tmp_path


def test_studies_and_results_are_reported_or_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_module, "provenance", lambda _: MADE_WITH)
    rng, out, shown = random.Random(0), folder / "report.html", []
    assert fine(lambda: write_report(folder, out))
    for one in odd(about(), rng, 1):
        (folder / "study.json").write_text(json.dumps(one))
        shown.append(fine(lambda: write_report(folder, out), str(folder)))
        fine(lambda: read_study(folder / "study.json"), str(folder))
    (folder / "study.json").write_text(json.dumps(about()))
    for one in odd(ROW, rng, 1):
        (folder / "points.jsonl").write_text(write_row(KEY, one))
        shown.append(fine(lambda: write_report(folder, out), str(folder)))
    assert 0.1 * len(shown) < sum(shown) < 0.9 * len(shown)


@pytest.mark.filterwarnings("ignore:results .* begun with")
def test_sweeps_go_on_or_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_module, "provenance", lambda _: MADE_WITH)

    def go_on() -> None:
        with Results(folder, PLAN, {"a.png": "0" * 64}) as kept:
            kept.table()

    assert fine(go_on)
    for one in odd(about(), random.Random(1), 1):
        (folder / "study.json").write_text(json.dumps(one))
        fine(go_on, str(folder))


def test_a_codec_that_is_not_of_the_study_is_named(folder: Path) -> None:
    other = {**ROW, "codec": "swin"}
    (folder / "points.jsonl").write_text(write_row(KEY.replace("jpeg-ldpc-qam", "swin"), other))
    with pytest.raises(ValueError, match=r"a row of swin on awgn at ratio 0\.25, which is not of the study"):
        write_report(folder, folder / "report.html")


def test_results_without_versions_are_reported(folder: Path) -> None:
    told = {key: value for key, value in about().items() if key not in ("versions", "machine", "git", "created")}
    (folder / "study.json").write_text(json.dumps(told))
    assert "made by an earlier version" in write_report(folder, folder / "report.html").read_text()


@pytest.mark.parametrize("name", ["study.json", "points.jsonl"])
def test_deep_nesting_is_one_line(name: str, folder: Path) -> None:
    for text in ("[" * 100_000, '{"row":' * 5000 + "1" + "}" * 5000, '{"row": ' + "[" * 60 + "]" * 60 + "}"):
        (folder / name).write_text(text + "\n")
        with pytest.raises(ValueError, match=r"nested|JSON|Expecting") as told:
            write_report(folder, folder / "report.html")
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("images", ["inf", "-1", "1.5", "1e30", ""])
def test_counts_of_a_table_are_whole_numbers(images: str, tmp_path: Path) -> None:
    head = "codec,channel,esno_db,ratio,psnr_db,failed,images,realisations,seed,spec\n"
    (tmp_path / "compare.csv").write_text(f"{head}x,awgn,5,0.25,30,0,{images},1,0,awgn\n")
    with pytest.raises(ValueError, match=r"compare\.csv: images must be whole numbers from 0"):
        write_report(tmp_path / "compare.csv", tmp_path / "report.html")


def test_a_card_that_lacks_figures_is_shown_as_far_as_it_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {"CIFAR-10": {"psnr_db": {"0": 1.0, "5": 2.0}, "margin_db": {"0": 1.0}, "margin_db_low": {}, "x": {}}}
    card = ReceiverCard("r", "cddm", {}, 9, "cddm", "zoo:swin", "none", "awgn", "none", "0" * 64, figures=figures)
    monkeypatch.setattr(zoo_command, "receiver_cards", lambda: {"r": card})
    monkeypatch.setattr(zoo_command, "find_receiver", lambda _: (card, Path(__file__)))
    zoo_command.run_zoo(measure=None, as_json=False)  # the table, in a line
    assert "│ r " in capsys.readouterr().out
    zoo_command.run_zoo(["r"], measure=None, as_json=False)
    assert "1.00" in capsys.readouterr().out
