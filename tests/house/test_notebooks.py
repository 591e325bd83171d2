"""What the notebooks show is what they compute: each runs, and is stored with the output of a run that met no error.

`SEMLINK_NOTEBOOKS=write pytest tests/house/test_notebooks.py -k it_runs` runs them in full and stores the outputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: it is among the dev dependencies")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: it is among the dev dependencies")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: it is among the dev dependencies")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = {
    "quickstart",
    "cliff-effect",
    "train-your-own-codec",
    "channels",
    "diffusion-receiver",
    "ber-bler",
    "studies",
    "covert",
    "prompts",
    "task-oriented",
}
PICTURES = ROOT / "notebooks" / "pictures"
MOST_BYTES = 1_500_000
MOST_PICTURE_BYTES = 60_000


def read(path: Path) -> Any:  # noqa: ANN401 - nbformat has no types
    return nbformat.read(path, as_version=4)


def by_name(path: Path) -> str:
    return path.stem


def join_streams(notebook: Any) -> None:  # noqa: ANN401
    """Make one text of what a cell prints in several goes: in how many is a matter of chance."""
    for cell in notebook.cells:
        outputs = []
        for _, found in groupby(cell.get("outputs", []), lambda one: one.get("name") or id(one)):
            first, *rest = found
            for more in rest:
                first.text += more.text
            outputs.append(first)
        if cell.cell_type == "code":
            cell.outputs = outputs


def code_of(notebook: Any) -> str:  # noqa: ANN401
    """A hash of all code cells, as a notebook was when its outputs were stored."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256("\0".join(cells).encode()).hexdigest()


def test_all_are_there_and_introduced() -> None:
    assert {path.stem for path in NOTEBOOKS} == NAMES
    text = (ROOT / "notebooks" / "README.md").read_text()
    pictures = re.findall(r"!\[[^]]+\]\(pictures/([^)]+)\)", text)
    assert {Path(name).stem for name in pictures} == NAMES
    assert all(0 < (PICTURES / name).stat().st_size <= MOST_PICTURE_BYTES for name in pictures)
    assert set(re.findall(r"\]\(([^)]+)\.ipynb\)", text)) == NAMES


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which Jupyter finds the kernel "warm": it need not import all anew for each notebook."""
    if not hasattr(os, "fork"):
        pytest.skip("kernels are forked, which this system cannot do")
    folder, program = tmp_path_factory.mktemp("jupyter"), str(Path(__file__).with_name("warm_kernel.py"))
    door, spec = str(folder / "door"), folder / "kernels" / "warm" / "kernel.json"
    spec.parent.mkdir(parents=True)
    words = [sys.executable, program, "join", door, "{connection_file}"]
    spec.write_text(json.dumps({"argv": words, "display_name": "warm", "language": "python"}))
    with subprocess.Popen([sys.executable, program, "tend", door], stdout=subprocess.PIPE, text=True) as tending:
        assert tending.stdout is not None
        assert tending.stdout.readline() == "open\n"
        yield folder
        tending.kill()


SHORT = {"channels": "0.05"}
"""Shares of what is computed in full that are longer than others': of fewer frames no standard error is to be had."""


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter's own are not ours to mend
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_runs(path: Path, kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.environ.get("SEMLINK_NOTEBOOKS") == "write"
    monkeypatch.setenv("JUPYTER_PATH", str(kernels))
    monkeypatch.setenv("SEMLINK_NOTEBOOK_SCALE", "1" if write else SHORT.get(path.stem, "0.02"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    resources = {"metadata": {"path": str(tmp_path)}}  # a notebook needs nothing of the folder it is in
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook,
        timeout=1800 if write else 300,
        kernel_name="python3" if write else "warm",
        resources=resources,
        record_timing=False,
    )
    client.execute()  # raises on a cell's error
    if write:
        notebook.metadata["language_info"] = {"name": "python"}  # without the version it ran on
        notebook.metadata["outputs_of"] = code_of(notebook)
        join_streams(notebook)
        nbformat.write(notebook, path)


def test_what_is_printed_in_several_goes_is_joined() -> None:
    new = nbformat.v4
    outputs = [new.new_output("stream", name="stdout", text=text) for text in ("a", "b")]
    outputs += [new.new_output("display_data"), new.new_output("stream", name="stdout", text="c")]
    notebook = new.new_notebook(cells=[new.new_code_cell("", outputs=outputs), new.new_markdown_cell("")])
    join_streams(notebook)
    assert [output.get("text") for output in notebook.cells[0].outputs] == ["ab", None, "c"]


@pytest.mark.filterwarnings("default")
def test_a_failing_cell_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 + 1 == 3")])
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        nbclient.NotebookClient(broken, timeout=60, kernel_name="python3").execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_is_stored_with_its_outputs(path: Path) -> None:
    assert read(path).metadata.outputs_of == code_of(read(path)), "run it anew: its code changed after its outputs"
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))  # one run, top to bottom
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    printed = "".join(str(output.get("text", "")) + output.get("data", {}).get("text/plain", "") for output in outputs)
    assert not re.search(r"\x1b|\r|━|it/s|Warning", printed)  # progress bars and complaints


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_is_small_and_says_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = path.read_text()
    assert len(text.encode()) < MOST_BYTES
    for word in ("/home/", "/work/", "/tmp/", "/root/", "site-packages", str(ROOT)):
        assert word not in text
    assert read(path).metadata.kernelspec.name == "python3"
