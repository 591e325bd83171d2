"""Points are as they were written, or are refused; those of before lines had a checksum are read, and it is said."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from semlink.flowgraphs.studies.checked import read_row, write_row
from semlink.flowgraphs.studies.results import read_rows

ROW: dict[str, Any] = {
    "codec": "swin", "spec": "awgn", "asked_ratio": 0.25, "esno_db": 5.0, "psnr_db": 30.123456789, "error": "",
    "pictures": {"ä": "pictures/0.png"}, "images": 1, "realisations": 2, "failed": 0, "bler": float("nan"),
}  # fmt: skip
KEY = "swin|awgn|0.25|5"


def test_a_line_is_read_as_it_was_written() -> None:
    line = write_row(KEY, ROW)
    found = read_row(line.removesuffix("\n").encode())
    assert (found.key, found.summed) == (KEY, True)
    assert json.dumps(found.row) == json.dumps(ROW)


def test_no_changed_bit_is_taken() -> None:
    line, rng = write_row(KEY, ROW).removesuffix("\n").encode(), random.Random(0)
    for at in range(len(line)):
        changed = bytearray(line)
        changed[at] ^= 1 << rng.randrange(8)
        with pytest.raises(ValueError, match=r"."):
            read_row(bytes(changed))


@pytest.mark.parametrize(
    "extra", [', "sum": ""', ', "sum": 1', ', "sum": "0123456789abcdef"', ', "sun": "0123456789abcdef"']
)
def test_a_checksum_that_is_none_is_refused(extra: str) -> None:
    line = json.dumps({"key": KEY, "row": ROW})[:-1] + extra + "}"
    with pytest.raises(ValueError, match=r"checksum|key, row and sum"):
        read_row(line.encode())


def test_lines_of_before_are_read_and_told(tmp_path: Path) -> None:
    before, other = json.dumps({"key": KEY, "row": ROW}) + "\n", {**ROW, "esno_db": 6.0}
    (tmp_path / "points.jsonl").write_text(before + write_row("swin|awgn|0.25|6", other))
    with pytest.warns(UserWarning, match=r"points\.jsonl: 1 points without a checksum, of an earlier version"):
        rows = read_rows(tmp_path)
    assert [row["esno_db"] for row in rows.values()] == [5.0, 6.0]


def test_a_changed_line_is_named(tmp_path: Path) -> None:
    line = write_row(KEY, ROW)
    (tmp_path / "points.jsonl").write_text(line + line.replace("30.123", "31.123"))
    with pytest.raises(
        ValueError, match=r"points\.jsonl: line 2 is no row \(.*changed or is damaged\); remove the line"
    ):
        read_rows(tmp_path)
