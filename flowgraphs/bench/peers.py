"""`semlink bench ldpc --peer FILE`: our figures beside those that a file has of other LDPC stacks.

The file is a JSON list, an object for each figure, measured on one core of this machine outside the project:

    [{"stack": "srsRAN Project 4bf1543", "job": "early", "k": 8448, "n": 12672, "mbps": 83.5}]

`job` is "encode", "ten" (ten iterations, no block stops early) or "early" (at an Es/N0 where they stop early); `k` and
`n` are one of the codes of `semlink.flowgraphs.bench.jobs.LDPC`; `mbps` are information bits per second, in millions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from rich.table import Table

from semlink.flowgraphs.bench import jobs
from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import make_console
from semlink.phy.documents import read_json
from semlink.phy.parallel import limited_threads


@dataclass(frozen=True)
class Peer:
    """A figure of another stack.

    Attributes:
        stack: whose, with its version.
        job: one of `semlink.flowgraphs.bench.jobs.KINDS`.
        k, n: the code.
        mbps: information bits per second, in millions.
    """

    stack: str
    job: str
    k: int
    n: int
    mbps: float


@dataclass(frozen=True)
class Beside:
    """A figure of another stack, ours on one thread, and `ratio`, ours over theirs."""

    peer: Peer
    mbps: float
    ratio: float


def run_peers(file: Path, *, as_json: bool) -> None:
    """`semlink bench ldpc --peer FILE`.

    Raises:
        ValueError: the file is not as described above.
        OSError: it cannot be read.
    """
    peers = read_peers(file)
    with limited_threads(1):
        rows = [_beside(peer) for peer in one_by_one(peers, named=lambda peer: f"{peer.job} ({peer.k}, {peer.n})")]
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print(rows)


def read_peers(file: Path) -> list[Peer]:
    """The figures of a file.

    Raises:
        ValueError, OSError: as `run_peers`.
    """
    found = read_json(file)
    if not isinstance(found, list) or not found:
        raise ValueError(f"--peer {file}: must be a list of figures, such as {_EXAMPLE}")
    return [_checked(file, i, entry) for i, entry in enumerate(found)]


_EXAMPLE = '{"stack": "name and version", "job": "early", "k": 8448, "n": 12672, "mbps": 83.5}'
_TYPES = {"stack": str, "job": str, "k": int, "n": int, "mbps": (int, float)}


def _checked(file: Path, i: int, entry: object) -> Peer:
    where = f"--peer {file}, figure {i + 1}"
    if not isinstance(entry, dict) or entry.keys() != _TYPES.keys():
        raise ValueError(f"{where}: must be such as {_EXAMPLE}")
    for name, kind in _TYPES.items():
        if not isinstance(entry[name], kind) or isinstance(entry[name], bool):  # type: ignore[arg-type]
            raise ValueError(f"{where}: {name}={entry[name]!r} must be such as in {_EXAMPLE}")
    peer = Peer(**entry)
    codes = [code[:2] for code in jobs.LDPC]
    if peer.job not in jobs.KINDS:
        raise ValueError(f"{where}: job={peer.job!r} must be one of: {', '.join(jobs.KINDS)}")
    if (peer.k, peer.n) not in codes:
        raise ValueError(f"{where}: k={peer.k}, n={peer.n} must be one of: {', '.join(map(str, codes))}")
    if not 0 < peer.mbps < float("inf"):
        raise ValueError(f"{where}: mbps={peer.mbps} must be above 0")
    return peer


def _beside(peer: Peer) -> Beside:
    mbps = _ours(peer.job, peer.k, peer.n)
    return Beside(peer, mbps, mbps / peer.mbps)


@lru_cache(maxsize=64)
def _ours(kind: str, k: int, n: int) -> float:
    (esno_db,) = (esno_db for *code, esno_db in jobs.LDPC if code == [k, n])
    name = f"ldpc {kind} {k} {n} {esno_db:g}"
    return jobs.make(name)[1] / jobs.measure(name) / 1e6


def _print(rows: Sequence[Beside]) -> None:
    table = Table(title="5G LDPC beside other stacks, one thread, information bits by processor time")
    for column in ("job", "code", "Mb/s", "theirs", "ratio", "stack"):
        table.add_column(column, justify="right")
    for row in rows:
        speeds = f"{row.mbps:.3g}", f"{row.peer.mbps:.3g}", f"{row.ratio:.2f}"
        table.add_row(row.peer.job, f"({row.peer.k}, {row.peer.n})", *speeds, row.peer.stack)
    make_console().print(table)
