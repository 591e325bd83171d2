"""Some two thousand damaged cards, weights, recipes, studies and results: each is read, or refused by a ValueError."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from semlink.flowgraphs.protocol import make_keys, read_allowed, read_keys
from semlink.flowgraphs.studies import Study, read_results, read_study
from semlink.flowgraphs.studies.engine import STUDY_COLUMNS
from semlink.flowgraphs.studies.html_report import write_report
from semlink.flowgraphs.studies.results import read_rows
from semlink.neural import zoo
from semlink.neural.classifiers import TaskCard, read_task_card
from semlink.neural.diffusion import ReceiverCard, find_receiver
from semlink.neural.models import build
from semlink.neural.training import read_recipe
from semlink.phy.documents import parse_json

TINY = {"cell_symbols": 2, "widths": [2, 2]}
WRONG: tuple[Any, ...] = (
    *(None, True, -1, 0, 3.0, 10**26, -1e300, float("inf"), float("nan"), "", "x", "../../x", [], {}, [[1]], {"a": {}}),
    ["x", 1],
)


def changed_values(document: Any, rng: random.Random, count: int) -> Iterator[str]:  # noqa: ANN401
    """JSON with one value somewhere replaced by one of another kind, taken away, or buried deeply."""
    for i in range(count):
        made = deepcopy(document)
        parent, key = rng.choice(list(places(made)))
        if i % 9 == 0:
            del parent[key]
        else:
            parent[key] = rng.choice(WRONG)
        yield json.dumps(made)


def places(document: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
    keys = document.keys() if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in list(keys):
        yield document, key
        yield from places(document[key])


def changed_bytes(whole: bytes, rng: random.Random, count: int) -> Iterator[bytes]:
    """With a few bytes flipped, lost, repeated, or the end cut off."""
    for i in range(count):
        at, length = rng.randrange(len(whole)), rng.randrange(1, 4)
        if i % 4 == 0:
            yield whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :]
        elif i % 4 == 1:
            yield whole[:at] + whole[at + length :]
        elif i % 4 == 2:
            yield whole[:at] + whole[at : at + length] + whole[at:]
        else:
            yield whole[:at]


def refused(read: Callable[[], object]) -> int:
    """1 where it is, by a ValueError; whatever else is raised ends the test."""
    try:
        read()
    except ValueError:
        return 1
    return 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an untrained network, its card, and a receiver's card."""
    folder = tmp_path_factory.mktemp("trained")
    torch.manual_seed(0)
    model = build("deepjscc", TINY)
    zoo.write_weights(model, folder / "tiny.safetensors")
    digest = zoo.sha256(folder / "tiny.safetensors")
    ratio = float(model.ratio)  # type: ignore[arg-type]
    figures = {"CIFAR-10 test awgn": {"0": 20.0, "5": 22.0}}
    card = zoo.Card("tiny", "deepjscc", ratio, TINY, 100, "none", "awgn", "nothing", digest, figures=figures)
    zoo.write_card(card, folder)
    return folder


def test_cards_of_codecs(trained: Path, tmp_path: Path) -> None:
    card, rng = json.loads((trained / "tiny.json").read_text()), random.Random(0)
    (tmp_path / "tiny.safetensors").write_bytes((trained / "tiny.safetensors").read_bytes())
    count = 0
    for text in [*changed_values(card, rng, 250), "[" * 100_000, '{"a":' * 100_000, "3", "null"]:
        (tmp_path / "tiny.json").write_text(text)
        count += refused(lambda: zoo.load_run(tmp_path, "tiny"))
    for data in changed_bytes((trained / "tiny.json").read_bytes(), rng, 250):
        (tmp_path / "tiny.json").write_bytes(data)
        count += refused(lambda: zoo.load_run(tmp_path, "tiny"))
    assert count > 250


def test_cards_of_receivers(tmp_path: Path) -> None:
    made = ReceiverCard("r", "cddm", {"width": 8}, 9, "cddm", "zoo:swin", "none", "awgn", "nothing", "0" * 64)
    figures = {"CIFAR-10 test, AWGN": {"psnr_db": {"0": 20.0}}}
    card, rng = json.loads(json.dumps({**vars(made), "figures": figures})), random.Random(1)
    (tmp_path / "r.safetensors").write_bytes(b"")
    count = 0
    for text in [*changed_values(card, rng, 200), "[" * 100_000, "3", "[]"]:
        (tmp_path / "r.json").write_text(text)
        count += refused(lambda: find_receiver(tmp_path / "r.safetensors"))
    assert count > 100


