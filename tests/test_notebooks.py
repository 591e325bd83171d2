"""What the notebooks show is what they compute: each runs, and is stored with the output of a run that met no error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: it is among the dev dependencies")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed: it is among the dev dependencies")
pytest.importorskip("ipykernel", reason="ipykernel is not installed: it is among the dev dependencies")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 700_000


def read(path: Path) -> Any:  # noqa: ANN401 - nbformat has no types
    return nbformat.read(path, as_version=4)


def by_name(path: Path) -> str:
    return path.stem


def test_there_are_notebooks() -> None:
    assert "channels" in {path.stem for path in NOTEBOOKS}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter's own are not ours to mend
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMLINK_NOTEBOOK_SCALE", "0.05")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    resources = {"metadata": {"path": str(tmp_path)}}  # a notebook needs nothing of the folder it is in
    client = nbclient.NotebookClient(read(path), timeout=300, kernel_name="python3", resources=resources)
    client.execute()  # raises on a cell's error


@pytest.mark.filterwarnings("default")
def test_a_failing_cell_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 + 1 == 3")])
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        nbclient.NotebookClient(broken, timeout=60, kernel_name="python3").execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_is_stored_with_its_outputs(path: Path) -> None:
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))  # one run, top to bottom
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_it_is_small_and_says_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = path.read_text()
    assert len(text.encode()) < MOST_BYTES
    for word in ("/home/", "/work/", "/tmp/", "/root/", "site-packages", str(ROOT)):
        assert word not in text
    assert read(path).metadata.kernelspec.name == "python3"
