"""`semlink worker`, and what it has in common with `semlink serve`."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType

from semlink.flowgraphs.service.board import Board
from semlink.flowgraphs.service.lanes import Process, Setup, load_own
from semlink.flowgraphs.service.nodes import Node, meet, read_place
from semlink.flowgraphs.service.page import Page
from semlink.flowgraphs.service.service import Service
from semlink.flowgraphs.service.waiting import JOB_S
from semlink.flowgraphs.service.worker import Worker, tell
from semlink.flowgraphs.specs import check_count

MOST_PROCESSES = 256


def run_worker(
    *,
    address: str,
    batch: int,
    queue: int,
    threads: int | None,
    codecs: Sequence[str],
    report_s: float | None,
    insecure: bool = False,
    keys: Path | None = None,
    processes: int = 0,
    page: int | None = None,
    makes: bool = False,
) -> None:
    """`semlink worker`, and with `makes` `semlink node`, which computes for other services as well.

    Raises:
        ValueError: an option that cannot be, keys that are none, a port of the page or an address that is in use or,
            without `keys` or `insecure`, that others reach.
    """
    check_limits(batch=batch, queue=queue, threads=threads, report_s=report_s, processes=processes)
    own, named = split_own(codecs)
    known = load_own(own)
    lanes = [Process(Setup(own=own), JOB_S) for _ in range(processes)]
    service = Service(batch=batch, threads=threads, own=known, lanes=lanes, makes=makes)
    board, name = None if page is None else Board(), f"semlink {'node' if makes else 'worker'}"
    with closing_unless_open(service):
        worker = Worker(service, address, queue=queue, insecure=insecure, keys=keys, board=board)
    with shown(worker, board, page) as where:
        with closing_on_error(worker, "--codec "):
            for codec in named:
                service.preload(codec)
        run_until_signal(worker, name, insecure=insecure, report_s=report_s, page=where)


@contextmanager
def shown(worker: Worker, board: Board | None, port: int | None) -> Iterator[str | None]:
    """The page of a worker meanwhile, if there is to be one: its address, or None.

    Raises:
        ValueError: a port that is in use or cannot be, or what it needs is not installed.
    """
    if board is None or port is None:
        yield None
        return
    with closing_on_error(worker, ""):
        page = Page(board, port)
    with closing(page):
        yield page.address


def check_limits(*, batch: int, queue: int, threads: int | None, report_s: float | None, processes: int) -> None:
    """Raise ValueError unless the limits of a service can be."""
    for option, count in (("--batch", batch), ("--queue", queue), ("--threads", threads)):
        check_count(option, count, 1)
    if not 0 <= processes <= MOST_PROCESSES:
        raise ValueError(f"--processes {processes} must be from 0, for threads of one process, to {MOST_PROCESSES}")
    if report_s is not None and not 0.1 <= report_s <= 1e6:
        raise ValueError(f"--report {report_s:g} must be from 0.1 to 1e6 seconds")


def join_nodes(service: Service, nodes: Sequence[str], *, insecure: bool) -> None:
    """Have nodes, each ADDRESS or ADDRESS=FILE with the keys of a user of it, compute for a service as well.

    Raises:
        ValueError: a node that is not there, is none, has other weights or versions, or is of another machine and
            without keys, unless `insecure`.
    """
    for place in [read_place(text, insecure=insecure) for text in nodes]:
        for _ in range(meet(place, service.build)):
            service.join([Node(place, service.build, JOB_S, tell)])


@contextmanager
def closing_unless_open(service: Service) -> Iterator[None]:
    """Let go of what a service has where the worker for it cannot be made."""
    with ExitStack() as undo:
        undo.callback(service.close)
        yield
        undo.pop_all()


@contextmanager
def closing_on_error(worker: Worker, said: str) -> Iterator[None]:
    """Let go of a worker that cannot start, and say of which option it was."""
    try:
        yield
    except ValueError as error:
        worker.close()
        raise ValueError(f"{said}{error}") from error


def run_until_signal(
    worker: Worker, name: str, *, insecure: bool, report_s: float | None, page: str | None = None
) -> None:
    """Serve until SIGTERM or Ctrl-C, and say where, with the address of the page if there is one, and how it went."""
    if insecure:
        tell(f"whoever reaches {worker.address} can use it: there is no authentication")
    _stop_on_signals(worker)
    print(f"{name}: listening on {worker.address}", flush=True)
    if page is not None:
        print(f"{name}: page at {page}", flush=True)
    worker.run(report_s=report_s)
    print(f"{name}: stopped; {worker.line()}", flush=True)


def split_own(codecs: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Where the user's own codecs are, from "user:48=FOLDER/NAME", and the names of all."""
    own: dict[str, str] = {}
    names = []
    for text in codecs:
        if match := re.fullmatch(r"(user:\d+)=(.+)", text):
            own[match[1]] = match[2]
        names.append(match[1] if match else text)
    return own, names


def _stop_on_signals(worker: Worker) -> None:
    """The first signal lets the worker finish what it has; the second ends the process."""
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
