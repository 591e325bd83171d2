"""Where networks compute, and on how many threads: for a whole process, and for those that it starts.

Two environment variables decide: `SEMLINK_DEVICE` ("cpu", "cuda" or "cuda:N") and OpenMP's `OMP_NUM_THREADS`. On the
command line `--device` and `--threads` set them for a command. What was trained is put on the device as it is loaded;
channels, channel codes and metrics stay on the processor, so that fades and noise are the same everywhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DEVICE = "SEMLINK_DEVICE"
"""The environment variable that names the device."""
THREADS = "OMP_NUM_THREADS"
"""OpenMP's, which PyTorch, NumPy and `semlink.phy.parallel.cores` heed."""
MOST_THREADS = 1024


def chosen_device() -> str:
    """The device that networks compute on.

    Raises:
        ValueError: `SEMLINK_DEVICE` names one that is not there.
    """
    named = os.environ.get(DEVICE) or "cpu"
    check_device(named, said=f"{DEVICE}={named}")
    return named


def check_device(name: str, *, said: str = "") -> None:
    """Raise ValueError unless there is such a device; `said` is what the message calls it."""
    if name == "cpu":  # which needs no look at what PyTorch finds
        return
    there = devices()
    if name not in there:
        raise ValueError(f"{said or f'device {name!r}'} is not there; there is: {', '.join(there)}")


def devices() -> list[str]:
    """Every name of a device that is there: "cpu", and where PyTorch finds GPUs, "cuda", "cuda:0" and so on."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ["cpu", *["cuda"] * bool(count), *(f"cuda:{i}" for i in range(count))]


@contextmanager
def computing_on(device: str | None = None, *, threads: int | None = None) -> Iterator[None]:
    """Compute on a device and so many threads meanwhile, and have what is started meanwhile do so; None for as before.

    Raises:
        ValueError: a device that is not there, or a number of threads out of 1 … `MOST_THREADS`.
    """
    if device is not None:
        check_device(device, said=f"--device {device}")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ValueError(f"--threads {threads} must be from 1 to {MOST_THREADS}")
    given = {DEVICE: device, THREADS: None if threads is None else str(threads)}
    before = {name: os.environ.get(name) for name in given}
    counted = _set_threads(threads)
    os.environ.update({name: value for name, value in given.items() if value is not None})
    try:
        yield
    finally:
        _set_threads(counted)
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def _set_threads(count: int | None) -> int | None:
    """PyTorch on so many threads, where it is loaded already; else it will read the variable. Those of before."""
    torch = sys.modules.get("torch")
    if count is None or torch is None:
        return None
    before = int(torch.get_num_threads())
    torch.set_num_threads(count)
    return before
