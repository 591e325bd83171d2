"""`semlink optimise`: what it prints and writes, going on, and what it refuses in a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from semlink.flowgraphs.optimisation import trials

Command = Callable[..., tuple[int, str, str]]
SHORT = ("--seeds=2", "--updates=4", "--quiet")


@pytest.mark.parametrize("environment", ["water-filling", "covert"])
def test_it_tells_every_seed(environment: str, run_semlink: Command, tmp_path: Path) -> None:
    status, out, error = run_semlink("optimise", f"--environment={environment}", *SHORT, f"--out={tmp_path}", "--json")
    assert (status, error) == (0, "")
    told = json.loads(out)
    assert [(row["policy"], row["seed"]) for row in told["rows"]] == [
        (policy, seed) for policy in ("gdm", "mlp", "gradient") for seed in (0, 1)
    ]
    optimum = next(iter(told["references"].values()))["value"]
    assert all(row["value"] <= optimum + 1e-6 for row in told["rows"])
    means = [one["mean"] for one in told["policies"].values()]
    assert means == sorted(means, reverse=True)
    assert json.loads((tmp_path / "optimise.json").read_text())["rows"] == told["rows"]
    curves = list(csv.DictReader((tmp_path / "curves.csv").read_text().splitlines()))
    assert {int(row["updates"]) for row in curves} == {0, 1, 2, 3, 4}
    assert (tmp_path / "optimise.png").stat().st_size > 10_000


def test_partial_csi_has_more_to_be_measured_against(run_semlink: Command, tmp_path: Path) -> None:
    status, out, _ = run_semlink("optimise", "--csi=partial", "--policy=oracle", f"--out={tmp_path}", "--json")
    assert status == 0
    values = {name: row["value"] for name, row in json.loads(out)["references"].items()}
    believing, careful = values["oracle, CSI taken for true"], values["oracle, one margin for all"]
    assert believing < 0.6 * values["oracle"] < 0.98 * values["oracle"] < careful < values["oracle"]


def test_a_run_that_was_stopped_goes_on(run_semlink: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(folder: str) -> tuple[int, str]:
        words = ("--environment=water-filling", "--policy=gdm", *SHORT)
        code, _, said = run_semlink("optimise", *words, f"--out={tmp_path / folder}")
        return code, said

    assert run("whole") == (0, "")
    advance, count = trials.Learner.advance, iter(range(100))

    def interrupted(learner: trials.Learner) -> float:
        if next(count) == 6:  # the second seed's third
            raise KeyboardInterrupt
        return advance(learner)

    monkeypatch.setattr(trials.Learner, "advance", interrupted)
    status, error = run("stopped")
    assert status == 130
    assert "checkpoints are kept; the same command goes on from there" in error
    monkeypatch.setattr(trials.Learner, "advance", advance)
    assert run("stopped") == (0, "")
    whole, stopped = ((tmp_path / name / "curves.csv").read_text() for name in ("whole", "stopped"))
    assert whole == stopped
    status, _, error = run_semlink(
        *("optimise", "--environment=water-filling", "--policy=gdm", "--seeds=1", "--updates=5", "--quiet"),
        f"--out={tmp_path / 'whole'}",
    )
    assert status == 2
    assert "updates was 4, is 5" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--environment=moon",), "--environment 'moon' must be one of: water-filling, covert"),
        (("--policy=dqn",), "--policy 'dqn' must be one of: gdm, gdm-published, mlp, gradient, oracle"),
        (("--seeds=0",), "--seeds 0 must be from 1 to 1000"),
        (("--updates=0",), "updates=0 must be from 1 to 10000000"),
        (("--csi=none",), "csi='none' must be one of: perfect, partial"),
        (("--cloning=2",), "cloning=2.0 must be from 0 to 1"),
        (("--given=epsilon",), "--given 'epsilon' must be NAME=NUMBER, such as epsilon=0.1"),
        (("--given=epsilon=2",), "epsilon=2 must be from 0.0001 to 0.99"),
        (("--given=energy=0.01",), "infeasible, energy: the least transmit power 0.1 is more than energy=0.01"),
        (("--given=epsilon=0.001",), "infeasible, jamming: "),
        (("--environment=water-filling", "--given=epsilon=0.1"), "--given: of --environment covert alone"),
        (("--surface=none.csv",), "none.csv"),
    ],
)
def test_what_cannot_be_is_one_line(words: tuple[str, ...], said: str, run_semlink: Command, tmp_path: Path) -> None:
    status, out, error = run_semlink("optimise", *words, f"--out={tmp_path / 'out'}")
    assert (status, out) == (2, "")
    assert error.startswith("semlink: error: ")
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