def test_cards_of_task_codecs(tmp_path: Path) -> None:
    made = TaskCard("t", "task", {"width": 8}, 9, {"student": 5}, "resnet56", "none", "awgn", "nothing", "0" * 64)
    card, rng = json.loads(json.dumps({**vars(made), "figures": {"CIFAR-10 test": {"0": 0.5}}})), random.Random(3)
    count = 0
    for text in [*changed_values(card, rng, 200), "[" * 100_000, "3", "[]"]:
        (tmp_path / "t.json").write_text(text)
        count += refused(lambda: read_task_card(tmp_path / "t.json"))
    assert count > 100


def test_weights(trained: Path, tmp_path: Path) -> None:
    whole, rng = (trained / "tiny.safetensors").read_bytes(), random.Random(2)
    model, path = build("deepjscc", TINY), tmp_path / "w.safetensors"
    head = int.from_bytes(whole[:8], "little")
    count = 0
    for data in [*changed_bytes(whole[: head + 8], rng, 400), b"", b"\x00" * 8, b"\xff" * 64]:
        path.write_bytes(data if len(data) < 9 else data + whole[head + 8 :])
        count += refused(lambda: zoo.read_weights(model, path))
    assert count > 200


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    model = build("deepjscc", TINY)
    next(model.parameters()).data.fill_(torch.nan)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="has values that are not finite numbers"):
        zoo.read_weights(model, tmp_path / "w.safetensors")


def test_recipes(tmp_path: Path) -> None:
    text = (
        "name = 'tiny'\nmodel = 'deepjscc'\nnetwork = {cell_symbols = 2, widths = [2, 2]}\nsteps = 10\nlr = 1e-3\n"
        "esno_db = [0.0, 20.0]\nchannels = ['awgn']\nloss = {mse = 1.0}\nseed = 3\ncifar10 = false\n"
    )
    path, rng = tmp_path / "recipe.toml", random.Random(3)
    values = ["true", "-1", "3.5", f"{10**26}", "inf", "nan", "'x'", "[]", "{}", "[[1]]", "1979-05-27", "[" * 9999]
    lines = text.splitlines()
    changed = ["\n".join([*lines[:i], f"{line.split(' = ')[0]} = {value}", *lines[i + 1 :]]).encode()
               for i, line in enumerate(lines) for value in values]  # fmt: skip
    count = 0
    for data in [*changed, *changed_bytes(text.encode(), rng, 250)]:
        path.write_bytes(data)
        count += refused(lambda: read_recipe(path))
    assert count > 150


STUDY = Study(images=["a.png"], codecs=["jpeg-ldpc-qam"], esno_db=[0.0, 5.0], ratios=[0.25], name="one")


def test_studies(tmp_path: Path) -> None:
    rng, path = random.Random(4), tmp_path / "study.json"
    about = {"study": STUDY.to_dict()}
    count = 0
    for text in [*changed_values(about, rng, 300), '{"study":' * 9999, "[]", "3", '{"study": []}']:
        path.write_text(text)
        count += refused(lambda: read_study(path))
    lines = (
        "codecs = ['swin']\nesno_db = '0:10:2'\nratios = ['1/6']\nseed = 1\n[stop]\nmost = 5\n[refine]\nfailed = 0.5\n"
    )
    path = tmp_path / "study.toml"
    for data in changed_bytes(lines.encode(), rng, 200):
        path.write_bytes(data)
        count += refused(lambda: read_study(path))
    assert count > 250


