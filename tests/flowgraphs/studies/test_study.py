from __future__ import annotations

import io
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from semlink.flowgraphs.cli import main
from semlink.flowgraphs.cli import studies as commands
from semlink.flowgraphs.comparison import compare
from semlink.flowgraphs.specs import options, own_blocks
from semlink.flowgraphs.studies import (
    Engine,
    Point,
    Progress,
    Refine,
    Stop,
    Study,
    engine,
    plot_psnr,
    plot_quantity,
    provenance,
    read_results,
    read_study,
    run_study,
    save_figure,
    workers,
)
from semlink.flowgraphs.studies.results import Results
from semlink.flowgraphs.studies.runner import estimate_seconds
from semlink.phy.channels import AWGN
from semlink.phy.link import Frame, Received, normalise_power
from semlink.phy.sources import sample_images

TIMED = ("seconds", "pictures")


def small(tmp_path: Path, **options: object) -> Study:
    """A study of four 16×16 images that takes a moment."""
    folder = tmp_path / "images"
    if not folder.exists():
        folder.mkdir()
        from PIL import Image

        rng = np.random.default_rng(0)
        for i in range(4):
            smooth = np.kron(rng.integers(0, 255, (4, 4, 3)), np.ones((4, 4, 1)))
            Image.fromarray(smooth.astype(np.uint8)).save(folder / f"{i}.png")
    given: dict[str, Any] = {"images": [str(folder)], "codecs": ["jpeg-uncoded-qam:4qam-1/2"], "esno_db": [0, 6, 12]}
    return Study(**{**given, "ratios": ["1/3"], "pictures": 1, **options})


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal to the last bit, but for the time it took."""
    columns = [name for name in one if name not in TIMED]
    pd.testing.assert_frame_equal(one[columns], other[columns], check_exact=True)


def test_a_study_gives_what_compare_gives(tmp_path: Path) -> None:
    study = Study(codecs=["deepjscc"], esno_db=[0, 10], channels=["rayleigh"], realisations=2)
    table = run_study(study, workers=0)
    channel = options.make_channel("rayleigh", coherence=None, csi=None, equaliser=None)
    images = options.load_images(["samples"])
    codecs = options.make_codecs(["deepjscc"], ratio=1 / 6, mcs="16qam-1/2", channel=channel)
    expected = compare(images, codecs, channel, [0, 10], realisations=2).table
    for name in ("psnr_db", "psnr_mean_db", "ssim", "ratio", "papr_db", "psnr_db_low", "images", "realisations"):
        np.testing.assert_allclose(table[name].astype(float), expected[name].astype(float), rtol=1e-5, err_msg=name)
    assert list(table["error"]) == ["", ""]


@pytest.mark.parametrize(
    ("codec", "expected"), [("jpeg-uncoded-qam:4qam-1/2", 1), ("swin-gsc", 1), ("deepjscc", 3), ("swin-gsc+sft", 1)]
)
def test_frames_are_encoded_once_for_all_channels(
    codec: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And for all Es/N0, where the codec makes no use of it."""
    study = small(tmp_path, codecs=[codec], ratios=["1/6"], channels=["awgn", "rayleigh"], realisations=3)
    sender = Engine(study)
    sends = sender.codec(study.points()[0])
    calls: list[float] = []
    encode = sends.encode
    monkeypatch.setattr(sends, "encode", lambda image, n0: calls.append(n0) or encode(image, n0))
    alone = {}
    for point in engine.in_turn(study, study.points()):
        alone[point] = sender.run(point).row["psnr_db"]
    assert len(calls) == expected
    monkeypatch.undo()
    for point, psnr_db in alone.items():
        assert Engine(study).run(point).row["psnr_db"] == psnr_db


