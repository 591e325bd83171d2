"""A service with keys: who is let in, what the others are told, and that users are users by their keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.cli.users import read_all_keys, run_keys, run_load, run_user
from semlink.flowgraphs.protocol import (
    Keys,
    Pdu,
    Users,
    WorkerClient,
    WorkerError,
    WorkerLockedError,
    encode_request,
    error_reply,
    make_keys,
    pack,
    read_keys,
    status_request,
    unpack,
    with_id,
)
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.jobs import Job
from semlink.flowgraphs.service.lanes import Lane

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
BOUND_S = 10.0
"""For an answer at once, on a machine that does much else; far from the 60 s for which one is waited."""


class Echo(Service):
    """Answers with the first byte of the image; held, once it is told to."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.let = threading.Event()
        self.let.set()

    def run(self, jobs: Sequence[Job], lane: Lane | None = None) -> list[Pdu]:
        assert self.let.wait(60)
        return [with_id(error_reply(f"echo {job.arrays[0].flat[0]}"), job.id) for job in jobs]


@contextmanager
def running(**options: Any) -> Iterator[tuple[str, Echo]]:  # noqa: ANN401
    service = Echo()
    worker = Worker(service, "tcp://127.0.0.1:*", **options)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker.address, service
    finally:
        service.let.set()
        worker.stop()
        thread.join(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("of") / "keys"
    make_keys(made, ["anna", "ben", "carl"])
    return made


@pytest.fixture(scope="module")
def keys(folder: Path) -> Callable[[str], Keys]:
    return lambda name: read_keys(folder / "users" / f"{name}.json")


@pytest.fixture(scope="module")
def locked(folder: Path) -> Iterator[tuple[str, Echo]]:
    with running(keys=folder, queue=16) as found:
        yield found


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Callable[..., Keys]:
    """Keys that another service's operator made."""
    made = tmp_path_factory.mktemp("other") / "keys"
    make_keys(made, ["anna"])
    return lambda **changed: Keys(**{**vars(read_keys(made / "users" / "anna.json")), **changed})


def image(value: int) -> Pdu:
    return encode_request(np.full((8, 8, 3), value, np.uint8), codec="deepjscc", ratio=1 / 6, esno_db=10)


def said(client: WorkerClient, value: int) -> str:
    with pytest.raises(WorkerError) as told:
        client.call(image(value))
    return str(told.value)


def refusal(address: str, keys: Keys | None) -> str:
    """What is told at once, twice: the second time of another try."""
    with WorkerClient(address, timeout_s=60.0, keys=keys) as client:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(WorkerLockedError) as told:
                client.call(status_request())
            assert time.monotonic() - began < BOUND_S
            assert "\n" not in str(told.value)
    return str(told.value)


def test_who_has_a_key_is_served(locked: tuple[str, Echo], keys: Callable[[str], Keys]) -> None:
    address, _ = locked
    with WorkerClient(address, timeout_s=60.0, keys=keys("anna")) as client:
        assert said(client, 7) == "echo 7"
        assert client.status()["users"] == 1


def test_who_has_none_or_another_is_told_so_at_once(
    locked: tuple[str, Echo], keys: Callable[[str], Keys], stranger: Callable[..., Keys]
) -> None:
    address, _ = locked
    assert "talks to nobody without a key; give one with --keys FILE" in refusal(address, None)
    assert "is not the one that the key of anna is for" in refusal(address, stranger())
    unknown = stranger(service=keys("anna").service)
    assert "does not let in the key of anna" in refusal(address, unknown)


def test_a_key_for_a_service_without_keys_is_told_so_at_once(keys: Callable[[str], Keys]) -> None:
    with running() as (address, _):
        assert "has no keys, " in refusal(address, keys("anna"))  # which libzmq tells in one of two ways
        with WorkerClient(address, timeout_s=60.0) as client:
            assert said(client, 1) == "echo 1"


def test_the_commands_say_it_in_a_line(
    locked: tuple[str, Echo], stranger: Callable[..., Keys], folder: Path, tmp_path: Path
) -> None:
    from PIL import Image

    address, _ = locked
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    usual: dict[str, Any] = {"rate": None, "codec": "deepjscc", "esno_db": 10.0, "ratio": 1 / 6, "seed": 0}
    usual |= {"deadline_ms": None, "images": tmp_path}
    with pytest.raises(ValueError, match="give one with --keys FILE"):
        run_user(service=address, count=3, out=None, side=None, **usual)
    rest = {"users": "2", "seconds": 0.1, "distinct": 2, "side": 8, "as_json": True}
    with pytest.raises(ValueError, match=r"--service .* give one with --keys FILE"):
        run_load(service=address, **rest, **usual)
    with pytest.raises(ValueError, match="no keys of users in it"):
        run_load(service=address, keys=folder / "allowed", **rest, **usual)
    with pytest.raises(ValueError, match=r"others\.json: No such file"):
        run_user(service=address, keys=tmp_path / "others.json", count=3, out=None, side=None, **usual)
    assert [one.name for one in read_all_keys(folder / "users")] == ["anna", "ben", "carl"]


def test_users_of_a_load_have_the_keys_in_turn(locked: tuple[str, Echo], folder: Path) -> None:
    address, _ = locked
    users = Users(address, 4, lambda user, number: image(user), keys=read_all_keys(folder / "users"))
    try:
        told = users.run(0.3)
    finally:
        users.close()
    assert sum(told.refusals.values()) > 3  # echoes
    assert told.after["users"] == 3


def test_connections_of_one_key_share_what_one_user_may(locked: tuple[str, Echo], keys: Callable[[str], Keys]) -> None:
    """14 of 16 places are one user's at most, however many connections she has; the rest is left to others."""
    address, service = locked
    lines = [WorkerClient(address, timeout_s=60.0, keys=keys(name)) for name in ("anna", "anna", "anna", "ben")]
    before = int(lines[3].status()["refused"])
    service.let.clear()
    try:
        end = time.monotonic() + 6 * BOUND_S
        lines[0].submit(image(0))
        while lines[3].status()["under_way"] < 1:  # by itself, or the batch under way has as many as came with it
            assert time.monotonic() < end
        for line in (lines[:3] * 8)[1:]:
            line.submit(image(0))
        while (seen := lines[3].status()) and seen["refused"] + seen["queue"] + seen["under_way"] < before + 24:
            assert time.monotonic() < end
        late = lines[3].submit(image(9))
        service.let.set()
        answers = [str(line.poll(60.0).meta["message"]) for line in lines[:3] for _ in range(8)]  # type: ignore[union-attr]
        answer = lines[3].poll(60.0)
    finally:
        service.let.set()
        for line in lines:
            line.close()
    refused = [one for one in answers if one != "echo 0"]
    assert len(refused) == 24 - 1 - 14
    assert all(one.startswith("the queue is full for you") for one in refused)
    assert answer is not None
    assert (answer.meta["id"], answer.meta["message"]) == (late, "echo 9")


def test_one_user_cannot_read_or_cancel_anothers(locked: tuple[str, Echo], keys: Callable[[str], Keys]) -> None:
    """Nor does an id of hers, used by him, do anything to hers."""
    address, service = locked
    service.let.clear()
    with (
        WorkerClient(address, timeout_s=60.0, keys=keys("anna")) as anna,
        WorkerClient(address, timeout_s=60.0, keys=keys("ben")) as ben,
    ):
        try:
            held, number = anna.submit(image(1)), anna.submit(image(2))
            anna.submit(status_request())
            assert anna.poll(60.0) is not None
            assert not ben.cancel(number)  # an id of hers
            assert ben.submit(image(3)) == number
            assert ben.cancel(number)  # his own of the same id
        finally:
            service.let.set()
        got = {int(a.meta["id"]): a.meta["message"] for a in (anna.poll(60.0), anna.poll(60.0)) if a is not None}
        assert got == {held: "echo 1", number: "echo 2"}
        answer = ben.poll(60.0)
        assert answer is not None
        assert answer.meta["message"] == "cancelled, as you asked"


def test_a_routing_id_of_ones_own_is_refused(locked: tuple[str, Echo], keys: Callable[[str], Keys]) -> None:
    """Else who takes it after another would get that one's replies."""
    address, _ = locked
    with zmq.Context() as context, context.socket(zmq.DEALER) as line:
        line.setsockopt(zmq.LINGER, 0)
        line.setsockopt(zmq.RCVTIMEO, 60_000)
        line.setsockopt(zmq.ROUTING_ID, b"anna's")
        keys("ben").lock(line)
        line.connect(address)
        line.send_multipart(pack(with_id(image(1), 5)))
        answer = unpack(line.recv_multipart())
    assert answer.meta["op"] == "error"
    assert answer.meta["id"] == 5
    assert "with a routing id of your own" in str(answer.meta["message"])


def test_keys_that_come_and_go_while_it_runs(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, ["anna"])
    with running(keys=folder) as (address, _):
        make_keys(folder, ["dora"])
        own = {name: read_keys(folder / "users" / f"{name}.json") for name in ("anna", "dora")}
        with (
            WorkerClient(address, timeout_s=60.0, keys=own["anna"]) as anna,
            WorkerClient(address, timeout_s=60.0, keys=own["dora"]) as dora,
        ):
            assert said(anna, 1) == "echo 1"
            end = time.monotonic() + BOUND_S
            while said(dora, 2) != "echo 2":  # within a second
                assert time.monotonic() < end
            (folder / "allowed" / "anna.pub").unlink()
            while said(anna, 3) == "echo 3":
                assert time.monotonic() < end + BOUND_S
            assert said(anna, 4).startswith("your key is not allowed any more")
            assert said(dora, 5) == "echo 5"


def test_what_is_said_cannot_be_read_on_the_way(folder: Path, keys: Callable[[str], Keys]) -> None:
    """The bytes of an image that are the same everywhere would be seen in what crosses the wire."""
    import socket

    for with_keys in (False, True):
        with (
            running(**({"keys": folder} if with_keys else {})) as (address, _),
            socket.create_server(("127.0.0.1", 0)) as door,
        ):
            port, seen = int(address.rpartition(":")[2]), bytearray()

            def relay(port: int = port, seen: bytearray = seen, door: socket.socket = door) -> None:
                near, _ = door.accept()
                with near, socket.create_connection(("127.0.0.1", port)) as far:
                    ends = {near: far, far: near}
                    for end in ends:
                        end.settimeout(0.02)
                    while not seen.endswith(b"over"):
                        for end, other in ends.items():
                            try:
                                data = end.recv(65536)
                            except TimeoutError:
                                continue
                            if not data:
                                return
                            seen += data
                            other.sendall(data)

            thread = threading.Thread(target=relay, daemon=True)
            thread.start()
            there = f"tcp://127.0.0.1:{door.getsockname()[1]}"
            with WorkerClient(there, timeout_s=60.0, keys=keys("anna") if with_keys else None) as client:
                assert said(client, 171) == "echo 171"
            thread.join(10)
        assert (b"\xab" * 64 in seen) == (not with_keys)
        assert (b"echo 171" in seen) == (not with_keys)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"insecure": True}, "--insecure and --keys"),
        ({"address": "udp://127.0.0.1:5"}, "must be tcp:// or ipc://"),
        ({"keys": Path("/nowhere")}, r"--keys /nowhere: there is no service\.json in it"),
    ],
)
def test_services_with_keys_that_cannot_be(folder: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Worker(Echo(), **{"address": "tcp://127.0.0.1:*", "keys": folder, **options})


def test_without_keys_it_is_for_this_machine_alone(folder: Path) -> None:
    with pytest.raises(ValueError, match="or --keys lets in who is known alone"):
        Worker(Echo(), "tcp://0.0.0.0:*")
    worker = Worker(Echo(), "tcp://0.0.0.0:*", keys=folder)
    worker.close()


def test_an_address_in_use_is_told_in_a_line(locked: tuple[str, Echo], folder: Path) -> None:
    with pytest.raises(ValueError, match=r"address 'tcp://127.*': Address already in use"):
        Worker(Echo(), locked[0], keys=folder)


def test_the_command_tells_what_is_for_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_keys(tmp_path / "keys", ["anna"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("service.json: for `semlink serve --keys`, with all of the folder, and nobody else")
    assert lines[1].endswith("anna.json: for anna, and nobody else")
    run_keys(tmp_path / "keys", [])
    assert "has the keys of a service" in capsys.readouterr().out
