"""Clients that mean harm, or seem to: what the worker holds for them is bounded, and others are served all the same.

On this machine alone, with small limits and loops that end.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from semlink.flowgraphs.protocol import (
    EncodedImage,
    Limits,
    Pdu,
    WorkerClient,
    encode_request,
    encoded_reply,
    pack,
    unpack,
    with_id,
)
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.jobs import Job
from semlink.flowgraphs.service.lanes import Lane
from semlink.phy.waveform import BurstHeader

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
TIMEOUT_S = 60.0  # of a machine that does much else
MIB = 1 << 20
LIMITS = Limits(request=MIB, unread=MIB // 2, parts=2000, memory=160 * MIB)
GREETING = b"\xff" + bytes(8) + b"\x7f\3\1" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY\x0bSocket-Type" + (6).to_bytes(4) + b"DEALER\x08Identity" + bytes(4)


class Echo(Service):
    """Answers with so many symbols, once it is let; no codec is at work."""

    def __init__(self) -> None:
        super().__init__(threads=1, batch=4)
        self.open, self.begun, self.symbols = threading.Event(), threading.Event(), 8
        self.open.set()

    def run(self, jobs: Sequence[Job], lane: Lane | None = None) -> list[Pdu]:
        self.begun.set()
        assert self.open.wait(TIMEOUT_S)
        header = BurstHeader(codec=1, height=8, width=8, symbols=self.symbols)
        return [with_id(encoded_reply(header, np.ones(self.symbols, np.complex64)), job.id) for job in jobs]


@contextmanager
def running(limits: Limits = LIMITS) -> Iterator[tuple[Echo, Worker, list[str]]]:
    service, said = Echo(), list[str]()
    worker = Worker(service, "tcp://127.0.0.1:*", limits=limits)
    thread = threading.Thread(target=lambda: worker.run(report=said.append))
    thread.start()
    try:
        yield service, worker, said
    finally:
        service.open.set()
        worker.stop()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def running_worker() -> Iterator[tuple[Echo, Worker, list[str]]]:
    with running() as all_of_it:
        yield all_of_it


@pytest.fixture
def service(running_worker: tuple[Echo, Worker, list[str]]) -> Iterator[Echo]:
    one = running_worker[0]
    one.begun.clear()
    yield one
    one.symbols = 8
    one.open.set()


@pytest.fixture
def worker(running_worker: tuple[Echo, Worker, list[str]]) -> Worker:
    return running_worker[1]


@pytest.fixture
def said(running_worker: tuple[Echo, Worker, list[str]]) -> list[str]:
    running_worker[2].clear()
    return running_worker[2]


@pytest.fixture
def client(worker: Worker) -> Iterator[WorkerClient]:
    with WorkerClient(worker.address, timeout_s=TIMEOUT_S) as one:
        yield one


def front_of(worker: Worker) -> int:
    return worker._door._process.pid


def megabytes(process: int) -> float:
    """Memory that a process really has."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def request(side: int = 8) -> Pdu:
    return encode_request(np.zeros((side, side, 3), np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=10)


def ask(client: WorkerClient) -> EncodedImage:
    return client.encode(np.zeros((8, 8, 3), np.uint8), codec="deepjscc", esno_db=10)


def until(done: Callable[[], object], client: WorkerClient) -> None:
    """Wait for something, the client's line being looked after."""
    end = time.monotonic() + TIMEOUT_S
    while not done() and time.monotonic() < end:
        assert client.poll(0.02) is None
    assert done()


@contextmanager
def plain_line(address: str) -> Iterator[socket.socket]:
    """A connection on which ZeroMQ's own words can be said as nobody's library would."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(5)
        line.connect(("127.0.0.1", int(address.rsplit(":", 1)[1])))
        line.sendall(GREETING + bytes([4, len(READY)]) + READY)
        said = b""
        while len(said) < 66 or len(said) < 66 + said[65]:  # its greeting and its own READY
            said += line.recv(1)
        yield line


def frame(part: bytes, *, more: bool) -> bytes:
    return bytes([2 | more]) + len(part).to_bytes(8) + part


def message(pdu: Pdu) -> bytes:
    parts = pack(pdu)
    return b"".join(frame(part, more=i + 1 < len(parts)) for i, part in enumerate(parts))


def hostile_messages(count: int, seed: int) -> Iterator[list[bytes]]:
    """None is a request: noise, cut and altered ones, wrong types, empty parts, too many, too large."""
    rng = np.random.default_rng(seed)
    whole = pack(with_id(request(), 7))
    head = json.loads(whole[0])
    wrong = [None, -1, 1e300, "x" * 300, [], {}, True, [[]] * 50, 2**62]
    for trial in range(count):
        kind, place = trial % 8, int(rng.integers(len(whole[0])))
        value = wrong[int(rng.integers(len(wrong)))]
        if kind == 0:
            yield [rng.bytes(int(rng.integers(300))) for _ in range(int(rng.integers(1, 5)))]
        elif kind == 1:
            yield [whole[0][:place], *whole[1:]]
        elif kind == 2:
            yield [whole[0], whole[1][: place % len(whole[1])]]
        elif kind == 3:
            yield [b""] * int(rng.integers(1, 9))
        elif kind == 4:
            name = ["op", "codec", "esno_db", "ratio"][int(rng.integers(4))]
            changed = {**head["meta"], name: [] if value is True else value}
            yield [json.dumps({**head, "meta": changed, "arrays": head["arrays"] * (1 + trial // 8 % 2)}).encode(), b""]
        elif kind == 5:
            name = ["name", "dtype", "shape"][int(rng.integers(3))]
            yield [json.dumps({**head, "arrays": [{**head["arrays"][0], name: value}]}).encode(), whole[1] + b"0"]
        elif kind == 6:
            yield [whole[0], *[b"x" * int(rng.integers(3))] * int(rng.integers(5, 300))]
        else:
            yield [whole[0], bytes(MIB // 4 * (1 + 3 * (trial // 8 % 8 == 0)))] + [b""] * int(rng.integers(3))


def test_a_thousand_hostile_messages_cost_nothing(worker: Worker, client: WorkerClient, said: list[str]) -> None:
    """Each is answered with a refusal, honest clients are served meanwhile and after, and no memory is gone."""
    assert len(ask(client).symbols) == 8
    pids, refused = (os.getpid(), front_of(worker)), client.status()["refused"]
    before = [megabytes(pid) for pid in pids]
    with zmq.Context() as context, context.socket(zmq.DEALER) as line:
        line.setsockopt(zmq.LINGER, 0)
        line.setsockopt(zmq.RCVTIMEO, round(1000 * TIMEOUT_S))
        line.connect(worker.address)
        for i, parts in enumerate(hostile_messages(1000, seed=17)):
            line.send_multipart(parts)
            answer = unpack(line.recv_multipart())
            assert answer.meta["op"] == "error", parts[0][:200]
            assert len(str(answer.meta["message"])) < 500
            if i % 100 == 0:
                assert len(ask(client).symbols) == 8
    assert len(ask(client).symbols) == 8
    assert client.status()["refused"] == refused + 1000  # type: ignore[operator]
    assert all(megabytes(pid) < size + 48 for pid, size in zip(pids, before, strict=True))
    assert front_of(worker) == pids[1]
    assert not said


def test_a_flood_that_is_not_waited_for_is_taken_in_its_stride(worker: Worker, client: WorkerClient) -> None:
    """A thousand at once, of clients that vanish without a word and never read."""
    front = front_of(worker)
    for seed in range(5):
        with plain_line(worker.address) as line, suppress(OSError):
            for parts in hostile_messages(200, seed):
                small = [part[:4096] for part in parts]
                line.sendall(b"".join(frame(part, more=i + 1 < len(small)) for i, part in enumerate(small)))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert len(ask(client).symbols) == 8
    assert front_of(worker) == front


def test_a_message_without_end_costs_the_socket_and_no_request(
    service: Echo, worker: Worker, client: WorkerClient, said: list[str]
) -> None:
    """Its parts go past every limit of libzmq's: what has the socket ends itself, and clients ask again."""
    service.open.clear()
    before = megabytes(os.getpid())
    ids = [client.submit(request()) for _ in range(3)]
    until(service.begun.is_set, client)
    with plain_line(worker.address) as line, suppress(OSError):
        for _ in range(600):
            line.sendall(frame(bytes(MIB), more=True))
    until(lambda: said, client)
    service.open.set()
    answers = [client.poll(TIMEOUT_S) for _ in ids]
    assert sorted(answer.meta["id"] for answer in answers if answer) == ids  # type: ignore[type-var]
    assert {answer.meta["op"] for answer in answers if answer} == {"encoded"}
    assert said == ["the socket is opened again: it held more than 160 MiB of messages; clients ask again"]
    assert megabytes(os.getpid()) < before + 48
    assert client.poll(0.2) is None  # what was served twice is answered once


def test_a_message_of_very_many_parts_costs_no_minute(worker: Worker, client: WorkerClient, said: list[str]) -> None:
    with plain_line(worker.address) as line, suppress(OSError):
        line.sendall(b"\1\0" * 3000 + b"\0\0")
        until(lambda: said, client)
    assert said == ["the socket is opened again: a message had more than 2000 parts; clients ask again"]
    assert len(ask(client).symbols) == 8


def test_a_client_that_does_not_read_loses_its_replies(
    service: Echo, worker: Worker, client: WorkerClient, said: list[str]
) -> None:
    """16 MB of them from a few kilobytes of requests."""
    service.symbols = 48  # 128 KiB and more go to the one that does not read
    lost, front = client.status()["undelivered"], front_of(worker)
    service.symbols = 1 << 15
    with plain_line(worker.address) as line:
        for _ in range(120):
            line.sendall(message(request()))
            time.sleep(0.002)
        end = time.monotonic() + TIMEOUT_S
        while client.status()["undelivered"] == lost and time.monotonic() < end:
            with suppress(OSError):
                line.sendall(message(request()))
        assert megabytes(front) < 100
    after = client.status()
    assert after["undelivered"] > lost  # type: ignore[operator]
    service.symbols = 8
    assert len(ask(client).symbols) == 8
    assert (front_of(worker), said) == (front, [])


def test_it_stops_amid_a_flood() -> None:
    """What was taken in is answered, what comes is refused, and there is an end."""
    with running() as (service, worker, _), WorkerClient(worker.address, timeout_s=TIMEOUT_S) as client:
        service.open.clear()
        number = client.submit(request())
        until(service.begun.is_set, client)
        over = threading.Event()

        def flood() -> None:
            with plain_line(worker.address) as line, suppress(OSError):
                while not over.is_set():
                    line.sendall(b"\0\0" * 500)

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            time.sleep(0.3)
            began = time.monotonic()
            worker.stop()
            service.open.set()
            answer = client.poll(TIMEOUT_S)
            assert answer is not None
            assert (answer.meta["id"], answer.meta["op"]) == (number, "encoded")
            assert time.monotonic() - began < 10
        finally:
            over.set()
            thread.join(TIMEOUT_S)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGKILL])
