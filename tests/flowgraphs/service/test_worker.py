"""The worker process: what flowgraphs, and whoever else finds its socket, may do to it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.bench.radio import worker_process
from semlink.flowgraphs.protocol import (
    MAX_PART,
    Pdu,
    WorkerClient,
    WorkerError,
    encode_request,
    error_reply,
    pack,
    read_encoded,
    unpack,
    with_id,
)
from semlink.flowgraphs.protocol.messages import status_request
from semlink.flowgraphs.protocol.worker_client import WorkerAwayError
from semlink.flowgraphs.service import Service, Worker, run_worker
from semlink.flowgraphs.service.jobs import Job
from semlink.flowgraphs.service.lanes import Lane
from semlink.neural import zoo
from semlink.phy.sources import sample_images

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
TIMEOUT_S = 120.0  # of a machine that does much else


def photograph(seed: int = 0, side: int = 32) -> NDArray[np.uint8]:
    """Cut from a sample photograph."""
    top, left = np.random.default_rng(seed).integers(0, 257 - side, 2)
    return samples()[seed % 3, top : top + side, left : left + side]


@cache
def samples() -> NDArray[np.uint8]:
    return to_uint8(sample_images())


def request(seed: int = 0, side: int = 32) -> Pdu:
    return encode_request(photograph(seed, side), codec="deepjscc", ratio=1 / 6, esno_db=10)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with worker_process(["--threads=1", "--batch=4", "--codec=deepjscc"]) as where:
        yield where


@pytest.fixture
def client(address: str) -> Iterator[WorkerClient]:
    with WorkerClient(address, timeout_s=TIMEOUT_S) as one:
        yield one


@contextmanager
def raw_line(address: str) -> Iterator[zmq.Socket[bytes]]:
    """A socket for messages that the client would not make."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as line:
        line.setsockopt(zmq.LINGER, 0)
        line.setsockopt(zmq.RCVTIMEO, round(1000 * TIMEOUT_S))
        line.connect(address)
        yield line


def gather(client: WorkerClient, count: int) -> dict[object, Pdu]:
    """So many answers, by id."""
    answers: dict[object, Pdu] = {}
    for _ in range(count):
        answer = client.poll(TIMEOUT_S)
        assert answer is not None
        assert answer.meta["id"] not in answers
        answers[answer.meta["id"]] = answer
    return answers


def test_an_image_goes_there_and_back(client: WorkerClient) -> None:
    image = photograph(side=48)
    sent = client.encode(image, codec="deepjscc", esno_db=15)
    own = zoo.load("deepjscc", ratio=1 / 6)
    want = own.encode(torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255, 10**-1.5).symbols[0]
    np.testing.assert_allclose(sent.symbols, want.numpy(), atol=1e-4)
    got = client.decode(sent.header, sent.symbols, np.full(len(sent.symbols), 10**-1.5))
    assert (got.image.shape, got.failed, got.codec) == ((48, 48, 3), False, "deepjscc")
    assert np.mean((got.image.astype(float) - image) ** 2) < 255**2 * 10**-2.5


def test_what_waits_goes_in_batches_and_all_are_answered_once(client: WorkerClient) -> None:
    before = client.status()
    ids = [client.submit(one) for one in [request(i) for i in range(24)]]
    answers = gather(client, 24)
    assert list(answers) == ids  # of one kind: the oldest first
    alone = client.encode(photograph(7), codec="deepjscc", esno_db=10)
    np.testing.assert_allclose(read_encoded(answers[ids[7]]).symbols, alone.symbols, atol=1e-4)
    after = client.status()
    assert after["served"] == before["served"] + 25  # type: ignore[operator]
    assert after["batch_max"] == 4
    assert after["queue"] == after["under_way"] == 0
    assert 0 < after["encode_mean_ms"] <= after["encode_p95_ms"]  # type: ignore[operator]
    assert client.poll(0.05) is None


