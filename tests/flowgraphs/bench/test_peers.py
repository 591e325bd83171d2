"""Other stacks' figures from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semlink.flowgraphs.bench import peers

GOOD = {"stack": "stack [1.2]", "job": "early", "k": 200, "n": 400, "mbps": 20}


def test_ours_beside_theirs(tmp_path: Path, run_semlink: Callable[..., tuple[int, str, str]]) -> None:
    file = tmp_path / "peers.json"
    file.write_text(json.dumps([GOOD, dict(GOOD, job="encode", mbps=1e-3)]))
    status, out, _ = run_semlink("bench", "ldpc", "--peer", str(file), "--json")
    assert status == 0
    rows = json.loads(out)
    assert [row["peer"]["job"] for row in rows] == ["early", "encode"]
    assert all(row["ratio"] == pytest.approx(row["mbps"] / row["peer"]["mbps"]) for row in rows)
    assert rows[1]["ratio"] > 1000
    status, out, _ = run_semlink("bench", "ldpc", "--peer", str(file))
    assert "stack [1.2]" in out


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "must be a list of figures"),
        ([], "must be a list of figures"),
        ([3], "figure 1: must be such as"),
        ([GOOD, {"stack": "a"}], "figure 2: must be such as"),
        ([dict(GOOD, k="200")], "k='200' must be such as in"),
        ([dict(GOOD, mbps=True)], "mbps=True must be such as in"),
        ([dict(GOOD, job="late")], "job='late' must be one of: encode, ten, early"),
        ([dict(GOOD, k=201)], r"k=201, n=400 must be one of: \(8448, 12672\)"),
        ([dict(GOOD, mbps=-1)], "mbps=-1 must be above 0"),
        ([dict(GOOD, mbps=float("nan"))], "mbps=nan must be above 0"),
    ],
)
def test_what_is_no_such_file_is_named(found: Any, said: str, tmp_path: Path) -> None:  # noqa: ANN401
    file = tmp_path / "peers.json"
    file.write_text(json.dumps(found))
    with pytest.raises(ValueError, match=said):
        peers.read_peers(file)