def test_when_the_socket_is_lost_clients_ask_again(
    service: Echo, worker: Worker, said: list[str], number: signal.Signals
) -> None:
    """As libzmq ends a process, and as the system does; at the same address, and with the same service."""
    with (
        WorkerClient(worker.address, timeout_s=TIMEOUT_S) as one,
        WorkerClient(worker.address, timeout_s=TIMEOUT_S) as other,
    ):
        service.open.clear()
        ids = [[each.submit(request()) for _ in range(5)] for each in (one, other)]
        until(service.begun.is_set, one)
        assert other.poll(0.1) is None
        reopened = worker.status()["reopened"]
        os.kill(front_of(worker), number)
        until(lambda: worker.status()["reopened"] == reopened + 1, one)  # type: ignore[operator]
        service.open.set()
        for each, own in zip((one, other), ids, strict=True):
            answers = [each.poll(TIMEOUT_S) for _ in own]
            assert sorted(answer.meta["id"] for answer in answers if answer) == own  # type: ignore[type-var]
            assert {answer.meta["op"] for answer in answers if answer} == {"encoded"}
            assert each.poll(0.2) is None
    assert said == [f"the socket is opened again: {number.name}; clients ask again"]


def test_a_socket_that_is_lost_again_and_again_is_waited_for_longer() -> None:
    """Clients ask for the same again at once: what was too much may be too much again."""
    with running() as (_, worker, _), WorkerClient(worker.address, timeout_s=TIMEOUT_S) as client:
        for failures in (1, 2, 3):
            reopened = worker.status()["reopened"]
            os.kill(front_of(worker), signal.SIGKILL)
            until(lambda before=reopened: worker.status()["reopened"] == before + 1, client)  # type: ignore[misc]
            assert worker._door._failures == failures
            assert len(ask(client).symbols) == 8  # it listens again