def test_flowgraphs_get_their_own_answers(address: str) -> None:
    """Though their ids are the same."""
    with WorkerClient(address, timeout_s=TIMEOUT_S) as one, WorkerClient(address, timeout_s=TIMEOUT_S) as other:
        for i in range(6):
            assert one.submit(request(i, 16)) == other.submit(request(i, 24))
        sizes = [{read_encoded(pdu).header.width for pdu in gather(each, 6).values()} for each in (one, other)]
    assert sizes == [{16}, {24}]


def test_what_cannot_be_served_is_told(client: WorkerClient) -> None:
    with pytest.raises(WorkerError, match="codec='nix' must be one of"):
        client.encode(photograph(), codec="nix", esno_db=10)
    with pytest.raises(WorkerError, match="1/12, 1/6"):
        client.encode(photograph(), codec="deepjscc", ratio=0.3, esno_db=10)
    with pytest.raises(ValueError, match="must be uint8"):
        client.encode(np.zeros((8, 8, 3)), codec="deepjscc", esno_db=10)  # type: ignore[arg-type]
    assert client.encode(photograph(), codec="deepjscc", esno_db=10).header.symbols == 512


MALFORMED: list[Sequence[bytes]] = [
    [b""],
    [b"hello"],
    [b"\xff" * 100, b"abc"],
    [b"{}"] * 20,
    [b'{"semlink": 1, "meta": {"op": "encode", "id": 9}, "arrays": []}', b"abc"],
    [b'{"semlink": 1, "meta": {"op": "encode", "id": 9}, "arrays": [{"name": "image", "dtype": "uint8", '
     b'"shape": [99999, 99999, 3]}]}', b"abc"],
    [b'{"semlink": 1, "meta": {"op": "quit", "id": 9}, "arrays": []}'],
    [b'{"semlink": 1, "meta": {"op": "encode", "id": 9}, "arrays": []}'],
    [b'{"semlink": 1, "meta": {"op": "quit", "id": "' + b"x" * 65_000 + b'"}, "arrays": []}'],
]  # fmt: skip


def test_malformed_messages_are_refused_and_nothing_else_happens(address: str, client: WorkerClient) -> None:
    before = client.status()["refused"]
    with raw_line(address) as line:
        for parts in MALFORMED:
            line.send_multipart(parts)
            answer = unpack(line.recv_multipart())
            assert answer.meta["op"] == "error"
            assert answer.meta["message"]
            assert answer.meta.get("id") == (9 if b'"id": 9' in parts[0] else None)
        line.send_multipart(pack(with_id(request(), "still there?")))
        assert unpack(line.recv_multipart()).meta["id"] == "still there?"
    assert client.status()["refused"] == before + len(MALFORMED)  # type: ignore[operator]


def test_other_protocols_and_huge_messages_do_no_harm(address: str, client: WorkerClient) -> None:
    port = int(address.rsplit(":", 1)[1])
    for junk in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096)):
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(junk)
    with raw_line(address) as line:
        line.send(bytes(MAX_PART + 1))  # the connection is cut; nothing comes of it
        line.setsockopt(zmq.RCVTIMEO, 300)
        with pytest.raises(zmq.Again):
            line.recv_multipart()
    assert client.encode(photograph(), codec="deepjscc", esno_db=10).header.symbols == 512