def test_frames_hold_no_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of one's own has trainable weights; kept with its graph, a frame would keep all activations."""
    monkeypatch.chdir(tmp_path)
    network = "class Grey(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    network += "        self.scale = torch.nn.Parameter(torch.ones(()))"
    code = (
        OWN.replace("LEVEL", "0.5").replace("torch.ones(", "self.scale * torch.ones(").replace("class Grey:", network)
    )
    Path("nets_of_mine.py").write_text(code)
    study = small(tmp_path, codecs=["nets_of_mine:Grey"])
    sender = Engine(study)
    assert sender.run(study.points()[0]).row["error"] == ""
    assert not any(frame.symbols.requires_grad for frame in sender._frames._kept.values())


def test_processes_give_what_one_process_gives_and_resume(tmp_path: Path) -> None:
    study = small(tmp_path, channels=["awgn", "rayleigh"])
    whole = run_study(study, workers=0)
    seen: list[Progress] = []
    table = run_study(study, tmp_path / "out", workers=2, progress=lambda state: seen.append(replace(state)))
    same(whole, table)
    assert [state.done for state in seen] == list(range(7))
    assert {state.total for state in seen} == {6}
    same(whole, pd.read_parquet(tmp_path / "out" / "table.parquet"))
    seen.clear()
    same(whole, run_study(study, tmp_path / "out", workers=2, progress=lambda state: seen.append(replace(state))))
    assert [state.done for state in seen] == [6]
    about = json.loads((tmp_path / "out" / "study.json").read_text())
    assert about["study"]["seed"] == 0
    assert about["versions"]["torch"] == torch.__version__
    picture = json.loads(table["pictures"][0]) or json.loads(read_results(tmp_path / "out")[1]["pictures"][0])
    assert all((tmp_path / "out" / file).is_file() for file in picture.values())


KILLED = """
import sys
from semlink.flowgraphs.studies.study import read_study
from semlink.flowgraphs.studies.runner import run_study
run_study(read_study(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]))
"""


def write_study(study: Study, path: Path) -> Path:
    """As TOML."""
    values = study.to_dict()
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [f"[{key}]", *(f"{name} = {json.dumps(one)}" for name, one in value.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_a_sweep_killed_ten_times_ends_with_the_same_table(tmp_path: Path) -> None:
    study = small(tmp_path, channels=["awgn", "rayleigh"], esno_db="0:20:1", refine=Refine(psnr_db=1.0))
    path, out = write_study(study, tmp_path / "study.toml"), tmp_path / "out"
    assert read_study(path) == study
    rng, kept = random.Random(0), [0]
    for i in range(10):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path), str(out), str(i % 3)])
        lines = out / "points.jsonl"
        begun = time.monotonic()
        while time.monotonic() < begun + 60 and process.poll() is None:  # some points more, and then some more
            if lines.exists() and lines.read_bytes().count(b"\n") > kept[-1] + 1:
                break
            time.sleep(0.01)
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept.append(lines.read_bytes().count(b"\n"))
    assert kept == sorted(kept)
    assert kept[1] > 0
    table = run_study(study, out, workers=2)
    same(table, run_study(study, workers=0))
    assert len(table) > study.size
    assert len((out / "points.jsonl").read_text().splitlines()) == len(table)  # nothing was counted twice


def test_a_torn_last_line_is_sent_again(tmp_path: Path) -> None:
    study = small(tmp_path)
    whole = run_study(study, tmp_path / "out", workers=0)
    lines = tmp_path / "out" / "points.jsonl"
    lines.write_bytes(lines.read_bytes()[:-20])
    same(whole, run_study(study, tmp_path / "out", workers=0))
    lines.write_bytes(b"{}\n" + lines.read_bytes())
    with pytest.raises(ValueError, match="line 1 is no row"):
        run_study(study, tmp_path / "out", workers=0)


