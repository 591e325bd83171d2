"""Small jobs that two commits are timed at, each in a process of its own.

As a script it does what it is told, one job a line, and answers with the processor time in seconds. It is run on trees
of other commits as well: of semlink it imports what those have too, and within the jobs alone.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch

LDPC = ((8448, 12672, 7.0), (8448, 25344, 3.0), (1040, 2080, 5.0), (3840, 19200, 1.0), (200, 400, 6.0))
"""(k, n) of 5G LDPC codes, and an Es/N0 in dB on 4-QAM at which the decoder stops early."""

KINDS = ("encode", "ten", "early")
"""Encoding; decoding of noise, ten iterations; decoding that stops early."""

NETWORKS = ("deepjscc", "swin")
WAYS = ("encode", "decode")
IMAGES = ((512, 32, 32), (1, 512, 768))
"""How many at once, their height and their width."""

NAMES = (
    *(f"ldpc {kind} {k} {n} {esno_db:g}" for k, n, esno_db in LDPC for kind in KINDS),
    *(f"net {way} {name} {many} {h} {w}" for name in NETWORKS for many, h, w in IMAGES for way in WAYS),
)
"""All jobs."""

Job = tuple[Callable[[], object], float]

_BITS = 600_000
_REPEATS = 3


@lru_cache(maxsize=64)
def make(name: str) -> Job:
    """A job, and the information bits that it is about; of networks, those of the images with 8 bits a value.

    Raises:
        KeyError: no such job.
    """
    family, *words = name.split()
    makers: dict[str, Callable[..., Job]] = {"ldpc": _ldpc, "net": _network}
    return makers[family](*words)


def measure(name: str) -> float:
    """The shortest processor time of some runs, in seconds, of this thread alone."""
    action, _ = make(name)
    taken = []
    for _ in range(_REPEATS):
        start = time.thread_time()
        action()
        taken.append(time.thread_time() - start)
    return min(taken)


def _ldpc(kind: str, k: str, n: str, esno_db: str) -> Job:
    code = _code()(int(k), int(n), iterations=10)
    blocks, rng = max(64, _BITS // code.n), torch.Generator().manual_seed(0)
    bits = torch.randint(0, 2, (blocks, code.k), generator=rng, dtype=torch.uint8)
    if kind == "encode":
        action: Callable[[], object] = partial(code.encode, bits)
    else:
        noise = torch.randn(blocks, code.n, generator=rng)
        esno = 10 ** (float(esno_db) / 10)
        # 4-QAM has amplitude sqrt(1/2) and noise variance N0/2 on each axis.
        llr = 2 * esno * (1 - 2 * code.encode(bits).float()) + 2 * esno**0.5 * noise
        action = partial(code.decode, noise if kind == "ten" else llr)
    action()
    return action, float(blocks * code.k)


def _network(way: str, name: str, many: str, h: str, w: str) -> Job:
    zoo, link = (importlib.import_module(f"semlink.{name}") for name in ("neural.zoo", "phy.link"))
    rng, n0 = torch.Generator().manual_seed(0), 0.1
    images = torch.rand(int(many), 3, int(h), int(w), generator=rng)
    codec = zoo.load(name, ratio=1 / 6)
    symbols = codec.encode(images, n0).symbols
    received = symbols + (n0 / 2) ** 0.5 * torch.view_as_complex(torch.randn(*symbols.shape, 2, generator=rng))
    got = link.Received(received, torch.full(symbols.shape, n0), image_shape=tuple(images.shape[1:]))
    action: Callable[[], object] = partial(codec.encode, images, n0) if way == "encode" else partial(codec.decode, got)
    action()
    return action, 8.0 * images.numel()


def _code() -> Any:  # noqa: ANN401 - of whichever tree
    try:
        return importlib.import_module("semlink.phy.fec").LDPC5G
    except ModuleNotFoundError:  # where `phy` had no rooms
        return importlib.import_module("semlink.phy.ldpc").LDPC5G


def leave_installed() -> None:
    """Have `semlink` from the path alone: an editable install would fill in what a tree of before does not have."""
    sys.meta_path[:] = [one for one in sys.meta_path if not _of_install(one)]
    sys.path_hooks[:] = [one for one in sys.path_hooks if not _of_install(one)]


def _of_install(finder: object) -> bool:
    return str(getattr(finder, "__module__", "")).startswith("__editable__")


def main() -> None:
    """Answer until the input ends."""
    leave_installed()
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(measure(line.strip()), flush=True)


if __name__ == "__main__":
    main()
