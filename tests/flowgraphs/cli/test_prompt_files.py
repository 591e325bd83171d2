"""What `semlink prompt` is told of files and sizes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from semlink.flowgraphs.cli.app import app
from semlink.flowgraphs.cli.prompt import check_picture, parse_budget

RUN = CliRunner()


def test_every_number_of_bytes_can_be_told_in_kilobytes() -> None:
    sizes = range(1, 3000)  # 1.001 times 1000 is not 1001 in floating point
    assert [parse_budget(f"{Decimal(size) / 1000}kB") for size in sizes] == list(sizes)


@pytest.mark.parametrize("command", ["show", "decode"])
def test_a_file_that_is_not_there_is_named_in_plain_words(command: str, tmp_path: Path) -> None:
    done = RUN.invoke(app, ["prompt", command, str(tmp_path / "no.prompt")])
    assert str(done.exception) == f"prompt {tmp_path / 'no.prompt'}: no such file or directory"
    done = RUN.invoke(app, ["prompt", command, str(tmp_path)])
    assert str(done.exception) == f"prompt {tmp_path}: is a directory"


def test_a_picture_is_a_png_and_is_called_one() -> None:
    assert check_picture(Path("a/b.PNG")) == Path("a/b.PNG")
    for name in ("a.jpg", "a", "a.png.jpeg"):
        with pytest.raises(ValueError, match=r"must end in \.png"):
            check_picture(Path(name))