def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    study = small(tmp_path, channels=["awgn", "rayleigh"])
    with workers.Workers(study, 2) as pool:
        pool.submit(study.points())
        found = {}
        for point, outcome in pool.finished():
            assert point not in found
            found[point] = outcome.row["psnr_db"]
            if len(found) == 1:
                victim = next(worker for worker in pool._workers if worker.point)
                os.kill(victim._process.pid, signal.SIGKILL)
    assert list(run_study(study, workers=0)["psnr_db"]) == [found[point] for point in study.points()]


def test_a_point_that_no_worker_survives_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os\nfrom semlink.flowgraphs.studies.engine import Engine\n"
        "run = Engine.run\n"
        "Engine.run = lambda self, point: os._exit(7) if point.esno_db == 6 else run(self, point)\n"
    )
    monkeypatch.setattr(workers.subprocess, "Popen", deadly(tmp_path, workers.subprocess.Popen))
    with workers.Workers(small(tmp_path), 1) as pool:
        pool.submit(small(tmp_path).points())
        finished: list[float] = []
        with pytest.raises(workers.WorkerError, match=r"\|6: 3 workers ended .*exit status 7"):
            finished.extend(point.esno_db for point, _ in pool.finished())
    assert finished == [0.0, 12.0]  # all the others


def deadly(folder: Path, popen: Callable[..., Any]) -> Callable[..., object]:
    """`Popen` of a program that first imports what kills it at its first point."""

    def start(arguments: list[str], *, env: dict[str, str], **rest: object) -> object:
        program = "import deadly; from semlink.flowgraphs.studies.workers import serve; serve()"
        env = {**env, "PYTHONPATH": f"{folder}{os.pathsep}{env['PYTHONPATH']}"}
        return popen([arguments[0], "-c", program], env=env, **rest)

    return start


def interrupted(_: Progress) -> None:
    """Ctrl-C before anything is sent."""
    raise KeyboardInterrupt


def test_a_shortage_of_memory_is_no_error_of_the_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = 'if 0.2 < received.n0.mean() < 0.3: raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")'
    code = OWN.replace("LEVEL", "0.5").replace(
        "    def decode(self, received):", "    def decode(self, received):\n        S"
    )
    Path("hungry_of_mine.py").write_text(code.replace("        S", f"        {short}"))
    study = small(tmp_path, codecs=["hungry_of_mine:Grey"])
    with pytest.raises(workers.WorkerError, match=r"\|6: too little memory"):
        run_study(study, tmp_path / "out", workers=0)
    table = read_results(tmp_path / "out")[1]
    assert list(table["esno_db"]) == [0.0, 12.0]
    assert list(table["error"]) == ["", ""]


def test_an_error_amid_a_curve_ends_its_refinement_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    broken = OWN.replace("LEVEL", "received.n0.mean().clamp(0, 1).item()")
    broken = broken.replace("    def decode(self, received):", "    def decode(self, received):\n        FAULT")
    fault = "if 0.2 < received.n0.mean() < 0.3: raise RuntimeError('not at 6 dB')"
    Path("faulty_of_mine.py").write_text(broken.replace("FAULT", fault))
    study = small(tmp_path, codecs=["faulty_of_mine:Grey"], refine=Refine(psnr_db=0.01, finest_db=1.0))
    table = run_study(study, tmp_path / "out", workers=0)
    assert list(table[table["error"] != ""]["esno_db"]) == [6.0]
    sent: list[Progress] = []
    run_study(study, tmp_path / "out", workers=0, progress=sent.append)
    assert [state.done for state in sent][-1] == [state.total for state in sent][-1] == len(table)
    lines = (tmp_path / "out" / "points.jsonl").read_text().splitlines()
    assert len(lines) == len(table) + 1  # what failed is sent again, and that alone
    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "out", workers=0, progress=interrupted)
    assert len(pd.read_parquet(tmp_path / "out" / "table.parquet")) == len(table)  # with the row of the error


