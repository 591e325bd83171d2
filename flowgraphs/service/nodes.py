"""Other machines that compute for a service: each lane has a line to a `semlink node`, and all that crosses it is PDUs.

A node is a worker that does tasks. Its line is ZeroMQ's, with keys encrypted and known at both ends; nothing that
arrives is unpickled, at either. When a node is gone in the middle of a task, that task is lost, and whoever gave it is
told at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from semlink.flowgraphs.protocol import (
    Keys,
    MalformedPduError,
    Pdu,
    WorkerClient,
    WorkerError,
    codebook,
    read_keys,
    status_request,
)
from semlink.flowgraphs.service.door import check_kind, check_local
from semlink.flowgraphs.service.jobs import Crossing, Decoding, Encoding, Made, Task
from semlink.flowgraphs.service.lanes import LostError, StaysError
from semlink.flowgraphs.service.tasks import read_made, task_pdu
from semlink.flowgraphs.service.trips import OUTAGE
from semlink.phy.link import Frame, check_frame

START_S = 30.0
"""How long a node may take to say what it is."""
LOOK_S = 10.0
"""From one look whether a node that computes is there to the next: one that hangs keeps its line."""
MOST = 64
"""Lines to a node, each for one batch at a time; of more threads the others are for other services."""
MAX_LINE = 200
"""Characters of what is told of a node, at most: it may be the node's own words."""
PAUSE_S = 0.5
"""From one look for a node that is away to the next."""


class Place(NamedTuple):
    """Where a node is, and the keys that it knows this service by; None for none."""

    address: str
    keys: Keys | None


class Node:
    """One of the threads of a node. One thread at a time.

    What needs the channel, or codecs of one's own, stays where it is, as does what the node refuses.

    Args:
        place: of the node.
        build: weights and versions that it must have, as `Service.build` has it.
        most_s: of a task; one that takes longer is lost.
        report: is told in a line what is wrong with a node, once for each.
    """

    cpu_s, memory_bytes = 0.0, 0

    def __init__(self, place: Place, build: str, most_s: float, report: Callable[[str], object]) -> None:
        self._place, self._build, self._report = place, build, report
        self._client = WorkerClient(place.address, timeout_s=most_s, most=8, keys=place.keys, again=False)
        self._seen: set[object] = set()
        self._told = ""
        self._closed, self.loads = False, 0
        end = time.monotonic() + START_S
        while not self._client.is_up and time.monotonic() < end:  # or the first task would be taken to be lost
            self._client.poll(0.05)

    def make(self, task: Task) -> Made:
        """As `Lane` has it.

        Raises:
            LostError: the node is gone.
            StaysError: the task is not for a node, or it does not do it.
        """
        if _stays(task):
            raise StaysError
        self._client.poll()
        if not self._client.is_up:
            raise LostError(f"node {self._place.address} is away", begun=False)
        self.loads += (codec := _codec(task)) not in self._seen
        self._seen.add(codec)
        answer = self._ask(task_pdu(task))
        if any(answer.meta.get(name) for name in ("away", "locked", "lost")):
            raise LostError(f"node {self._place.address}: {_line(answer.meta.get('message'))}")
        try:
            return _checked(read_made(answer, task), task)
        except ValueError as error:
            self._say(str(answer.meta.get("message", error)))
            raise StaysError from None

    def renew(self, wanted: Callable[[], bool]) -> None:
        """As `Lane` has it."""
        while wanted() and not self._closed:
            answer = self._ask(status_request(), wanted)
            if answer.meta.get("op") == "status" and not (why := _unfit(answer, self._build)):
                self._say("it is there again")
                return
            self._say(why if answer.meta.get("op") == "status" else str(answer.meta.get("message")))
            time.sleep(PAUSE_S)

    def close(self) -> None:
        """As `Lane` has it."""
        if not self._closed:
            self._closed = True
            self._client.close()

    def _ask(self, asked: Pdu, wanted: Callable[[], bool] = lambda: True) -> Pdu:
        """The answer, or one made here where the node says nothing any more or nothing is `wanted` of it."""
        try:
            number = self._client.submit(asked)
        except MalformedPduError:  # values that are not finite, say
            raise StaysError from None
        look, heard = None, time.monotonic()
        while wanted() and not self._closed:
            answer, now = self._client.poll(PAUSE_S), time.monotonic()
            if answer is not None and answer.meta.get("id") == number:
                return answer
            if answer is not None and answer.meta.get("id") == look:
                look, heard = None, now
            elif look is None and now > heard + LOOK_S:
                look, heard = self._client.submit(status_request()), now
            elif look is not None and now > heard + START_S:
                return Pdu({"op": "error", "message": f"it says nothing for {START_S:g} s", "away": True})
        return Pdu({"op": "error", "message": "the service is about to stop", "away": True})

    def _say(self, line: str) -> None:
        if (line := _line(line)) != self._told:
            self._told = line
            self._report(f"node {self._place.address}: {line}")


