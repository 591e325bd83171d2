"""Nodes: the same numbers, from another worker; and nothing lost or told twice when one is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import (
    Pdu,
    WorkerClient,
    carry_request,
    make_keys,
    pack,
    read_carried,
    unpack,
    with_id,
)
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.board import Board
from semlink.flowgraphs.service.commands import join_nodes
from semlink.flowgraphs.service.jobs import Encoding, Task
from semlink.flowgraphs.service.lanes import LostError, StaysError
from semlink.flowgraphs.service.nodes import Node, Place, meet, read_place
from semlink.flowgraphs.specs import make_channel

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
CHANNEL = "uplink:users=3,rx=3,mmse"
CODECS = ("deepjscc", "jpeg-ldpc-qam:adaptive")


def images(count: int, side: int = 16) -> list[Any]:
    rng, block = np.random.default_rng(3), np.ones((side // 2, side // 2, 1), np.uint8)
    return [np.kron(rng.integers(0, 256, (2, 2, 3), np.uint8), block) for _ in range(count)]


def asked(number: int, image: Any, codec: str = CODECS[0]) -> Pdu:  # noqa: ANN401
    return with_id(carry_request(image, codec=codec, ratio=1 / 6, esno_db=12), number)


def serving() -> Service:
    over = make_channel(CHANNEL, coherence=None, csi=None, equaliser=None)
    return Service(threads=1, channel=over, seed=5)


@contextmanager
def running(service: Service, **options: Any) -> Iterator[Worker]:  # noqa: ANN401
    worker = Worker(service, "tcp://127.0.0.1:*", **options)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(60)


def test_a_node_gives_the_same_behind_keys(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", ["service"])
    node, service = Service(threads=1, makes=True), serving()
    with running(node, keys=tmp_path / "keys", board=Board()) as there:  # whose page shows no batches
        join_nodes(service, [f"{there.address}={tmp_path}/keys/users/service.json"], insecure=False)
        assert service.threads == len(service.lanes) == 2
        requests = [asked(i, image, codec) for i, (codec, image) in enumerate(zip(CODECS * 2, images(4), strict=True))]
        here, by_node = service.handle(requests), service.handle(requests, service.lanes[1])
        service.close()
    for one, other in zip(here, by_node, strict=True):
        assert one.meta == other.meta
        np.testing.assert_array_equal(one.arrays["image"], other.arrays["image"])
    assert node.record.served == 4  # two codecs, to encode and to decode in batches; the channel stays here


def refusal(text: str, *, insecure: bool = False) -> str:
    with pytest.raises(ValueError) as told:
        join_nodes(serving(), [text], insecure=insecure)
    return str(told.value)


def test_a_node_that_cannot_be_is_refused_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--node tcp://192.0.2.1:5556: what crosses the network there could be read" in refusal(
        "tcp://192.0.2.1:5556"
    )
    assert "--node here: address 'here': must be tcp:// or ipc://" in refusal("here")
    assert "no such file" in refusal(f"tcp://192.0.2.1:5556={tmp_path}/none.json").lower()
    assert read_place("tcp://192.0.2.1:5556", insecure=True) == Place("tcp://192.0.2.1:5556", None)
    make_keys(tmp_path / "keys", ["a"])
    make_keys(tmp_path / "others", ["b"])
    with running(Service(threads=1)) as worker:
        assert refusal(worker.address).endswith("it is no `semlink node`")
    with running(Service(threads=1, makes=True), keys=tmp_path / "keys") as locked:
        assert "does not let in" in refusal(locked.address) or "talks to nobody" in refusal(locked.address)
    with running(Service(threads=1, makes=True)) as node, pytest.raises(ValueError, match="it has other weights"):
        meet(Place(node.address, None), "another build")


TASK = Task(Encoding("deepjscc", 1 / 6, 10.0, 16, 16), {"image": np.stack(images(2))}, {})


@pytest.fixture(name="node")
def give_a_node() -> Iterator[tuple[Any, Node, list[str]]]:
    """A socket that a node is taken to be behind, and a lane to it."""
    said: list[str] = []
    with zmq.Context() as context:
        line = context.socket(zmq.ROUTER)
        line.linger = 0
        port = line.bind_to_random_port("tcp://127.0.0.1")
        lane = Node(Place(f"tcp://127.0.0.1:{port}", None), "same", 60.0, said.append)
        end = time.monotonic() + 60
        while not lane._client.is_up and time.monotonic() < end:
            lane._client.poll(0.05)
        yield line, lane, said
        lane.close()
        line.close()


def test_a_task_is_lost_with_its_node_and_done_by_the_next(node: tuple[Any, Node, list[str]]) -> None:
    line, lane, said = node
    got: list[object] = []

    def make() -> None:
        try:
            got.append(lane.make(TASK))
        except LostError as error:
            got.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    line.recv_multipart()
    address = line.getsockopt(zmq.LAST_ENDPOINT).decode().rstrip("\0")
    line.unbind(address)
    line.close()
    thread.join(60)
    assert isinstance(got[0], LostError)
    assert got[0].begun
    with pytest.raises(LostError) as away:
        lane.make(TASK)
    assert not away.value.begun
    renewing = threading.Thread(target=lane.renew, args=[lambda: True])
    renewing.start()
    with zmq.Context() as context, context.socket(zmq.ROUTER) as again:
        again.bind(address)
        for told in ({"makes": False}, {"makes": True, "build": "other"}, {"makes": True, "build": "same"}):
            client, *parts = again.recv_multipart()
            assert unpack(parts).meta["op"] == "status"
            again.send_multipart([client, *pack(with_id(Pdu({"op": "status", **told}), unpack(parts).meta["id"]))])
        renewing.join(60)
    assert not renewing.is_alive()
    assert [line.split(": ")[1] for line in said] == [
        "it is no `semlink node`",
        "it has other weights, or another version of semlink or PyTorch",
        "it is there again",
    ]


@pytest.mark.parametrize("answer", [{"op": "error", "message": "the queue is full"}, {"op": "made", "rows": "{}"}])
def test_what_a_node_refuses_is_done_here(node: tuple[Any, Node, list[str]], answer: dict[str, Any]) -> None:
    line, lane, said = node
    service = serving()

    def refuse() -> None:
        client, *parts = line.recv_multipart()
        line.send_multipart([client, *pack(with_id(Pdu(answer), unpack(parts).meta["id"]))])

    for make in (lane.make, service._by(lane)):
        thread = threading.Thread(target=refuse)
        thread.start()
        if make == lane.make:
            with pytest.raises(StaysError):
                make(TASK)
        else:
            np.testing.assert_array_equal(make(TASK).arrays["symbols"], service.here.make(TASK).arrays["symbols"])
        thread.join(60)
    assert len(said) == 1  # and not each time
    service.close()


@contextmanager
def command(words: Sequence[str], folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    folder.mkdir()
    every = [sys.executable, "-m", "semlink.flowgraphs", *words]
    with subprocess.Popen(every, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


@pytest.mark.slow  # two processes with PyTorch in them
def test_a_node_that_is_killed_under_load_costs_nobody_an_answer(tmp_path: Path) -> None:
    """Two machines: processes with folders of their own, and keys between them."""
    make_keys(tmp_path / "keys", ["service"])
    local, keys = "--address=tcp://127.0.0.1:*", tmp_path / "keys"
    pictures, answers = images(60), Counter[int]()
    with ExitStack() as ends:
        codec = f"--codec={CODECS[0]}"
        node, there = ends.enter_context(
            command(["node", local, f"--keys={keys}", "--threads=1", codec], tmp_path / "a")
        )
        words = ["serve", local, "--channel=awgn", "--threads=1", "--batch=2", "--backlog=1000", "--latency-ms=60000"]
        _, address = ends.enter_context(
            command([*words, f"--node={there}={keys}/users/service.json", codec], tmp_path / "b")
        )
        with zmq.Context() as context, context.socket(zmq.DEALER) as line:
            line.linger = 0
            line.connect(address)
            for i, image in enumerate(pictures):
                line.send_multipart(pack(asked(i, image)))
            while line.poll(10.0 if sum(answers.values()) == len(pictures) else 120_000):
                got = unpack(line.recv_multipart())
                assert got.meta["op"] == "carried", got.meta
                answers[int(got.meta["id"])] += 1
                sent = pictures[int(got.meta["id"])]
                assert np.abs(read_carried(got).image.astype(int) - sent).mean() < 40  # hers, and not another's
                if sum(answers.values()) == 10:
                    node.send_signal(signal.SIGKILL)
                    node.wait(60)
        with WorkerClient(address, timeout_s=60) as client:
            status = client.status()
    assert answers == Counter(range(len(pictures)))
    assert (status["served"], status["refused"], status["threads"]) == (60, 0, 2)
