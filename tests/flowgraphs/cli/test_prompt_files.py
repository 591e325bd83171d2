"""What `semlink prompt` is told of files and sizes."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from semlink.flowgraphs.cli.app import app
from semlink.flowgraphs.cli.prompt import check_picture, parse_budget
from semlink.phy import progress

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


def test_it_says_how_far_it_is_unless_told_to_be_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    monkeypatch.setattr(progress, "BETWEEN_S", 0.0)
    picture, file = tmp_path / "a.png", tmp_path / "a.prompt"
    Image.fromarray(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)).save(picture)
    encode, decode = ["prompt", "encode", str(picture), "--out", str(file)], ["prompt", "decode", str(file)]
    for words, label in ((encode, "encoding"), ([*decode, "--samples", "2"], "rendering")):
        loud, quiet = RUN.invoke(app, words), RUN.invoke(app, [*words, "--quiet"])
        assert (loud.exit_code, quiet.exit_code) == (0, 0)
        assert re.search(rf"{label}: (\d+) of \1[,;]", loud.stderr), "to the end"
        assert label not in quiet.stderr
