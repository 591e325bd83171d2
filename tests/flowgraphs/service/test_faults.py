"""What users meet when the whole service is killed, and when the clock on the wall is set."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest

from semlink.flowgraphs.protocol import (
    Pdu,
    WorkerClient,
    WorkerError,
    encode_request,
    error_reply,
    status_request,
    with_deadline,
    with_id,
)
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.jobs import Job
from semlink.flowgraphs.service.lanes import Lane

pytest.importorskip("zmq", reason="pyzmq is not installed")


@contextmanager
def started(address: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "semlink.flowgraphs", "worker", "--address", address]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().endswith(f"listening on {address}\n")
            yield process
        finally:
            process.kill()


def image(**options: float) -> Pdu:
    asked = encode_request(np.zeros((16, 16, 3), np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=10)
    return with_deadline(asked, options["deadline_ms"]) if options else asked


@pytest.mark.slow  # two processes with PyTorch in them
def test_a_service_that_is_killed_is_told_in_time_and_found_again(free_port: Callable[[], int]) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    with WorkerClient(address, timeout_s=60.0) as client:
        with started(address) as process:
            assert client.status()["served"] == 0
            process.send_signal(signal.SIGKILL)
            process.wait(30)
        began = time.monotonic()
        with pytest.raises(WorkerError, match=r"no answer from the worker at .* within 1\.3 s"):
            client.call(image(deadline_ms=300.0))  # not the 60 s that others are waited for
        assert time.monotonic() - began < 10
        number = client.submit(status_request())  # waits for the next service
        with started(address):  # at the same address, which the first one's socket has let go
            answer = client.poll(60.0)
    assert answer is not None
    assert (answer.meta["id"], answer.meta["op"]) == (number, "status")


class Held(Service):
    """Does nothing until it is let."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.begun, self.let = threading.Event(), threading.Event()

    def run(self, jobs: Sequence[Job], lane: Lane | None = None) -> list[Pdu]:
        self.begun.set()
        assert self.let.wait(60)
        return [with_id(error_reply("done"), job.id) for job in jobs]


@pytest.mark.parametrize("jump_s", [86400.0, -86400.0])
def test_a_clock_that_is_set_neither_ends_nor_lengthens_a_deadline(
    monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    service = Held()
    worker = Worker(service, "tcp://127.0.0.1:*")
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    with WorkerClient(worker.address, timeout_s=60.0) as client:
        client.status()
        client.submit(image())
        assert service.begun.wait(60)
        began = time.monotonic()
        for after_ms in (500.0, 60_000.0):
            client.submit(image(deadline_ms=after_ms))
        assert client.poll(0.1) is None
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        answer = client.poll(30.0)
        assert answer is not None
        taken = time.monotonic() - began
        service.let.set()
        rest = [client.poll(30.0) for _ in range(2)]
    worker.stop()
    thread.join(30)
    assert answer.meta["message"] == "too late: deadline_ms=500 was over before it was done"
    assert 0.4 < taken < 10
    assert [one.meta["message"] for one in rest if one is not None] == ["done", "done"]