VANISHES = """
import os, signal, sys
import numpy as np
from semlink.flowgraphs.protocol.messages import encode_request, status_request
from semlink.flowgraphs.protocol.worker_client import WorkerClient
client = WorkerClient(sys.argv[1], timeout_s=60)
image = np.zeros((256, 256, 3), np.uint8) + np.arange(256, dtype=np.uint8)[:, None, None]
for _ in range(40):
    client.submit(encode_request(image, codec="deepjscc", ratio=1 / 6, esno_db=10))
last = client.submit(status_request())
while (answer := client.poll(60)) is None or answer.meta["id"] != last:  # then the worker has taken all of them in
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_flowgraph_that_is_killed_costs_nothing(address: str, client: WorkerClient) -> None:
    """What waits for it is dropped, and the next one is served."""
    before = client.status()
    done = subprocess.run([sys.executable, "-c", VANISHES, address], timeout=TIMEOUT_S)
    assert done.returncode == -signal.SIGKILL
    assert client.encode(photograph(), codec="deepjscc", esno_db=10).header.symbols == 512
    end = time.monotonic() + TIMEOUT_S
    while client.status()["queue"] and time.monotonic() < end:
        time.sleep(0.05)
    after = client.status()
    rise = {name: after[name] - before[name] for name in ("served", "undelivered", "dropped")}  # type: ignore[operator]
    assert rise["undelivered"] >= 1
    assert rise["dropped"] >= 10
    assert rise["served"] + rise["dropped"] == 41


def start(*options: str) -> subprocess.Popen[str]:
    """A worker, and the line that it says first."""
    command = [sys.executable, "-m", "semlink.flowgraphs", "worker", "--threads=1", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def address_of(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout is not None
    return worker.stdout.readline().split()[-1]


@pytest.mark.slow
def test_it_drains_and_its_successor_is_found() -> None:
    """SIGTERM: all that was taken in is answered, the report told, exit status 0. The client needs no restart."""
    with start("--address=tcp://127.0.0.1:*", "--batch=2", "--report=0.1", "--codec=deepjscc") as worker:
        where = address_of(worker)
        with WorkerClient(where, timeout_s=TIMEOUT_S) as client:
            assert client.poll(0.5) is None  # long enough for a report
            ids = [client.submit(request(i, 64)) for i in range(30)]
            client.status()  # asked behind them: once it is answered, all of them have been taken in
            answers = gather(client, 1)
            worker.send_signal(signal.SIGTERM)
            answers |= gather(client, 29)
            told, reports = worker.communicate(timeout=TIMEOUT_S)
            assert worker.returncode == 0
            assert sorted(answers) == ids  # type: ignore[type-var]
            assert {answer.meta["op"] for answer in answers.values()} == {"encoded"}
            assert "stopped; 30 served, 0 refused" in told
            assert "0 waiting" in told
            assert "2 at most" in told
            assert "served" in reports

            client.timeout_s = 0.3
            with pytest.raises(WorkerAwayError, match=r"no answer .* within 0\.3 s"):
                client.call(request())
            client.timeout_s = TIMEOUT_S
            with start(f"--address={where}") as successor:
                assert client.call(request()).meta["op"] == "encoded"  # asked before it listens
                assert client.status()["served"] == 1  # and of what was given up, nothing reached it
                successor.send_signal(signal.SIGINT)
                assert successor.wait(TIMEOUT_S) == 0


@pytest.mark.slow
def test_the_second_signal_ends_it_at_once() -> None:
    requests = [request(i, 256) for i in range(60)]
    with start("--address=tcp://127.0.0.1:*", "--batch=1", "--codec=deepjscc") as worker:
        client = WorkerClient(address_of(worker), timeout_s=TIMEOUT_S)
        for one in requests:
            client.submit(one)
        gather(client, 1)
        end = time.monotonic() + TIMEOUT_S
        while worker.poll() is None and time.monotonic() < end:  # two in quick succession may arrive as one
            worker.send_signal(signal.SIGTERM)
            time.sleep(0.3)
        assert worker.wait(TIMEOUT_S) == 128 + signal.SIGTERM
        client.close()


def test_an_address_in_use_is_one_line_and_exit_status_2(address: str) -> None:
    with start("--address", address) as worker:
        told, error = worker.communicate(timeout=TIMEOUT_S)
    assert (worker.returncode, told) == (2, "")
    assert error.startswith(f"semlink: error: address '{address}': ")
    assert "in use" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"address": "nowhere"}, "address 'nowhere': .* such as tcp://127.0.0.1:5555"),
        ({"address": "tcp://no.such.host.invalid:5555"}, "address 'tcp://no.such"),
        ({"codecs": ["nix"]}, "--codec codec='nix' must be one of"),
        ({"codecs": ["user:48=/nowhere/x"]}, "no such file"),
        ({"codecs": ["user:48"]}, "--codec .* no codec of a user"),
        ({"batch": 0}, "--batch 0 must be at least 1"),
        ({"queue": 0}, "--queue 0 must be at least 1"),
        ({"threads": 0}, "--threads 0 must be at least 1"),
        ({"report_s": 0.0}, "--report 0 must be from"),
    ],
)
def test_options_that_cannot_be_are_refused(option: dict[str, Any], said: str) -> None:
    """By a ValueError, of which the command line makes a line and exit status 2."""
    usual = {"address": "tcp://127.0.0.1:*", "batch": 1, "queue": 1, "threads": 1, "codecs": [], "report_s": None}
    with pytest.raises(ValueError, match=said):
        run_worker(**{**usual, **option})


class Gate(Service):
    """Does nothing until it is let."""

    def __init__(self) -> None:
        super().__init__(threads=1, batch=2)
        self.open, self.begun = threading.Event(), threading.Event()

    def run(self, jobs: Sequence[Job], lane: Lane | None = None) -> list[Pdu]:
        self.begun.set()
        assert self.open.wait(TIMEOUT_S)
        return [with_id(error_reply("done"), job.id) for job in jobs]


@contextmanager
def gated(*, queue: int) -> Iterator[tuple[Gate, Worker, Callable[[], bool]]]:
    """A worker in this process whose service waits, and whether it still runs."""
    service = Gate()
    worker = Worker(service, "tcp://127.0.0.1:*", queue=queue)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield service, worker, thread.is_alive
    finally:
        service.open.set()
        worker.stop()
        thread.join(TIMEOUT_S)
        assert not thread.is_alive()


def wait_until(client: WorkerClient, event: threading.Event) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not event.is_set() and time.monotonic() < end:
        assert client.poll(0.05) is None
    assert event.is_set()


def test_a_full_queue_refuses_and_recovers() -> None:
    with gated(queue=3) as (service, worker, _), WorkerClient(worker.address, timeout_s=TIMEOUT_S) as client:
        client.submit(request())
        wait_until(client, service.begun)  # the first is under way; three more may wait
        ids = [client.submit(request(i)) for i in range(5)]
        refused = gather(client, 2)
        assert list(refused) == ids[3:]
        assert all("the queue is full: 3 requests" in str(pdu.meta["message"]) for pdu in refused.values())
        status = client.status()  # though it is busy
        assert (status["queue"], status["under_way"], status["refused"]) == (3, 1, 2)
        service.open.set()
        assert {pdu.meta["message"] for pdu in gather(client, 4).values()} == {"done"}


def test_a_worker_that_stops_takes_no_more() -> None:
    with gated(queue=3) as (service, worker, is_alive), WorkerClient(worker.address, timeout_s=TIMEOUT_S) as client:
        first = client.submit(request())
        wait_until(client, service.begun)
        worker.stop()
        with pytest.raises(WorkerError, match="about to stop"):
            client.call(request())
        assert is_alive()
        service.open.set()
        assert gather(client, 1)[first].meta["message"] == "done"


def test_a_client_does_not_pile_up_requests() -> None:
    with WorkerClient("tcp://127.0.0.1:9", timeout_s=0.2, most=3) as client:  # nobody is there
        ids = [client.submit(status_request()) for _ in range(3)]
        with pytest.raises(WorkerError, match="3 requests wait"):
            client.submit(status_request())
        answers = gather(client, 3)
        assert list(answers) == ids
        assert all(pdu.meta["op"] == "error" and pdu.meta["away"] for pdu in answers.values())
        client.submit(status_request())


def test_one_thread_submits_while_another_polls(address: str) -> None:
    """And what is submitted goes out at once, not when the poll is over."""
    with WorkerClient(address, timeout_s=TIMEOUT_S) as client:
        answers: dict[object, Pdu] = {}
        thread = threading.Thread(target=lambda: answers.update(gather(client, 40)))
        thread.start()
        ids = []
        for i in range(40):
            ids.append(client.submit(request(i, 8 + i % 3)))
            time.sleep(0.01 * (i % 4))
        thread.join(TIMEOUT_S / 2)
        assert set(answers) == set(ids)


@pytest.mark.parametrize("limits", [{"timeout_s": 0}, {"most": 0}, {"address": "nix"}])
def test_a_client_refuses_what_cannot_be(limits: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(limits))}="):
        WorkerClient(**limits)  # type: ignore[arg-type]
