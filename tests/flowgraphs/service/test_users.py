"""A service in a process of its own, and what its users may do to it and to each other."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from semlink.flowgraphs.bench import asker, load_figures, textures
from semlink.flowgraphs.bench.radio import worker_process
from semlink.flowgraphs.protocol import (
    Pdu,
    Users,
    WorkerClient,
    WorkerError,
    carry_request,
    encode_request,
    pack,
    read_carried,
    unpack,
    with_deadline,
    with_id,
)
from semlink.flowgraphs.service import run_serve

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
TIMEOUT_S = 120.0  # of a machine that does much else
CODEC = "deepjscc"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    options = ["--threads=2", f"--codec={CODEC}", "--channel=uplink:users=3,rx=4,zf", "--cache=0", "--latency-ms=2000"]
    with worker_process([*options, "--backlog=0.5", "--queue=128"], command="serve") as where:
        yield where


@pytest.fixture
def client(address: str) -> Iterator[WorkerClient]:
    with WorkerClient(address, timeout_s=TIMEOUT_S, most=200) as one:
        yield one


def carried(image: NDArray[np.uint8], esno_db: float = 25.0) -> Pdu:
    return carry_request(image, codec=CODEC, ratio=1 / 6, esno_db=esno_db)


def large() -> Pdu:
    """What takes a while."""
    return carried(textures(1, 768, 1)[0])


@contextmanager
def raw_line(address: str) -> Iterator[Any]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as line:
        line.setsockopt(zmq.LINGER, 0)
        line.setsockopt(zmq.RCVTIMEO, round(1000 * TIMEOUT_S))
        line.connect(address)
        yield line


def test_each_of_64_users_gets_her_own_image(address: str) -> None:
    images = np.array(textures(128, 24, 3))
    nearest: dict[tuple[int, int], int] = {}

    def see(user: int, number: int, reply: Pdu) -> None:
        if reply.meta["op"] == "carried":
            distances = np.square(images.astype(float) - read_carried(reply).image).mean(axis=(1, 2, 3))
            nearest[user, number] = int(distances.argmin())

    users = Users(address, 64, asker(list(images), 64, codec=CODEC, ratio=1 / 6, esno_db=30), seen=see)
    told = users.run(2.0, timeout_s=TIMEOUT_S)
    users.close()
    assert {user for user, _ in nearest} == set(range(64))
    wrong = [key for key, found in nearest.items() if found != (key[0] + 64 * key[1]) % 128]
    assert len(wrong) <= 0.02 * len(nearest)  # a deep fade hides an image; a mix-up would be half of them
    assert told.unanswered == 0
    row = load_figures(64, told)
    assert row["slot_mean"] > 2
    assert row["batch_max"] > 4


def test_overload_is_told_and_who_was_admitted_is_served(address: str) -> None:
    """Ten times what it can do, for a moment: clear refusals, and nobody waits much longer than the backlog allows."""
    ask = asker(textures(500, 64, 4), 8, codec=CODEC, ratio=1 / 6, esno_db=20)
    users = Users(address, 8, ask)
    users.run(1.0, timeout_s=TIMEOUT_S)
    capacity = users.run(1.5, timeout_s=TIMEOUT_S).rate_hz
    told = users.run(3.0, rate_hz=10 * capacity / 8, timeout_s=TIMEOUT_S)
    users.close()
    assert set(told.refusals) <= {"the queue is full: N requests of N bytes wait", *_full("the queue is full")}
    assert sum(told.refusals.values()) > 2 * len(told.latencies_s) > 0
    assert told.unanswered == 0
    assert told.rate_hz > 0.4 * capacity
    assert told.percentile_ms(95) < 5000


def _full(said: str) -> list[str]:
    return [
        f"{said}: about N s of work wait",
        f"{said} for you: about N s of your work wait",
        f"{said} for you: N of your requests of N bytes wait",
    ]


def test_who_floods_does_not_keep_others_out(address: str) -> None:
    image, flood = textures(1, 24, 5)[0], textures(1, 128, 6)[0]
    with WorkerClient(address, timeout_s=TIMEOUT_S, most=200) as greedy, WorkerClient(address, timeout_s=60) as modest:
        modest.call(carried(image))
        ids = [greedy.submit(carried(flood)) for _ in range(60)]
        first = greedy.poll(0.02)
        assert modest.call(carried(image)).meta["op"] == "carried"  # there is room for her
        answers = [first or greedy.poll(TIMEOUT_S), *(greedy.poll(TIMEOUT_S) for _ in ids[1:])]
    assert all(answer is not None for answer in answers)
    refused = [answer for answer in answers if answer and answer.meta["op"] == "error"]
    assert all("the queue is full for you" in str(answer.meta["message"]) for answer in refused)
    served = sum(answer.meta["op"] == "carried" for answer in answers if answer)
    assert served > 5


def test_late_and_cancelled_requests_are_answered_by_a_line(client: WorkerClient) -> None:
    image = textures(1, 24, 7)[0]
    busy = [client.submit(large()) for _ in range(2)]
    late = client.submit(with_deadline(carried(image), 1.0))
    taken = client.submit(carried(textures(1, 512, 8)[0]))
    assert client.cancel(taken)
    assert not client.cancel(10_000)
    answers: dict[object, Pdu] = {}
    while len(answers) < 4:
        answer = client.poll(TIMEOUT_S)
        assert answer is not None
        answers[answer.meta["id"]] = answer
    assert "deadline_ms=1" in str(answers[late].meta["message"])
    assert answers[taken].meta["message"] == "cancelled, as you asked"
    assert {answers[id].meta["op"] for id in busy} == {"carried"}
    with pytest.raises(WorkerError, match="deadline_ms=-3 must be above 0"):
        client.call(with_deadline(carried(image), -3.0))
    with pytest.raises(WorkerError, match="target is missing"):
        client.call(Pdu({"op": "cancel"}))


def test_a_replayed_message_is_answered_once(address: str, client: WorkerClient) -> None:
    before, message = client.status()["replayed"], pack(with_id(large(), "the same"))
    with raw_line(address) as line:
        for _ in range(5):  # while the first is under way
            line.send_multipart(message)
        line.send_multipart(pack(with_id(carried(textures(1, 16, 0)[0]), "another")))
        answers = [unpack(line.recv_multipart()).meta["id"] for _ in range(2)]
        assert sorted(answers) == ["another", "the same"]  # type: ignore[type-var]
    assert client.status()["replayed"] == before + 4  # type: ignore[operator]


def test_one_user_cannot_cancel_for_another(address: str, client: WorkerClient) -> None:
    with WorkerClient(address, timeout_s=TIMEOUT_S) as other:
        id = client.submit(large())
        client.status()  # it is taken in
        assert not other.cancel(id)
    answer = client.poll(TIMEOUT_S)
    assert answer is not None
    assert answer.meta["op"] == "carried"


def test_broken_messages_are_answered_by_errors_and_nothing_else_happens(address: str, client: WorkerClient) -> None:
    """Whole messages with bytes changed, parts cut, left out or doubled: a thousand, always the same ones."""
    rng, whole = random.Random(0), pack(with_id(carried(textures(1, 16, 0)[0]), "broken"))
    with raw_line(address) as line:
        for i in range(1000):
            parts = [bytearray(part) for part in whole]
            at = rng.randrange(2)
            kind = i % 4
            if kind == 0:
                parts[0][rng.randrange(len(parts[0]))] = rng.randrange(128)
            elif kind == 1:
                del parts[at][rng.randrange(len(parts[at])) :]
            elif kind == 2:
                del parts[at]
            else:
                parts.insert(at, parts[at])
            line.send_multipart([bytes(part) for part in parts] or [b""])
            if i % 50 == 49:  # what is left in the line waits there
                line.setsockopt(zmq.RCVTIMEO, 20)
                while line.poll(20):
                    assert unpack(line.recv_multipart()).meta["op"] in ("carried", "error")
    assert client.call(carried(textures(1, 16, 0)[0])).meta["op"] == "carried"


GONE = """
import os, signal, sys
import numpy as np
from semlink.flowgraphs.protocol import WorkerClient, carry_request
client = WorkerClient(sys.argv[1], timeout_s=60)
image = np.zeros((128, 128, 3), np.uint8) + np.arange(128, dtype=np.uint8)[:, None, None]
for _ in range(10):
    client.submit(carry_request(image, codec="deepjscc", ratio=1 / 6, esno_db=10))
