"""`semlink train`: fields that are changed by options, and a card whose command is the one that was run."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch

from semlink.flowgraphs.cli import main
from semlink.flowgraphs.cli.train import command_line, read_changes
from semlink.neural.training import Data, Settings, loop

RECIPE = """
name = "tiny"
network = {cell_symbols = 8, widths = [4, 6]}
steps = 40
batch = 4
groups = 2
checkpoint_every = 20
"""


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> None:
    small = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    none = torch.empty(0, 3, 128, 128, dtype=torch.uint8)

    def given(_settings: Settings) -> Data:
        return Data(small, none, small[:0])

    monkeypatch.setattr(loop, "training_images", given)


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["semlink", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.mark.usefixtures("images")
def test_the_card_tells_the_command_that_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, out = tmp_path / "my recipe.toml", tmp_path / "out"
    recipe.write_text(RECIPE)
    words = ["train", str(recipe), "--out", str(out), "--set", "steps=2", "--set", "channels=tdl-b:ds=300ns"]
    assert run([*words, "--threads", "1", "--quiet"], monkeypatch) == 0
    card = json.loads((out / "tiny.json").read_text())
    assert shlex.split(card["command"]) == ["semlink", *words, "--threads", "1"]
    assert card["channel"] == "tdl-b:ds=300ns; Es/N0 -1 to 21 dB"
    # Going on: the command that ended it, and settings that were changed are still refused.
    assert run([*words, "--threads", "1", "--minutes", "5", "--quiet"], monkeypatch) == 0
    card = json.loads((out / "tiny.json").read_text())
    assert shlex.split(card["command"])[-2:] == ["--minutes", "5"]


@pytest.mark.usefixtures("images")
def test_changed_options_do_not_go_on_from_the_checkpoint_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    words = ["train", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "out"), "--threads=1", "--quiet"]
    assert run([*words, "--set", "steps=2"], monkeypatch) == 0
    assert run([*words, "--set", "steps=2", "--set", "lr=0.5"], monkeypatch) == 2
    assert "lr was 0.001, is 0.5" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")  # as for a user: a line, no error
def test_omp_num_threads_is_heeded_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE + "threads = 3\n")
    found: list[Settings] = []

    def note(settings: Settings, out: Path, *, command: str, **_: object) -> Path:
        found.append(settings)
        return Path(command)

    monkeypatch.setattr("semlink.neural.training.train", note)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    words = ["train", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "out")]
    assert run(words, monkeypatch) == 0
    said = capsys.readouterr()
    assert (found[-1].threads, "OMP_NUM_THREADS says 2" in said.err, "--threads 2" in said.out) == (2, True, True)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # of torchrun, which sets the variable itself
    assert run(words, monkeypatch) == 0
    assert found[-1].threads == 3
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert run([*words, "--threads", "5"], monkeypatch) == 0
    assert found[-1].threads == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "cuda:7"], "--device cuda:7 must be cpu or cuda; CUDA_VISIBLE_DEVICES says which GPU"),
        (["--set", "steps"], "--set 'steps' must be FIELD=VALUE, such as steps=500"),
        (["--set", "steps=1", "--set", "steps=2"], "--set steps is given twice"),
        (["--set", "steps=[1"], "--set 'steps=[1': no value of TOML"),
        (["--set", "moon=1"], "moon must be among: name"),
        (["--set", "steps=0"], "steps=0 must be a whole number from 1"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    assert run(["train", str(tmp_path / "recipe.toml"), "--out", str(tmp_path), *words], monkeypatch) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_values_are_those_of_toml() -> None:
    found = read_changes(
        [
            "lr=1e-3",
            "rates = [8, 2]",
            "network={widths=[4, 6]}",
            "name=mine-2",
            "cifar10=false",
            "channels=tdl-b:ds=300ns,v=3+rapp:ibo=6",
        ]
    )
    assert found == {
        "lr": 1e-3,
        "rates": [8, 2],
        "network": {"widths": [4, 6]},
        "name": "mine-2",
        "cifar10": False,
        "channels": "tdl-b:ds=300ns,v=3+rapp:ibo=6",
    }


def test_several_processes_are_in_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = command_line(Path("a.toml"), Path("b"), [], {"--device": "cuda", "--images": None})
    assert told == "torchrun --no-python --nproc-per-node 2 semlink train a.toml --out b --device cuda"
