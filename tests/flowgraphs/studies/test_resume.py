"""A sweep that is killed, torn, full or interrupted goes on to the same table, and never to a mixed one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from semlink.flowgraphs.studies import Engine, Progress, Refine, Study, read_results, read_study, run_study
from semlink.flowgraphs.studies.results import Results


def test_processes_give_what_one_process_gives_and_resume(
    tmp_path: Path, small: Callable[..., Study], same: Callable[[pd.DataFrame, pd.DataFrame], None]
) -> None:
    study = small(channels=["awgn", "rayleigh"])
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


RUNNER = """
import os, sys
from semlink.flowgraphs.studies.study import read_study
from semlink.flowgraphs.studies.runner import run_study
for workers in sys.stdin:  # imported once; each sweep has a process of its own all the same
    child = os.fork()
    if not child:
        run_study(read_study(sys.argv[1]), sys.argv[2], workers=int(workers))
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
def test_a_sweep_killed_ten_times_ends_with_the_same_table(
    tmp_path: Path,
    small: Callable[..., Study],
    same: Callable[[pd.DataFrame, pd.DataFrame], None],
    write_study: Callable[[Study, Path], Path],
) -> None:
    study = small(channels=["awgn", "rayleigh"], esno_db="0:20:1", refine=Refine(psnr_db=1.0))
    path, out = write_study(study, tmp_path / "study.toml"), tmp_path / "out"
    assert read_study(path) == study
    rng, kept, lines = random.Random(0), [0], out / "points.jsonl"
    command = [sys.executable, "-c", RUNNER, str(path), str(out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdin is not None
        assert runner.stdout is not None
        for i in range(10):
            print(2 * (i % 4 == 3), file=runner.stdin, flush=True)
            sweep = int(runner.stdout.readline())
            begun = time.monotonic()
            while time.monotonic() < begun + 60:  # some points more, and then some more
                if lines.exists() and lines.read_bytes().count(b"\n") > kept[-1] + 1:
                    break
                time.sleep(0.01)
            time.sleep(rng.random() * 0.05)
            os.kill(sweep, signal.SIGKILL)
            kept.append(lines.read_bytes().count(b"\n"))
    assert kept == sorted(kept)
    assert kept[1] > 0
    table = run_study(study, out, workers=2)
    same(table, run_study(study, workers=0))
    assert len(table) > study.size
    assert len((out / "points.jsonl").read_text().splitlines()) == len(table)  # nothing was counted twice


def test_a_torn_last_line_is_sent_again(
    tmp_path: Path, small: Callable[..., Study], same: Callable[[pd.DataFrame, pd.DataFrame], None]
) -> None:
    study = small()
    whole = run_study(study, tmp_path / "out", workers=0)
    lines = tmp_path / "out" / "points.jsonl"
    lines.write_bytes(lines.read_bytes()[:-20])
    same(whole, run_study(study, tmp_path / "out", workers=0))
    lines.write_bytes(b"{}\n" + lines.read_bytes())
    with pytest.raises(ValueError, match="line 1 is no row"):
        run_study(study, tmp_path / "out", workers=0)


def test_a_sweep_that_is_killed_at_once_begins_again(tmp_path: Path, small: Callable[..., Study]) -> None:
    study, out = small(esno_db=[0]), tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    (out / "study.part").write_text('{"form')
    assert len(run_study(study, out, workers=0)) == 1


def test_a_changed_study_does_not_mix_with_old_results(tmp_path: Path, small: Callable[..., Study]) -> None:
    study, out = small(), tmp_path / "out"
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


def test_two_sweeps_do_not_write_to_one_folder(tmp_path: Path, small: Callable[..., Study]) -> None:
    study = small()
    images = Engine(study).fingerprints()
    with Results(tmp_path / "out", study, images), pytest.raises(ValueError, match="another sweep writes there"):
        Results(tmp_path / "out", study, images)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds something else"):
        Results(tmp_path / "other", study, images)


def test_a_full_disk_keeps_what_is_finished(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small: Callable[..., Study],
    same: Callable[[pd.DataFrame, pd.DataFrame], None],
) -> None:
    study, out = small(), tmp_path / "out"
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


def test_an_interrupted_sweep_leaves_a_whole_table(
    tmp_path: Path, small: Callable[..., Study], same: Callable[[pd.DataFrame, pd.DataFrame], None]
) -> None:
    study, out = small(), tmp_path / "out"

    def interrupt(state: Progress) -> None:
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, out, workers=1, progress=interrupt)
    assert len(pd.read_parquet(out / "table.parquet")) == 2
    same(run_study(study, out, workers=1), run_study(study, workers=0))
