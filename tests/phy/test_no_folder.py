"""What is written into a folder that is not there is refused by the name that was given."""

from pathlib import Path

import pytest

from semlink.phy.documents import write_whole


def test_the_file_is_named_and_not_its_part(tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.html"
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(path, "text")
    assert str(caught.value) == f"{path}: there is no folder {path.parent} to write to"
    assert not path.parent.exists()
