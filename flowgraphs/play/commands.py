"""`semlink play`: the page is up before PyTorch is loaded."""

from __future__ import annotations

import threading
import webbrowser
from collections.abc import Sequence
from contextlib import closing

from semlink.flowgraphs.play.server import PlayServer


def run_play(
    *,
    words: Sequence[str],
    codecs: Sequence[str],
    channel: str,
    esno: str,
    ratio: str,
    seed: int,
    port: int,
    browser: bool,
) -> None:
    """`semlink play`, until it is interrupted.

    Raises:
        ValueError: an option that is refused, or no port that is free.
    """
    with closing(PlayServer(port)) as server:
        if port and server.port != port:
            print(f"port {port} is in use; took {server.port}", flush=True)
        print(f"semlink play: {server.address}\nfor this machine alone; Ctrl-C ends it", flush=True)
        if browser:
            threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
        from semlink.flowgraphs.play.opening import open_desk  # PyTorch and all, seconds

        with open_desk(words, codecs, channel=channel, esno=esno, ratio=ratio, seed=seed) as desk:
            server.furnish(desk)
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                print("ended", flush=True)
