#!/usr/bin/env bash
# ipywidgets 8.1.9's Output cannot be entered where a notebook captures what a cell shows; 8.1.8's could.
#
# `%%capture` and IPython's capture_output put a CapturingDisplayPublisher in the place of the kernel's publisher.
# Since 8.1.9, Output hands the parent request on by the shell's set_parent, which ipykernel passes to the publisher,
# and IPython's has no such method. It hits what does not name Output at all: a Rich progress bar in a notebook with
# ipywidgets installed is drawn in one, so that a long computation with a bar ends at once in a captured cell, as a
# notebook's author hides the bars. Neither half is wrong alone, and no two versions are declared to exclude each other.
#
# ipywidgets 8.1.8 and 8.1.9, ipykernel 7.4.0, IPython 9.18.1, rich 15.0.0, nbclient 0.11.0. Seen:
#   ipywidgets 8.1.8: Output: no error, Output captured: no error, Rich's track captured: no error
#   ipywidgets 8.1.9: Output: no error, Output captured: AttributeError: 'CapturingDisplayPublisher' object has no
#   attribute 'set_parent', Rich's track captured: the same
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile ipykernel==7.4.0 ipython==9.18.1 rich==15.0.0 nbclient==0.11.0
for widgets in 8.1.8 8.1.9; do
    "$work/venv/bin/pip" install --quiet --no-compile "ipywidgets==$widgets"
    "$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

CELLS = {
    "Output": "import ipywidgets\nwith ipywidgets.Output():\n    pass",
    "Output captured": "%%capture\nimport ipywidgets\nwith ipywidgets.Output():\n    pass",
    "Rich's track captured": "%%capture\nfrom rich.progress import track\nfor _ in track(range(3)):\n    pass",
}


class ThisPython(AsyncKernelManager):
    """A kernel of this environment, whatever kernels the user has installed."""

    kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"])


def errors(source):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=60, allow_errors=True, kernel_manager_class=ThisPython).execute()
    return [(o.ename, o.evalue) for o in notebook.cells[0].outputs if o.output_type == "error"]


found = {name: errors(source) for name, source in CELLS.items()}
shown = ", ".join(f"{name}: {': '.join(*raised) if raised else 'no error'}" for name, raised in found.items())
print(f"ipywidgets {version('ipywidgets')}: {shown}")
old = version("ipywidgets") == "8.1.8"
assert found.pop("Output") == []
for raised in found.values():
    assert not raised if old else "set_parent" in raised[0][1], raised
PYTHON
done