client.status()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_user_who_is_gone_costs_nothing(address: str, client: WorkerClient) -> None:
    done = subprocess.run([sys.executable, "-c", GONE, address], timeout=TIMEOUT_S)
    assert done.returncode == -signal.SIGKILL
    assert client.call(carried(textures(1, 16, 0)[0])).meta["op"] == "carried"
    end = time.monotonic() + TIMEOUT_S
    while (status := client.status())["queue"] or status["under_way"]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_user_who_does_not_read_costs_nothing(address: str, client: WorkerClient) -> None:
    with raw_line(address) as line:
        for i in range(40):
            line.send_multipart(pack(with_id(carried(textures(1, 96, i)[0]), i)))
        begin = time.monotonic()
        assert client.call(carried(textures(1, 16, 0)[0])).meta["op"] == "carried"
        assert time.monotonic() - begin < 20


def test_what_the_worker_does_is_done_as_well(client: WorkerClient) -> None:
    image = textures(1, 24, 9)[0]
    sent = client.encode(image, codec=CODEC, esno_db=15)
    got = client.decode(sent.header, sent.symbols, np.full(len(sent.symbols), 10**-1.5))
    assert got.codec == CODEC
    assert client.carry(image, codec=CODEC, esno_db=30).image.shape == image.shape
    with pytest.raises(WorkerError, match="codec='nix' must be one of"):
        client.carry(image, codec="nix", esno_db=30)
    assert client.call(encode_request(image, codec=CODEC, ratio=1 / 6, esno_db=10)).meta["op"] == "encoded"


