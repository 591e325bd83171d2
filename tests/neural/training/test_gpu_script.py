"""`neural/recipes/gpu.sh`: its order, what it leaves out and takes up again, and some steps of each kind on a CPU."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from semlink.neural.models import build, parameters
from semlink.neural.training import data, lessons, read_recipe

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[3]
SCRIPT = "neural/recipes/gpu.sh"
STUB = """#!/bin/bash
# In place of semlink: notes its words, and writes weights unless told to fail.
echo "$@" >>"$LOG"
[[ ${FAILS:-} != "" && $2 == *"/$FAILS.toml" ]] && exit 3
mkdir -p "$4" && touch "$4/$(basename "$4").safetensors"
"""


def script(*words: str, **given: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **given}
    return subprocess.run([SCRIPT, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def plan(*words: str, **given: str) -> list[list[str]]:
    done = script("--dry-run", *words, **given)
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in done.stdout.splitlines()]


def names(commands: list[list[str]]) -> list[str]:
    return [Path(words[2]).stem for words in commands]


def test_every_recipe_for_a_gpu_is_in_it_behind_what_it_needs() -> None:
    waiting = {
        path.stem for path in (ROOT / "neural" / "recipes").glob("*.toml") if 'device = "cuda"' in path.read_text()
    }
    commands = plan()
    assert set(names(commands)) == waiting
    seen: set[str] = set()
    for words in commands:
        needed = [word for word in words if word.endswith(".safetensors")]
        assert all(Path(word).stem in seen for word in needed)
        settings = read_recipe(ROOT / words[2])
        first = [getattr(settings, name) for name in ("init", "teacher")]
        assert len([one for one in first if one.startswith("runs/")]) == len(needed)
        seen.add(settings.name)


def test_minutes_are_variables_and_0_leaves_one_out(tmp_path: Path) -> None:
    commands = plan(
        "swin-gpu", "adjscc", MINUTES_SWIN_GPU="7", MINUTES_ADJSCC="0", OUT=str(tmp_path), LIMIT_MINUTES="3"
    )
    (words,) = commands
    assert words[:5] == ["semlink", "train", "neural/recipes/swin-gpu.toml", "--out", f"{tmp_path}/swin-gpu"]
    assert "schedule_minutes=7" in words
    assert words[-2:] == ["--minutes", "3.00"]
    assert script("--dry-run", "--stops").returncode == 2


def test_what_is_done_is_left_out_and_what_failed_is_taken_up(tmp_path: Path) -> None:
    stub, log = tmp_path / "stub", tmp_path / "log"
    stub.write_text(STUB)
    stub.chmod(0o755)
    given = {"SEMLINK": str(stub), "LOG": str(log), "OUT": str(tmp_path / "runs")}
    chosen = ["sft-paper-1", "sft-paper-2", "adjscc"]
    done = script(*chosen, FAILS="sft-paper-1", **given)
    assert done.returncode == 1
    assert "sft-paper-2: waits for " in done.stderr
    assert "not finished: sft-paper-1 sft-paper-2" in done.stderr
    assert script(*chosen, **given).returncode == 0
    asked = [Path(line.split()[1]).stem for line in log.read_text().splitlines()]
    assert asked == ["adjscc", "sft-paper-1", "sft-paper-1", "sft-paper-2"]
    assert script(*chosen, **given).returncode == 0
    assert len(log.read_text().splitlines()) == 4


def test_the_networks_are_no_larger_than_they_may_be() -> None:
    settings = read_recipe(ROOT / "neural" / "recipes" / "swin-photo-gpu.toml")
    assert 4e6 < parameters(build(settings.model, settings.network)) <= 6e6


@pytest.fixture
def little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Few images in place of all data sets."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (600, 3, 32, 32), generator=rng).to(torch.uint8)
    folder = tmp_path / "data" / "natural1000"
    folder.mkdir(parents=True)
    for i in range(2):
        pixels = torch.randint(0, 256, (80, 90, 3), generator=rng).to(torch.uint8)
        Image.fromarray(pixels.numpy()).save(folder / f"{i}.png")
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(data, "cifar10_bytes", lambda _: images)
    classes = [str(i) for i in range(100)]
    few = lessons._Set("CIFAR-100", lambda: classes, lambda: (images, torch.arange(600) % 100))
    monkeypatch.setitem(lessons.LABELLED, "cifar100", few)  # type: ignore[arg-type]
    monkeypatch.chdir(ROOT)
    return tmp_path


@pytest.mark.parametrize("name", ["swin-gpu", "swin-photo-gpu", "sft-paper-1", "prompt-32-gpu", "cifar100-teacher-gpu"])
def test_some_steps_of_each_kind_on_a_processor(name: str, little: Path, run_semlink: Run) -> None:
    """Three: ten of all of them took 40 s of an idle core, most of it for the orthogonal updates."""
    (words,) = plan("--steps", "3", name, OUT=str(little / "runs"))
    status, _, err = run_semlink(*words[1:], "--threads", "1", "--quiet")
    assert status == 0, err
    assert (little / "runs" / name / f"{name}.safetensors").is_file()
    assert (little / "runs" / name / "log.csv").read_text().splitlines()[-1].startswith("3,")