def test_a_place_that_is_taken_meanwhile_is_told_once_and_waited_for() -> None:
    with (
        running() as (_, worker, said),
        WorkerClient(worker.address, timeout_s=TIMEOUT_S) as client,
        socket.socket() as other,
    ):
        port = int(worker.address.rpartition(":")[2])
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        os.kill(front_of(worker), signal.SIGKILL)
        for _ in range(200):
            with suppress(OSError):
                other.bind(("127.0.0.1", port))
                other.listen()
                break
            time.sleep(0.005)
        until(lambda: len(said) == 2, client)
        time.sleep(1.0)  # in which it tries again
        assert said[0] == "the socket is opened again: SIGKILL; clients ask again"
        assert re.fullmatch(r"the socket cannot be opened: Address already in use .*; trying again", said[1])
        assert len(said) == 2
        other.close()
        assert len(ask(client).symbols) == 8


def test_neither_end_has_heartbeats(client: WorkerClient) -> None:
    with zmq.Context() as context:
        from semlink.flowgraphs.protocol.worker_front import listen

        line = listen(zmq, context, "tcp://127.0.0.1:*")
        for each in (line, client._socket):
            assert each.getsockopt(zmq.HEARTBEAT_IVL) == 0
            assert each.getsockopt(zmq.TCP_KEEPALIVE) == 1
        line.close(linger=0)