@pytest.mark.slow
def test_it_drains() -> None:
    """SIGTERM: slots that are not full go as they are, all that was taken in is answered, exit status 0."""
    command = [sys.executable, "-m", "semlink.flowgraphs", "serve", "--address=tcp://127.0.0.1:*", "--latency-ms=60000"]
    with subprocess.Popen([*command, f"--codec={CODEC}"], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        with WorkerClient(service.stdout.readline().split()[-1], timeout_s=TIMEOUT_S) as client:
            ids = [client.submit(carried(textures(1, 64, i)[0])) for i in range(20)]
            client.status()
            service.send_signal(signal.SIGTERM)
            answers = [client.poll(TIMEOUT_S) for _ in ids]
        told, _ = service.communicate(timeout=TIMEOUT_S)
    assert service.returncode == 0
    assert {answer.meta["op"] for answer in answers if answer} == {"carried"}
    assert "stopped; 20 served, 0 refused" in told


BAD: list[tuple[dict[str, Any], str]] = [
    ({"address": "nowhere"}, "address 'nowhere': .* such as tcp"),
    ({"address": "tcp://*:5555"}, "unless --insecure says otherwise"),
    ({"channel": "nix"}, "--channel: "),
    ({"channel": "uplink:users=4,rx=3,zf"}, "--channel: .* cannot be zero-forced"),
    ({"codecs": ["nix"]}, "--codec codec='nix' must be one of"),
    ({"codecs": ["swin+nix"]}, "--codec receiver 'nix' must be one of"),
    ({"codecs": [CODEC], "latency_ms": 0.01}, r"--latency-ms 0\.01: one image of 32x32 takes .* ms with deepjscc"),
    ({"latency_ms": 0.0}, "--latency-ms 0 must be above 0"),
    ({"backlog_s": -1.0}, "--backlog -1 must be a positive number of seconds"),
    ({"cache_mib": -1}, "--cache -1 must be from 0, for none"),
    ({"seed": -1}, "--seed -1 must be 0 or more"),
    ({"batch": 0}, "--batch 0 must be at least 1"),
    ({"queue": 0}, "--queue 0 must be at least 1"),
    ({"report_s": 0.0}, "--report 0 must be from"),
]


@pytest.mark.parametrize(("option", "said"), BAD)
def test_options_that_cannot_be_are_refused_in_a_line(option: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refusal:
        run_serve(**{"address": "tcp://127.0.0.1:*", "threads": 1, **option})
    assert "\n" not in str(refusal.value)


def test_an_address_in_use_is_a_line(address: str) -> None:
    with pytest.raises(ValueError, match="in use"):
        run_serve(address=address)