def results(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a results folder of two points holds."""
    texts = dict.fromkeys(("csi", "coherence", "equaliser", "mode", "error"), "")
    counts = {"failed": 0, "images": 1, "realisations": 1, "seed": 0, "block_errors": 0, "blocks": 4}
    entries = []
    for point in STUDY.points():
        named = {"codec": point.codec, "channel": "awgn", "spec": "awgn", "asked_ratio": 0.25, "esno_db": point.esno_db}
        row = {**dict.fromkeys(STUDY_COLUMNS, 20.0), **texts, **counts, **named, "pictures": {}}
        entries.append({"key": point.key, "row": row})
    about = {
        "format": 1,
        "study": STUDY.to_dict(),
        "images": {"a.png": "0" * 64},
        "blocks": {},
        "code": "",
        "versions": {"semlink": "1"},
        "git": "",
        "created": "today",
        "machine": {"system": "x", "processor": "y", "cores": 2},
    }
    return about, entries


@pytest.mark.filterwarnings("ignore:results .* without a checksum")
def test_results(tmp_path: Path) -> None:
    rng, (about, entries) = random.Random(5), results(tmp_path)
    good = "".join(json.dumps(entry) + "\n" for entry in entries)

    def read(about_text: str, lines: str | bytes, *, report: bool = False, rows: bool = False) -> int:
        (tmp_path / "study.json").write_text(about_text)
        (tmp_path / "points.jsonl").write_bytes(lines.encode() if isinstance(lines, str) else lines)
        if report:
            return refused(lambda: write_report(tmp_path, tmp_path / "report.html"))
        return refused(lambda: read_rows(tmp_path) if rows else read_results(tmp_path))

    assert not read(json.dumps(about), good, report=True)
    count = 0
    for i, text in enumerate([*changed_values(about, rng, 150), '{"a":' * 9999]):
        count += read(text, good, report=i % 15 == 0)
    for i, text in enumerate([*changed_values(entries[0], rng, 300), "[" * 9999, "3"]):
        count += read(json.dumps(about), text + "\n", report=i % 30 == 0, rows=i % 10 > 0)
    for data in changed_bytes(good.encode(), rng, 200):
        count += read(json.dumps(about), data, rows=True)
    assert count > 250


@pytest.mark.filterwarnings("ignore:results .* without a checksum")
def test_a_picture_outside_the_folder_is_not_shown(tmp_path: Path) -> None:
    about, entries = results(tmp_path)
    for file in ("../secret.png", "/etc/secret.png", ""):
        entries[0]["row"]["pictures"] = {"a.png": file}
        (tmp_path / "study.json").write_text(json.dumps(about))
        (tmp_path / "points.jsonl").write_text(json.dumps(entries[0]) + "\n")
        with pytest.raises(ValueError, match=r"line 1 is no row \(pictures=.* must be a table of files in the folder"):
            read_results(tmp_path)


@pytest.mark.filterwarnings("ignore:results .* without a checksum")
def test_a_row_of_another_study_is_named(tmp_path: Path) -> None:
    about, entries = results(tmp_path)
    about["study"]["codecs"] = ["swin"]
    (tmp_path / "study.json").write_text(json.dumps(about))
    (tmp_path / "points.jsonl").write_text(json.dumps(entries[0]) + "\n")
    with pytest.raises(ValueError, match=r"a row of jpeg-ldpc-qam on awgn at ratio 0\.25, which is not of the study"):
        read_results(tmp_path)


def test_keys(tmp_path: Path) -> None:
    pytest.importorskip("zmq", reason="pyzmq is not installed")
    make_keys(tmp_path / "keys", ["anna"])
    path, rng = tmp_path / "keys" / "users" / "anna.json", random.Random(7)
    good, public, count = path.read_bytes(), tmp_path / "keys" / "allowed" / "anna.pub", 0
    for text in [*changed_values(json.loads(good), rng, 150), "[" * 4000, "3", "null"]:
        path.write_text(text)
        count += refused(lambda: read_keys(path))
    for data in changed_bytes(good, rng, 150):
        path.write_bytes(data)
        count += refused(lambda: read_keys(path))
    for data in changed_bytes(public.read_bytes(), rng, 150):
        public.write_bytes(data)
        count += refused(lambda: read_allowed(tmp_path / "keys"))
    assert count > 350  # a few are only other white space, or another name or key


def test_what_is_nested_too_deeply_is_said_in_words() -> None:
    for text in ("[" * 40 + "]" * 40, "[" * 100_000):
        with pytest.raises(ValueError, match="nested"):
            parse_json(text)
    assert parse_json("[" * 20 + "]" * 20)
