"""`semlink serve`: the worker's service for users whose images it carries over a channel, from end to end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from semlink.flowgraphs.protocol import ADDRESS
from semlink.flowgraphs.service.board import Board
from semlink.flowgraphs.service.commands import (
    check_limits,
    closing_on_error,
    closing_unless_open,
    join_nodes,
    run_until_signal,
    shown,
    split_own,
)
from semlink.flowgraphs.service.lanes import Process, Setup, load_own
from semlink.flowgraphs.service.service import BATCH, Service
from semlink.flowgraphs.service.waiting import JOB_S
from semlink.flowgraphs.service.worker import Worker
from semlink.flowgraphs.specs import make_channel

CHANNEL = "uplink:users=3,rx=3,zf"
"""The paper's: three users of one antenna, three antennas to receive them."""
QUEUE = 1024
"""Requests that wait, at most, where users wait for images and not a flowgraph."""
LATENCY_MS = 100.0
BACKLOG_S = 10.0
"""Seconds of expected work that wait, at most."""
CACHE_MIB = 256
_MOST_MS = 1e7


def run_serve(
    *,
    address: str = ADDRESS,
    channel: str = CHANNEL,
    seed: int = 0,
    latency_ms: float = LATENCY_MS,
    backlog_s: float = BACKLOG_S,
    cache_mib: int = CACHE_MIB,
    batch: int = BATCH,
    queue: int = QUEUE,
    threads: int | None = None,
    codecs: Sequence[str] = (),
    report_s: float | None = None,
    insecure: bool = False,
    keys: Path | None = None,
    page: int | None = None,
    processes: int = 0,
    nodes: Sequence[str] = (),
) -> None:
    """`semlink serve`.

    Raises:
        ValueError: an option that cannot be, keys that are none, a port of the page or an address that is in use or,
            without `keys` or `insecure`, that others reach, a node that is not there, or a latency below what one image
            takes.
    """
    check_limits(batch=batch, queue=queue, threads=threads, report_s=report_s, processes=processes)
    _check(latency_ms=latency_ms, backlog_s=backlog_s, cache_mib=cache_mib, seed=seed)
    medium = make_channel(channel, coherence=None, csi=None, equaliser=None)
    own, named = split_own([name for name in codecs if "=" in name and name.startswith("user:")])
    known = load_own(own)
    lanes = [Process(Setup(channel, seed, own), JOB_S) for _ in range(processes)]
    service = Service(
        batch=batch,
        threads=threads,
        own=known,
        channel=medium,
        seed=seed,
        cache_bytes=cache_mib << 20,
        lanes=lanes,
    )
    board = None if page is None else Board()
    with closing_unless_open(service):
        join_nodes(service, nodes, insecure=insecure)
        worker = Worker(
            service,
            address,
            queue=queue,
            insecure=insecure,
            keys=keys,
            seconds=backlog_s * service.threads,
            latency_s=latency_ms / 1e3,
            board=board,
        )
    with shown(worker, board, page) as where:
        _warm(service, worker, [*named, *(name for name in codecs if not name.startswith("user:"))], latency_ms)
        run_until_signal(worker, "semlink serve", insecure=insecure, report_s=report_s, page=where)


def _warm(service: Service, worker: Worker, codecs: Sequence[str], latency_ms: float) -> None:
    """Load codecs, and refuse a latency that one image cannot have."""
    with closing_on_error(worker, "--codec "):
        slowest = max(((_one_image_ms(service, name), name) for name in codecs), default=(0.0, ""))
    with closing_on_error(worker, "--latency-ms "):
        if slowest[0] > latency_ms:
            raise ValueError(f"{latency_ms:g}: one image of 32x32 takes {slowest[0]:.1f} ms with {slowest[1]}, alone")


def _one_image_ms(service: Service, codec: str) -> float:
    """What a small image takes when there is no other, everything in place."""
    service.warm(codec)
    return 1e3 * service.one_image_s(codec)


def _check(*, latency_ms: float, backlog_s: float, cache_mib: int, seed: int) -> None:
    if not 0 < latency_ms <= _MOST_MS:
        raise ValueError(f"--latency-ms {latency_ms:g} must be above 0, and up to {_MOST_MS:g} milliseconds")
    if not 0 < backlog_s < math.inf:
        raise ValueError(f"--backlog {backlog_s:g} must be a positive number of seconds")
    if not 0 <= cache_mib <= 1 << 20:
        raise ValueError(f"--cache {cache_mib} must be from 0, for none, to {1 << 20} MiB")
    if not 0 <= seed < 1 << 63:
        raise ValueError(f"--seed {seed} must be 0 or more")
