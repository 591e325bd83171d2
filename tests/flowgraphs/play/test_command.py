"""`semlink play`: what it says, a port that is in use, and options that are refused."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import closing

import pytest

pytest.importorskip("waitress", reason="waitress is not installed")


def test_it_takes_the_next_port_shows_the_page_and_ends() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "semlink.flowgraphs", "play", "--no-browser", "--port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert re.fullmatch(rf"port {port} is in use; took (?!{port}\n)\d+\n", said)
            found = re.search(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", process.stdout.readline())
            assert found is not None
            with urllib.request.urlopen(found[0], timeout=60) as reply:  # before PyTorch is there
                assert b"<title>semlink play</title>" in reply.read()
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--esno", "20:0:1"], "--esno '20:0:1'"),
        (["--channel", "nix"], "--channel: channel 'nix' must be one of"),
        (["--codec", "nix"], "--codec 'nix' must be one of"),
        (["--seed", "-1"], "--seed -1 must be from 0"),
        (["--ratio", "7"], "--ratio '7' must be a number"),
        (["nowhere.png"], "image nowhere.png: no such file"),
        (["--port", "70000"], "--port 70000 must be a port"),
        (["--codec", "jpeg-ldpc-qam:all", "--codec", "swin", "--codec", "deepjscc", "--codec", "webp-ldpc-qam",
          "--codec", "avif-ldpc-qam"], "9 codecs; a page shows 8 at most"),
    ],
)  # fmt: skip
def test_what_is_refused_is_one_line(
    words: list[str], message: str, run_semlink: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = run_semlink("play", "--no-browser", "--port", "0", *words)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err