def test_a_short_run_of_luck_does_not_stop_a_point() -> None:
    row = {"psnr_db_low": 29.99, "psnr_db_high": 30.01, "images": 1, "realisations": 2, "block_errors": 0}
    stop = Stop(psnr_ci_db=0.1)
    assert not stop.is_met(row)
    assert stop.is_met({**row, "realisations": 11})
    assert stop.is_met({**row, "images": 10, "realisations": 1})
    assert not stop.is_met({**row, "images": 10, "psnr_db_low": math.nan})


def test_further_points_come_where_a_curve_bends() -> None:
    def row(esno_db: float, psnr_db: float, failed: int = 0, error: str = "") -> dict[str, Any]:
        return {
            "esno_db": esno_db, "psnr_db": psnr_db, "failed": failed, "images": 2, "realisations": 2, "error": error
        }  # fmt: skip

    refine = Refine(psnr_db=3.0, failed=0.25, finest_db=0.5)
    assert refine.further([row(0, 10), row(2, 12), row(4, 20), row(6, 20)]) == [3]
    assert refine.further([row(4, 20), row(0, 10), row(2, 12, failed=2)]) == [1, 3]
    assert refine.further([row(0, 10), row(1, 20), row(1.5, 30)]) == [0.5]
    assert refine.further([row(0, 10), row(1, 20, error="x"), row(2, 11)]) == []
    assert Refine().further([row(0, 10), row(2, 30)]) == []


def test_the_cliff_is_found(tmp_path: Path) -> None:
    study = small(tmp_path, codecs=["jpeg-ldpc-qam:16qam-1/2"], esno_db=[0, 20], refine=Refine(5.0, finest_db=1.0))
    table = run_study(study, workers=0)
    assert len(table) > 4
    steps = table["esno_db"].diff().to_numpy()[1:]
    falls = table["psnr_db"].diff().abs().to_numpy()[1:]
    assert np.all((falls <= 5) | (steps < 2))
    assert steps[np.argmax(falls)] == min(steps)


def test_a_point_stops_when_it_is_known_well_enough(tmp_path: Path) -> None:
    options: dict[str, Any] = {"esno_db": [8], "realisations": 2, "channels": ["rayleigh"]}
    wide = run_study(small(tmp_path, **options, stop=Stop(psnr_ci_db=3.0, most=40)), workers=0).iloc[0]
    narrow = run_study(small(tmp_path, **options, stop=Stop(psnr_ci_db=1.0, most=40)), workers=0).iloc[0]
    assert 2 <= wide["realisations"] < narrow["realisations"] <= 40
    assert (narrow["psnr_db_high"] - narrow["psnr_db_low"]) / 2 <= 1.0
    digital: dict[str, Any] = {"codecs": ["jpeg-ldpc-qam:16qam-1/2"], "esno_db": [0], "stop": Stop(block_errors=10)}
    row = run_study(small(tmp_path, **digital), workers=0).iloc[0]
    assert 10 <= row["block_errors"] < 10 + 4
    assert row["outage"] == row["failed"] / (row["images"] * row["realisations"])


