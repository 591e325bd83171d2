"""The flowgraph in Python of the README, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

README = Path(__file__).parents[3] / "flowgraphs" / "radio" / "README.md"


def test_the_flowgraph_of_the_readme_runs(
    radio_python: str, radio_environment: dict[str, str], worker: str, tmp_path: Path
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "tcp://127.0.0.1:5555" in code
    done = subprocess.run(
        [radio_python, "-c", code.replace("tcp://127.0.0.1:5555", worker)], capture_output=True, text=True,
        cwd=tmp_path, env=radio_environment | {"OPENBLAS_NUM_THREADS": "1"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = re.fullmatch(r"3 images, (\d+\.\d) dB", done.stdout.splitlines()[-1])
    assert told is not None, done.stdout
    assert 25 < float(told[1]) < 40
    assert len(os.listdir(tmp_path / "received")) == 3
