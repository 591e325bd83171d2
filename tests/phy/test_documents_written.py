"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from semlink.phy.documents import write_whole, written_whole


def test_it_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "before")
    path.chmod(0o640)
    write_whole(path, "ä")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == ("ä".encode(), 0o640)
    write_whole(path, b"bytes")
    assert path.read_bytes() == b"bytes"
    assert [one.name for one in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_leaves_the_earlier_one(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write_whole(path, "before")
    with pytest.raises(type(error)), written_whole(path) as partial:  # noqa: PT012
        assert partial.suffix == ".png"  # by which writers of pictures tell the format
        partial.write_text("half of")
        raise error
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.png"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "a.txt").symlink_to(tmp_path / "real" / "b.txt")
    write_whole(tmp_path / "a.txt", "x")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "real" / "b.txt").read_text() == "x"


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    write_whole(Path(os.devnull), "x")
    assert not Path(os.devnull).is_file()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "gone" / "a.txt", "x")


def test_two_at_once_do_not_meet_and_long_names_will_do(tmp_path: Path) -> None:
    path = tmp_path / f"{'n' * 246}.txt"
    with written_whole(path) as one, written_whole(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert one != other
    assert path.read_text() == "one"
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