def read_place(text: str, *, insecure: bool) -> Place:
    """Where a node is, from ADDRESS or ADDRESS=FILE.

    Raises:
        ValueError: an address that cannot be, keys that are none, or a node of another machine without keys, unless
            `insecure`.
    """
    address, _, file = text.partition("=")
    try:
        check_kind(address)
    except ValueError as error:
        raise ValueError(f"--node {text}: {error}") from None
    if file:
        return Place(address, read_keys(Path(file)))
    try:
        check_local(address)
    except ValueError:
        if not insecure:
            raise ValueError(
                f"--node {text}: what crosses the network there could be read and forged: ADDRESS=FILE gives keys that "
                f"`semlink keys` wrote for a user of that node, --insecure none"
            ) from None
    return Place(address, None)


def meet(place: Place, build: str) -> int:
    """Threads of a node.

    Raises:
        ValueError: it is not there, does not let in this service, is no node, or has other weights or versions.
    """
    with WorkerClient(place.address, timeout_s=START_S, keys=place.keys) as client:
        try:
            answer = Pdu({"op": "status", **client.status()})
        except WorkerError as error:
            raise ValueError(f"--node {place.address}: {error}") from None
    if why := _unfit(answer, build):
        raise ValueError(f"--node {place.address}: {why}")
    threads = answer.meta.get("threads")
    if type(threads) is not int or threads < 1:
        raise ValueError(f"--node {place.address}: it says threads={_line(threads)}, which must be 1 or more")
    return min(threads, MOST)


def _unfit(answer: Pdu, build: str) -> str:
    """Why what answers is no node for this service, "" where it is."""
    if not answer.meta.get("makes"):
        return "it is no `semlink node`"
    return "" if answer.meta.get("build") == build else "it has other weights, or another version of semlink or PyTorch"


def _codec(task: Task) -> tuple[type, int | str]:
    """What a node loads for a task: of few values, whatever users ask for."""
    kind = task.kind
    assert not isinstance(kind, Crossing)  # which stays
    return type(kind), kind.header.codec if isinstance(kind, Decoding) else codebook.split_name(kind.codec)[0]


def _line(said: object) -> str:
    """What another says, for a line of ours."""
    return "".join(c if c.isprintable() else " " for c in str(said)[:MAX_LINE])


def _checked(made: Made, task: Task) -> Made:
    """What a node made, where it may be on the air with what others send.

    Raises:
        ValueError: symbols that no codec makes.
    """
    if isinstance(task.kind, Encoding):
        symbols = torch.from_numpy(made.arrays["symbols"])
        check_frame(Frame(symbols, {"payload": symbols.shape[1]}, power="constellation"), len(symbols))
    return made


def _stays(task: Task) -> bool:
    kind = task.kind
    if isinstance(kind, Crossing):
        return True
    if isinstance(kind, Decoding):
        return kind.header.codec in codebook.USER
    stem, scheme = codebook.split_name(kind.codec)
    own = {codebook.codec_name(number) for number in codebook.USER}
    return stem in own or scheme == OUTAGE
