"""Kernels for notebooks that are forked from one process, which has imported what they all import.

`warm_kernel.py tend SOCKET` is that process; `warm_kernel.py join SOCKET CONNECTION_FILE` is what Jupyter starts in
place of a kernel: it asks for one and lives as long as that does.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import threading


def tend(path: str) -> None:
    """Fork a kernel for whoever asks."""
    gc.disable()
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as a kernel has it
    import ipykernel.kernelapp  # noqa: F401
    import matplotlib.pyplot  # noqa: F401

    import semlink.flowgraphs.studies
    import semlink.neural.zoo  # noqa: F401

    gc.freeze()  # no kernel need look over what it shares with all
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has ended is not waited for
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        print("open", flush=True)
        while True:
            asked, _ = door.accept()
            if not os.fork():
                door.close()
                be_kernel(asked)
            asked.close()


def be_kernel(asked: socket.socket) -> None:
    from ipykernel.kernelapp import IPKernelApp

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with asked.makefile() as lines:
        words = json.loads(lines.readline())
    os.environ.clear()
    os.environ.update(words["environment"])
    os.chdir(words["folder"])
    sys.argv = ["kernel"]
    threading.Thread(target=lambda: asked.recv(1) or os._exit(1), daemon=True).start()  # ends with who asked
    IPKernelApp.launch_instance(["-f", words["connection"]])
    os._exit(0)


def join(path: str, connection: str) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(path)
        words = {"connection": connection, "folder": os.getcwd(), "environment": dict(os.environ)}
        door.sendall(json.dumps(words).encode() + b"\n")
        door.recv(1)


if __name__ == "__main__":
    {"tend": tend, "join": join}[sys.argv[1]](*sys.argv[2:])
