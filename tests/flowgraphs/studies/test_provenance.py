"""What a sweep remembers of the code, the weights and the libraries that made its numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from semlink.flowgraphs.specs import own_blocks
from semlink.flowgraphs.studies import Study, provenance, run_study


def test_a_block_of_ones_own_that_has_changed_does_not_mix(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small: Callable[..., Study],
    same: Callable[[pd.DataFrame, pd.DataFrame], None],
    own_code: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("greys_of_mine.py").write_text(own_code.replace("LEVEL", "0.5"))
    study, out = small(codecs=["greys_of_mine:Grey"]), tmp_path / "out"
    whole = run_study(study, out, workers=0)
    assert list(whole["error"]) == [""] * 3
    same(whole, run_study(study, out, workers=0))
    Path("greys_of_mine.py").write_text(own_code.replace("LEVEL", "0.6"))
    with pytest.raises(ValueError, match=r"code or weights of greys_of_mine:Grey have changed"):
        run_study(study, out, workers=0)


def test_weights_by_path_count_as_code(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"one")
    study = Study(codecs=[f"deepjscc+{tmp_path}/mine.safetensors:steps=1", "swin+sft-swin-perceptual"])
    before = provenance.block_digests(study)
    assert list(before) == [f"{tmp_path}/mine.safetensors:steps=1"]
    (tmp_path / "mine.safetensors").write_bytes(b"two")
    assert provenance.block_digests(study) != before


def test_other_code_and_libraries_are_told(tmp_path: Path, small: Callable[..., Study]) -> None:
    study, about = small(), tmp_path / "out" / "study.json"
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


def test_of_a_package_all_code_counts_of_a_folder_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("packed_of_mine/inner", "loose_of_mine/inner"):
        Path(folder).mkdir(parents=True)
        Path(folder, "codec.py").write_text(own_code)
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
