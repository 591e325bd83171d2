"""Pictures of flowgraphs, drawn by GNU Radio Companion itself from the `.grc` files.

`xvfb-run -a /usr/bin/python3 -m semlink.flowgraphs.radio.render --out flowgraphs/radio/pictures`; needs GNU Radio
Companion, a display, if but a virtual one, and Pillow, which makes the files small.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from semlink.flowgraphs.radio.apps import examples_path, grc_path

COLOURS = 64
"""Of a picture: blocks have few, and the files are a third of the size."""


def open_companion(blocks: str) -> Any:  # noqa: ANN401 - GNU Radio has no types
    """GNU Radio Companion without its window, knowing the blocks in that folder.

    Raises:
        ImportError: it is not installed.
        RuntimeError: there is no display.
    """
    import gi

    gi.require_version("Gtk", "3.0")
    gi.require_version("PangoCairo", "1.0")
    from gi.repository import Gtk
    from gnuradio import gr
    from gnuradio.grc.gui.canvas import flowgraph
    from gnuradio.grc.gui.Platform import Platform

    if not Gtk.init_check()[0]:
        raise RuntimeError("no display: run it under xvfb-run")
    application = Gtk.Application()
    application.set_default()  # a flowgraph looks for its windows
    version = (gr.major_version(), gr.api_version(), gr.minor_version())
    platform = Platform(version=gr.version(), version_parts=version, prefs=gr.prefs(), install_prefix=gr.prefix())
    platform.application = application  # or it would be gone
    flowgraph._ContextMenu = lambda window: None  # noqa: ARG005 - a menu needs a window
    actions = flowgraph.Actions
    hidden = (actions.TOGGLE_HIDE_VARIABLES, actions.TOGGLE_AUTO_HIDE_PORT_LABELS)
    for toggle in (*hidden, actions.TOGGLE_SHOW_FLOWGRAPH_COMPLEXITY):
        toggle.set_active(False)
    platform.build_library([blocks, *platform.config.block_paths])
    return platform


def draw(platform: Any, flowgraph: Path, picture: Path) -> None:  # noqa: ANN401
    """Draw a flowgraph into a PNG.

    Raises:
        ValueError: the flowgraph is not valid.
    """
    import cairo
    from gnuradio.grc.gui.Utils import make_screenshot

    graph = platform.make_flow_graph(str(flowgraph))
    graph.rewrite()
    graph.validate()
    if not graph.is_valid():
        raise ValueError(f"{flowgraph}: {'; '.join(str(message[-1]) for message in graph.iter_error_messages())}")
    graph.update_elements_to_draw()
    graph.create_labels(cairo.Context(cairo.ImageSurface(cairo.FORMAT_ARGB32, 1, 1)))  # which gives blocks their sizes
    graph.create_shapes()
    make_screenshot(graph, str(picture))
    with Image.open(picture) as drawn:
        drawn.convert("RGB").quantize(COLOURS).save(picture, optimize=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw flowgraphs, all examples unless some are named."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("flowgraphs", nargs="*", type=Path, help="such as side_by_side.grc; all examples by default")
    parser.add_argument("--out", type=Path, default=Path("pictures"), help="folder for the pictures")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    platform = open_companion(grc_path())
    for flowgraph in options.flowgraphs or sorted(Path(examples_path()).glob("*.grc")):
        picture = options.out / f"{flowgraph.stem}.png"
        draw(platform, flowgraph, picture)
        print(picture)


if __name__ == "__main__":
    main()
