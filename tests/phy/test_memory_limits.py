"""Memory within limits of control groups: of both versions, of a job's own group and of those about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from semlink.phy import memory


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "meminfo").write_text("MemAvailable: 8000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_OWN_GROUPS", tmp_path / "own")
    return tmp_path / "cgroup"


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_a_job_has_what_its_group_and_those_about_it_leave(groups: Path) -> None:
    (groups.parent / "own").write_text("0::/slurm/job_7\n")
    write(groups / "slurm" / "job_7", {"memory.max": "6000000\n", "memory.current": "1000000\n"})
    assert memory.free_bytes() == 5_000_000
    write(groups / "slurm", {"memory.max": "7000000\n", "memory.current": "4000000\n"})
    write(groups / "slurm", {"memory.stat": "inactive_file 500000\n"})
    assert memory.free_bytes() == 3_500_000


def test_groups_of_version_1_are_read_too(groups: Path) -> None:
    (groups.parent / "own").write_text("9:cpu:/elsewhere\n4:memory:/docker/abc\n0::/\n")
    inside = groups / "memory"  # of a container that sees its own group alone
    write(inside, {"memory.limit_in_bytes": "5000000\n", "memory.usage_in_bytes": "3000000\n"})
    write(inside, {"memory.stat": "inactive_file 7\ntotal_inactive_file 500000\n"})
    assert memory.free_bytes() == 2_500_000
    write(inside, {"memory.limit_in_bytes": "9223372036854771712\n"})
    assert memory.free_bytes() == 8000 << 10
