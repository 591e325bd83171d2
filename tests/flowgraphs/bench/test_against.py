"""Two commits in turn, on a job of little work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from semlink.flowgraphs.bench import against, jobs
from semlink.flowgraphs.bench.against import measure_against, ratios_of

STUB = '''
"""A semlink whose code takes a known time."""
import time
import torch


class LDPC5G:
    def __init__(self, k, n, *, iterations):
        self.k, self.n = k, n

    def encode(self, bits):
        until = time.thread_time() + {seconds}
        while time.thread_time() < until:
            pass
        return torch.zeros(bits.shape[0], self.n)
'''


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git tree whose commit takes 30 ms for what it takes 10 ms for now."""
    for wing in against.WINGS:
        (tmp_path / wing).mkdir()
        (tmp_path / wing / "__init__.py").write_text("")
    code = tmp_path / "phy" / "fec.py"
    code.write_text(STUB.replace("{seconds}", "0.03"))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "slow")
    code.write_text(STUB.replace("{seconds}", "0.01"))
    monkeypatch.setattr(against, "_ROOT", tmp_path)
    monkeypatch.setattr(jobs, "make", lambda name: (lambda: None, 12800.0))
    return tmp_path


def test_each_tree_runs_its_own_code(tree: Path) -> None:
    (row,) = measure_against("HEAD", rounds=3, names=["ldpc encode 200 400 6"])
    assert 2.5 < row.ratio < 3.5
    assert row.mbps == pytest.approx(1.28, rel=0.1)


def test_a_tree_without_rooms_is_not_filled_up_from_what_is_installed(tree: Path) -> None:
    """At the commit LDPC5G is in `phy/ldpc.py`; `semlink.phy.fec` is there in the installed package alone."""
    git(tree, "mv", "phy/fec.py", "phy/ldpc.py")
    (tree / "phy" / "ldpc.py").write_text(STUB.replace("{seconds}", "0.03"))
    git(tree, "commit", "--quiet", "--all", "--message", "flat")
    (tree / "phy" / "fec.py").write_text(STUB.replace("{seconds}", "0.01"))
    (row,) = measure_against("HEAD", rounds=3, names=["ldpc encode 200 400 6"])
    assert 2.5 < row.ratio < 3.5


def test_what_is_no_commit_is_named(tree: Path) -> None:
    with pytest.raises(ValueError, match="--against nowhere: not a commit of "):
        measure_against("nowhere", rounds=1)
    with pytest.raises(ValueError, match="--against --help: not a commit of "):
        measure_against("--help", rounds=1)


def test_a_tree_that_cannot_do_a_job_is_named(tree: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = r"ldpc early 200 400 6: the tree in .*names cannot do it"
    contestant = against._contestant(against._namespace(tree, tree / "names"))
    with contestant as seconds, pytest.raises(ValueError, match=said):
        seconds("ldpc early 200 400 6")
    assert "no attribute 'decode'" in capfd.readouterr().err


def test_a_noisy_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, run_semlink: Callable[..., tuple[int, str, str]]
) -> None:
    steady = ratios_of("a", [1.0, 1.0, 1.0, 1.0], [2.0, 2.1, 2.0, 1.9], 1e6)
    noisy = ratios_of("b", [1.0, 1.0, 2.0, 1.0], [2.0, 3.0, 2.0, 1.9], 1e6)
    assert (steady.noisy, noisy.noisy) == (False, True)
    assert steady.ratio == 2.0
    assert (steady.mbps, steady.other_mbps) == (1.0, pytest.approx(1 / 1.9))
    assert ratios_of("c", [1.0], [2.0], 1e6).low == 2.0
    monkeypatch.setattr(against, "measure_against", lambda rev, *, rounds: [steady, noisy])
    status, out, _ = run_semlink("bench", "--against", "HEAD")
    assert status == 0
    assert "too noisy a machine to tell: 1 of 2 jobs" in out
    status, out, _ = run_semlink("bench", "--against", "HEAD", "--json")
    assert [row["noisy"] for row in json.loads(out)] == [False, True]
    status, _, err = run_semlink("bench", "--against", "HEAD", "ldpc")
    assert status != 0
    assert "--against goes without ldpc" in err


def test_every_job_can_be_made() -> None:
    assert len(set(jobs.NAMES)) == len(jobs.NAMES) == 23
    for kind in jobs.KINDS:
        assert jobs.measure(f"ldpc {kind} 200 400 6") > 0


def test_the_jobs_are_a_script_by_themselves() -> None:
    done = subprocess.run(
        [sys.executable, "-P", jobs.__file__], input="", capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