class Fussy:
    """A codec that will not have one of the images."""

    ratio = 1 / 3

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        """Pairs of pixels as symbols."""
        if (image.mean(dim=(1, 2, 3)) > 0.52).any():
            raise RuntimeError("too bright\nfor me")
        values = image.flatten(1)[:, : 2 * (image[0].numel() // 3)] - 0.5
        symbols = torch.view_as_complex(values.reshape(len(image), -1, 2).contiguous())
        return Frame(normalise_power(symbols), {"payload": symbols.shape[1]})

    def decode(self, received: Received) -> torch.Tensor:
        """Grey."""
        assert received.image_shape is not None
        return torch.full((len(received.symbols), *received.image_shape), 0.5)


def test_a_codec_that_raises_leaves_an_error_row_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = options._make_codec
    monkeypatch.setattr(options, "_make_codec", lambda name, **rest: Fussy() if name == "fussy" else made(name, **rest))
    study = small(tmp_path, codecs=["fussy", "jpeg-uncoded-qam:4qam-1/2"])
    path = write_study(study, tmp_path / "s.toml")
    assert (
        commands.run_sweep(
            path, tmp_path / "out", workers=0, scheduler=None, resources=[], yes=False, csv=True, as_json=False
        )
        == 1
    )
    table = pd.read_csv(tmp_path / "out" / "table.csv", keep_default_na=False)
    bad = table[table["codec"] == "fussy"]
    assert len(bad) == 3
    assert all("RuntimeError: too bright for me" in said and ".png" in said for said in bad["error"])
    assert set(bad["images"]) == {0}
    assert set(table[table["codec"] != "fussy"]["error"]) == {""}
    assert "too bright for me" in capsys.readouterr().err


class Cropping(Fussy):
    """A codec whose images have lost a row."""

    def encode(self, image: torch.Tensor, n0: float) -> Frame:
        """As dark as it may be."""
        return super().encode(0.5 * image, n0)

    def decode(self, received: Received) -> torch.Tensor:
        """Grey."""
        return super().decode(received)[..., 1:, :]


def test_images_that_cannot_be_measured_leave_an_error_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = options._make_codec
    monkeypatch.setattr(options, "_make_codec", lambda name, **rest: Cropping() if name == "c" else made(name, **rest))
    table = run_study(small(tmp_path, codecs=["c", "jpeg-uncoded-qam:4qam-1/2"]), workers=0)
    assert [bool(error) for error in table["error"]] == [True] * 3 + [False] * 3
    assert "0.png" in table["error"][0]


@pytest.mark.parametrize(
    ("codec", "mcs", "shared"),
    [
        ("jpeg-ldpc-qam+sft-jpeg", "16qam-1/2", True),
        ("jpeg-ldpc-qam:outage", "16qam-1/2", False),
        ("jpeg-ldpc-qam:outage+sft-jpeg:steps=1", "16qam-1/2", False),
        ("jpeg-ldpc-qam", "outage", False),
    ],
)
def test_a_codec_that_knows_the_fading_is_built_for_each_channel(
    codec: str, mcs: str, shared: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = small(tmp_path, codecs=[codec], mcs=mcs, channels=["awgn", "rayleigh"], esno_db=[0])
    monkeypatch.setattr(engine, "make_codecs", lambda names, **_: {names[0]: object()})
    sender = Engine(study)
    one, other = (sender.codec(point) for point in study.points())
    assert (one is other) is shared


def test_a_sweep_that_is_killed_at_once_begins_again(tmp_path: Path) -> None:
    study, out = small(tmp_path, esno_db=[0]), tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    (out / "study.part").write_text('{"form')
    assert len(run_study(study, out, workers=0)) == 1


def test_a_changed_study_does_not_mix_with_old_results(tmp_path: Path) -> None:
    study, out = small(tmp_path), tmp_path / "out"
    run_study(study, out, workers=0)
    with pytest.raises(
        ValueError, match=r"another study: esno_db was \[0.0, 6.0, 12.0\], is \[0.0\]; seed was 0, is 1"
    ):
        run_study(replace(study, esno_db=[0], seed=1), out, workers=0)
    about = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps({**about, "format": 99}))
    with pytest.raises(ValueError, match="of format 99, this version reads 1"):
        run_study(study, out, workers=0)
    (out / "study.json").write_text(json.dumps({**about, "versions": {"semlink": "0.0.1"}}))
    with pytest.raises(ValueError, match=r"begun with semlink 0.0.1"):
        run_study(study, out, workers=0)
    (out / "study.json").write_text(json.dumps(about))
    next((tmp_path / "images").glob("0.png")).write_bytes((tmp_path / "images" / "1.png").read_bytes())
    with pytest.raises(ValueError, match=r"0.png had other pixels"):
        run_study(study, out, workers=0)
    next((tmp_path / "images").glob("0.png")).unlink()
    with pytest.raises(ValueError, match=r"0.png had other pixels, is new or is gone"):
        run_study(study, out, workers=0)


OWN = """
import torch
from semlink.phy.link import Frame, normalise_power
class Grey:
    def encode(self, image, n0):
        return Frame(normalise_power(torch.ones(len(image), 8, dtype=torch.complex64)), {"payload": 8})
    def decode(self, received):
        return torch.full((len(received.symbols), *received.image_shape), LEVEL)
"""


def test_a_block_of_ones_own_that_has_changed_does_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("greys_of_mine.py").write_text(OWN.replace("LEVEL", "0.5"))
    study, out = small(tmp_path, codecs=["greys_of_mine:Grey"]), tmp_path / "out"
    whole = run_study(study, out, workers=0)
    assert list(whole["error"]) == [""] * 3
    same(whole, run_study(study, out, workers=0))
    Path("greys_of_mine.py").write_text(OWN.replace("LEVEL", "0.6"))
    with pytest.raises(ValueError, match=r"code or weights of greys_of_mine:Grey have changed"):
        run_study(study, out, workers=0)


def test_weights_by_path_count_as_code(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"one")
    study = Study(codecs=[f"deepjscc+{tmp_path}/mine.safetensors:steps=1", "swin+sft-swin-perceptual"])
    before = provenance.block_digests(study)
    assert list(before) == [f"{tmp_path}/mine.safetensors:steps=1"]
    (tmp_path / "mine.safetensors").write_bytes(b"two")
    assert provenance.block_digests(study) != before


def test_other_code_and_libraries_are_told(tmp_path: Path) -> None:
    study, about = small(tmp_path), tmp_path / "out" / "study.json"
    run_study(study, tmp_path / "out", workers=0)
    run_study(replace(study, name="renamed"), tmp_path / "out", workers=0)  # no number depends on it
    said = json.loads(about.read_text())
    about.write_text(json.dumps({**said, "versions": {**said["versions"], "torch": "1.0"}}))
    with pytest.warns(UserWarning, match=r"begun with torch 1\.0, now 2.*: the points to come may differ"):
        run_study(study, tmp_path / "out", workers=0)
    about.write_text(json.dumps({**said, "code": "other"}))
    with pytest.warns(UserWarning, match=r"begun with another state of semlink's code"):
        run_study(study, tmp_path / "out", workers=0)
    (resumed,) = json.loads(about.read_text())["resumed"]
    assert resumed["code"] == provenance.code_digest()


def test_of_a_package_all_code_counts_of_a_folder_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("packed_of_mine/inner", "loose_of_mine/inner"):
        Path(folder).mkdir(parents=True)
        Path(folder, "codec.py").write_text(OWN)
        Path(folder).with_name("plots.py").touch()
    for folder in ("packed_of_mine", "packed_of_mine/inner"):
        Path(folder, "__init__.py").touch()
    assert len(own_blocks.source_files("packed_of_mine.inner.codec:Grey", "codecs")) == 4
    assert own_blocks.source_files("loose_of_mine.inner.codec:Grey", "codecs") == [
        tmp_path / "loose_of_mine" / "inner" / "codec.py"
    ]


def test_the_commit_is_of_semlink_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of a repository that an installed package lies in; and files that it does not track do not mark it."""

    def git(*words: str) -> None:
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a", *words], check=True)

    where = tmp_path / "venv" / "provenance.py"
    where.parent.mkdir()
    shutil.copy(provenance.__file__, where)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "a paper")
    monkeypatch.setattr(provenance, "__file__", str(where))
    assert provenance.commit() == ""
    git("add", "venv")
    assert provenance.commit().endswith("+")  # added, not yet committed
    git("commit", "-qm", "semlink")
    (tmp_path / "results").touch()
    assert len(provenance.commit()) == 40


def test_a_worker_gets_the_points_whose_frames_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[int, list[Point]] = {}

    class Idle:
        """A worker that only notes what it is sent."""

        def __init__(self, _: Study) -> None:
            self.frames, self.point = None, None
            self.answers, other = os.pipe()
            self.ends = (self.answers, other)

        def send(self, point: Point) -> None:
            self.point, self.frames = point, workers._frames(point)
            sent.setdefault(id(self), []).append(point)

        def end(self) -> None:
            for one in self.ends:
                os.close(one)

    monkeypatch.setattr(workers, "_Worker", Idle)
    study = small(tmp_path, channels=["awgn", "rayleigh", "rician:K=3"], esno_db=[0, 6])
    with workers.Workers(study, 2) as pool:
        pool.submit(engine.in_turn(study, study.points()))
        for _ in range(2):
            for one in pool._workers:
                one.point = None
            pool.submit([])
    assert [[point.esno_db for point in points] for points in sent.values()] == [[0.0] * 3, [6.0] * 3]


def test_two_sweeps_do_not_write_to_one_folder(tmp_path: Path) -> None:
    study = small(tmp_path)
    images = Engine(study).fingerprints()
    with Results(tmp_path / "out", study, images), pytest.raises(ValueError, match="another sweep writes there"):
        Results(tmp_path / "out", study, images)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds something else"):
        Results(tmp_path / "other", study, images)


def test_a_full_disk_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, out = small(tmp_path), tmp_path / "out"
    synced, fsync = [0], os.fsync

    def full(descriptor: int) -> None:
        synced[0] += 1
        if synced[0] == 3:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run_study(study, out, workers=0)
    monkeypatch.undo()
    assert len(read_results(out)[1]) == len(pd.read_parquet(out / "table.parquet")) == 2
    same(run_study(study, out, workers=0), run_study(study, workers=0))


def test_an_interrupted_sweep_leaves_a_whole_table(tmp_path: Path) -> None:
    study, out = small(tmp_path), tmp_path / "out"

    def interrupt(state: Progress) -> None:
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, out, workers=1, progress=interrupt)
    assert len(pd.read_parquet(out / "table.parquet")) == 2
    same(run_study(study, out, workers=1), run_study(study, workers=0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("esno_db = [", "study.toml: "),
        ("codec = ['swin']", "codec must be among: images, codecs, channels"),
        ("codecs = []", "codecs is empty"),
        ("esno_db = []", "esno_db is empty"),
        ("esno_db = '5:0:1'", "START:STOP:STEP"),
        ("esno_db = ['a']", "must be numbers of dB"),
        ("codecs = [1]", "must be a list of texts"),
        ("codecs = ['swin', 'swin']", "has a value twice"),
        ("ratios = ['1/0']", "must be a number above 0"),
        ("ratios = [true]", "must be numbers, or texts"),
        ("channels = ['ether']", "ether"),
        ("realisations = 0", "realisations=0 must be a whole number from 1"),
        ("realisations = 5\nstop = {block_errors = 1, most = 2}", "stop.most=2 must be at least realisations=5"),
        ("stop = {psnr = 1}", "stop.psnr must be among: psnr_ci_db, block_errors, most"),
        ("stop = {psnr_ci_db = -1}", "stop.psnr_ci_db=-1 must be"),
        ("refine = {finest_db = 0}", "refine.finest_db=0 must be"),
        ("metrics = ['beauty']", "must be one of"),
        ("seed = 'x'", "seed='x' must be a whole number from 0"),
    ],
)
def test_bad_studies_are_refused(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(ValueError) as caught:
        read_study(tmp_path / "study.toml")
    assert words in str(caught.value)


def test_bad_codecs_show_before_anything_is_sent(tmp_path: Path) -> None:
    for values, words in (
        ({"codecs": ["turbo"]}, "--codec 'turbo' must be one of"),
        ({"codecs": ["deepjscc"], "ratios": ["1/24"]}, "ratio=0.0416667 must be, for deepjscc"),
        ({"images": [str(tmp_path / "nothing")]}, "no such file or folder"),
    ):
        with pytest.raises(ValueError) as caught:
            run_study(small(tmp_path, **values), tmp_path / "out", workers=0)
        assert words in str(caught.value)
        assert not (tmp_path / "out").exists()


def test_resources_are_read() -> None:
    assert commands.parse_resources(["GPU=1", "memory=2e9"]) == {"GPU": 1, "memory": 2e9}
    for text in ("GPU", "GPU=x", "=1", "GPU=0", "GPU=inf"):
        with pytest.raises(ValueError, match="give NAME=AMOUNT"):
            commands.parse_resources([text])


def test_a_very_large_grid_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "MANY", 2)
    path = write_study(small(tmp_path), tmp_path / "study.toml")
    monkeypatch.setattr(sys, "argv", ["semlink", "sweep", str(path), "--out", str(tmp_path / "out"), "--workers", "0"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "3 points, about" in (said := capsys.readouterr().err)
    assert "--yes goes ahead" in said
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--yes", "--json"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    assert json.loads(capsys.readouterr().out)["points"] == 3
    with pytest.raises(ValueError, match="are more than 2000000"):
        Study(esno_db="0:99:0.1", ratios=[1 / (n + 1) for n in range(2100)])


def test_the_estimate_is_of_the_right_size(tmp_path: Path) -> None:
    study = small(tmp_path, realisations=20)
    said = estimate_seconds(study)
    begun = time.perf_counter()
    run_study(study, workers=0)
    assert said / 8 < time.perf_counter() - begun < said * 8
    assert [commands.duration(s) for s in (3.2, 600, 7200, 864000)] == [
        "3.2 seconds",
        "10 minutes",
        "2 hours",
        "10 days",
    ]


def test_three_lines_in_a_notebook(tmp_path: Path) -> None:
    table = small(tmp_path, channels=["awgn", "rayleigh"]).run(workers=0)
    figure = plot_psnr(table)
    assert [axes.get_title() for axes in figure.axes] == ["awgn", "rayleigh"]
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    line = figure.axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), table[table["spec"] == "awgn"]["psnr_db"])


def test_figures_for_a_paper(tmp_path: Path) -> None:
    study = small(tmp_path, codecs=["jpeg-ldpc-qam:16qam-1/2"], esno_db=[0, 20])
    table = run_study(study, tmp_path / "out", workers=0)
    figure = plot_quantity(table, "outage", ieee=True)
    assert figure.get_size_inches()[0] == 3.5
    path = save_figure(figure, tmp_path / "f.pdf")
    assert b"/Type3" not in path.read_bytes()
    with pytest.raises(ValueError, match=r"ending must be one of: .png, .pdf, .svg"):
        save_figure(figure, tmp_path / "f.doc")
    with pytest.raises(ValueError, match="quantity='beauty' must be one of"):
        plot_quantity(table, "beauty")
    with pytest.raises(ValueError, match="the table has no st_lpips over esno_db"):
        plot_quantity(table, "st_lpips")
    row = table.iloc[0]
    bits = 10 ** ((row["esno_db"] - row["ebno_db"]) / 10)
    assert 1.8 < bits <= 2.0  # 16qam-1/2 carries 2 bits a symbol, less the CRC's


def test_the_point_is_named_by_all_that_decides_it() -> None:
    points = Study(codecs=["swin", "deepjscc"], channels=["awgn", "rayleigh"], ratios=["1/6", "1/12"]).points()
    assert len({point.key for point in points}) == len(points) == 2 * 2 * 2 * 11
    assert Point("swin", "awgn", 1 / 6, 0.0).curve == Point("swin", "awgn", 1 / 6, 2.0).curve


def test_sample_images_and_awgn_are_what_a_study_sends_by_default() -> None:
    assert Study().size == 4 * 11
    assert len(sample_images()) == len(Engine(Study(codecs=["deepjscc"])).images)
    assert AWGN().labels["spec"] == "awgn"
