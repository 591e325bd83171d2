"""The tests themselves: files that one can read, in folders that mirror those of the source."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
MIRRORED = ("phy", "neural", "baselines", "flowgraphs")
LONGEST = 400


def test_no_file_is_too_long_to_read() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in TESTS.rglob("*.py")}
    assert len(lines) > 80
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > LONGEST} == {}


def test_every_folder_is_one_of_the_source() -> None:
    """But for `golden`, which holds what tests expect."""
    tested = {path.parent.relative_to(TESTS) for name in MIRRORED for path in (TESTS / name).rglob("*.py")}
    assert {Path(name) for name in MIRRORED} <= tested
    assert sorted(str(folder) for folder in tested if not (ROOT / folder).is_dir()) == []


def test_what_the_fast_run_leaves_out_is_there() -> None:
    """The list is of an earlier run: a name that is gone would hide that its successor is slow."""
    names = (TESTS / "slow.txt").read_text().split()
    assert len(names) > 100
    for name in names:
        path, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), name
