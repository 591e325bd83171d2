"""What answers at once brings nothing that takes time to import: each of these takes 20 ms and more."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "torch",
    "pandas",
    "numba",
    "PIL",
    "http.server",
    "semlink.flowgraphs.play.server",
)
PROGRAM = """
import sys
from semlink.flowgraphs.cli import main
sys.argv = ["semlink", *sys.argv[1:]]
try:
    main()
finally:
    print(*sys.modules, sep="\\n", file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["compare", "--help"], ["play", "--help"], ["bench", "--help"]])
def test_help_imports_little(words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=120, check=True
    )
    assert "Usage: semlink" in ran.stdout
    assert not {*HEAVY} & {*ran.stderr.split()}
