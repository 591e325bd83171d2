"""GNU Radio's Python, a worker, and samples."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semlink.flowgraphs.bench.radio import worker_process

ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("SEMLINK_RADIO_PYTHON", "/usr/bin/python3")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": f"{ROOT / 'tests' / 'typing_root'}:{Path(__file__).parent}",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GRC_BLOCKS_PATH": str(ROOT / "flowgraphs" / "radio" / "grc"),
    "QT_QPA_PLATFORM": "offscreen",
}


def has_gnuradio() -> bool:
    try:
        probe = subprocess.run([PYTHON, "-c", "from gnuradio import gr; import zmq, PIL"], capture_output=True)
    except OSError:
        return False
    return probe.returncode == 0


@pytest.fixture(scope="session")
def radio_python() -> str:
    """The Python that has GNU Radio; a test is left out where there is none."""
    if not has_gnuradio():
        pytest.skip(f"{PYTHON} has no gnuradio, zmq and PIL: apt install gnuradio python3-zmq python3-pil")
    return PYTHON


@pytest.fixture(scope="session")
def radio_environment() -> dict[str, str]:
    """What a program under it needs: semlink, `radio_probe`, its blocks, and no screen."""
    return ENVIRONMENT


@pytest.fixture
def run_radio(radio_python: str, radio_environment: dict[str, str]) -> Callable[..., Any]:
    """What a script under GNU Radio's Python prints last, as JSON."""
    prelude = "import json, sys, time, numpy as np, pmt\nfrom gnuradio import gr, blocks\nfrom radio_probe import *\n"

    def run(code: str, *, seconds: float = 300) -> Any:  # noqa: ANN401 - whatever it prints
        done = subprocess.run(
            [radio_python, "-c", prelude + textwrap.dedent(code)],
            capture_output=True,
            text=True,
            env=radio_environment,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def worker(radio_python: str) -> Iterator[str]:
    """The address of a real worker that has what it needs: a request is given up while codecs are still loaded."""
    with worker_process(["--threads=1", "--codec=deepjscc", "--codec=swin", "--codec=jpeg-ldpc-qam:adaptive"]) as where:
        yield where


def gaussian(n: int, seed: int = 0) -> NDArray[np.complex64]:
    """CN(0, 1)."""
    axes = np.random.default_rng(seed).standard_normal((n, 2)) * np.sqrt(0.5)
    return (axes @ [1, 1j]).astype(np.complex64)


@pytest.fixture(name="gaussian")
def give_gaussian() -> Callable[..., NDArray[np.complex64]]:
    return gaussian
