"""A picture of a flowgraph's window while it runs.

`xvfb-run -a /usr/bin/python3 -m semlink.flowgraphs.radio.screenshot side_by_side.py --out side_by_side_running.png
--slider 6`, where grcc has made `side_by_side.py` and `semlink worker` runs; needs GNU Radio, PyQt5 and Pillow.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from PyQt5 import QtCore, QtWidgets

COLOURS = 128
_SIZE = (700, 800)


def load_flowgraph(script: Path) -> Any:  # noqa: ANN401 - GNU Radio has no types
    """The class that grcc has written into a script, which has its name.

    Raises:
        ValueError: there is none.
    """
    found = importlib.util.spec_from_file_location(script.stem, script)
    if found is None or found.loader is None or not script.is_file():
        raise ValueError(f"{script}: no script of a flowgraph")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    if not hasattr(module, script.stem):
        raise ValueError(f"{script}: has no class {script.stem}")
    return getattr(module, script.stem)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a flowgraph for a while, and save what its window shows."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("script", type=Path, help="as grcc makes it of a flowgraph with a QT GUI")
    parser.add_argument("--out", type=Path, default=Path("running.png"), help="the picture")
    parser.add_argument("--worker", default="tcp://127.0.0.1:5555", help="address of `semlink worker`")
    parser.add_argument("--slider", type=float, help="value to which its first slider is moved at half time")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long it runs")
    options = parser.parse_args(arguments)
    application = QtWidgets.QApplication(sys.argv[:1])
    window = load_flowgraph(options.script)(worker=options.worker)
    window.resize(*_SIZE)
    window.start()
    window.show()
    if options.slider is not None:
        counter = window.findChild(QtWidgets.QDoubleSpinBox)
        QtCore.QTimer.singleShot(int(500 * options.seconds), lambda: counter.setValue(options.slider))

    def save() -> None:
        window.grab().save(str(options.out))
        window.stop()
        window.wait()
        application.quit()

    QtCore.QTimer.singleShot(int(1000 * options.seconds), save)
    application.exec_()
    with Image.open(options.out) as picture:
        picture.convert("RGB").quantize(COLOURS).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
