"""Nodes that are none, slow to meet or out to harm, and services that ask a node for more than it may do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, pack, unpack, with_id
from semlink.flowgraphs.service import Service, Worker, nodes, service
from semlink.flowgraphs.service.commands import join_nodes
from semlink.flowgraphs.service.jobs import Arriving, Decoding, Encoding, Made, Task
from semlink.flowgraphs.service.lanes import LostError, StaysError
from semlink.flowgraphs.service.nodes import MAX_LINE, MOST, Node, Place, meet
from semlink.flowgraphs.service.tasks import made_pdu, read_made, read_task, task_pdu
from semlink.phy.waveform import BurstHeader

zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
SIDE = 16
TASK = Task(Encoding("deepjscc", 1 / 6, 10.0, SIDE, SIDE), {"image": np.zeros((2, SIDE, SIDE, 3), np.uint8)}, {})
ROWS: dict[str, Any] = {"mcs": [0, 0], "entry": [None, None], "blind": [False, False]}


@contextmanager
def answering(answer: Callable[[Pdu], Pdu | None]) -> Iterator[str]:
    """A socket that a node is taken to be behind, which may say nothing; gives its address."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as line:
        line.linger = 0
        address = f"tcp://127.0.0.1:{line.bind_to_random_port('tcp://127.0.0.1')}"
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                if line.poll(20):
                    client, *parts = line.recv_multipart()
                    asked = unpack(parts)
                    if (said := answer(asked)) is not None:
                        said = with_id(said, said.meta.get("id", asked.meta["id"]))
                        line.send_multipart([client, *pack(said)])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield address
        finally:
            over.set()
            thread.join(60)


@contextmanager
def lane_to(address: str, said: list[str]) -> Iterator[Node]:
    node = Node(Place(address, None), "same", 60.0, said.append)
    try:
        yield node
    finally:
        node.close()


def test_the_first_task_waits_for_the_line() -> None:
    """And is not taken to be lost: `semlink serve --codec` would not start."""
    here, there = Service(threads=1), Service(threads=1, makes=True)
    node = Worker(there, "tcp://127.0.0.1:*")
    thread = threading.Thread(target=node.run, daemon=True)
    thread.start()
    try:
        join_nodes(here, [node.address], insecure=False)
        made = here.lanes[-1].make(TASK)
    finally:
        here.close()
        node.stop()
        thread.join(60)
    np.testing.assert_array_equal(made.arrays["symbols"], here.here.make(TASK).arrays["symbols"])


@pytest.mark.parametrize(
    ("symbols", "why"),
    [
        (np.full((2, 128), 1e3, np.complex64), "mean symbol energy"),
        (np.full((2, 129), 1, np.complex64), "129 symbols made; they must be from 1 to 128"),
        (np.full((2, 0), 1, np.complex64), "0 symbols made"),
    ],
)
def test_symbols_that_no_codec_makes_do_not_go_on_the_air(symbols: Any, why: str) -> None:  # noqa: ANN401
    assert len(symbols) == 2
    with answering(lambda _: made_pdu(Made({"symbols": symbols}, ROWS))) as address, lane_to(address, []) as node:
        with pytest.raises(StaysError) as told:
            node.make(TASK)
        assert isinstance(told.value.__context__, ValueError)
        assert why in str(told.value.__context__)


def test_what_killed_a_process_of_a_node_is_not_done_here_at_once() -> None:
    answer = Pdu({"op": "error", "message": "lost twice while it was being done; SIGKILL", "lost": True})
    with answering(lambda _: answer) as address, lane_to(address, []) as node:
        with pytest.raises(LostError, match="lost twice") as told:
            node.make(TASK)
        assert told.value.begun


@pytest.fixture(name="quick")
def give_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LOOK_S", 0.1), ("PAUSE_S", 0.02)):
        monkeypatch.setattr(nodes, name, seconds)


@pytest.mark.usefixtures("quick")
def test_what_a_node_that_hangs_has_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: None) as address, lane_to(address, []) as node:
        monkeypatch.setattr(nodes, "START_S", 0.3)
        with pytest.raises(LostError, match=r"says nothing for 0\.3 s") as told:
            node.make(TASK)
        assert told.value.begun


@pytest.mark.usefixtures("quick")
def test_a_node_may_take_its_time_as_long_as_it_is_there() -> None:
    asked: list[Pdu] = []

    def look(one: Pdu) -> Pdu | None:
        asked.append(one)
        if len(asked) < 4:
            return Pdu({"op": "status"}) if one.meta["op"] == "status" else None
        return with_id(made_pdu(Made({"symbols": np.ones((2, 128), np.complex64)}, ROWS)), asked[0].meta["id"])

    with answering(look) as address, lane_to(address, []) as node:
        np.testing.assert_array_equal(node.make(TASK).arrays["symbols"], np.ones((2, 128)))
    assert [one.meta["op"] for one in asked][:4] == ["make", "status", "status", "status"]


@pytest.mark.usefixtures("quick")
def test_a_node_that_answers_something_else_is_looked_for_again() -> None:
    answers = iter([Pdu({"op": "made"}), Pdu({"op": "status", "makes": True, "build": "same"})])
    said: list[str] = []
    with answering(lambda _: next(answers)) as address, lane_to(address, said) as node:
        node.renew(lambda: True)
    assert [line.split(": ")[1] for line in said] == ["None", "it is there again"]


def test_what_users_ask_for_does_not_pile_up_in_a_lane() -> None:
    refusal = Pdu({"op": "error", "message": "no"})
    with answering(lambda _: refusal) as address, lane_to(address, []) as node:
        for i in range(5):
            header = BurstHeader(codec=1, height=SIDE, width=SIDE, symbols=5, scale_db=i / 10)
            arrays = {"symbols": np.ones((1, 5), np.complex64), "n0": np.ones((1, 5), np.float32)}
            with pytest.raises(StaysError):
                node.make(Task(Decoding(header), arrays, {}))
        assert (node.loads, len(node._seen)) == (1, 1)


def test_what_a_node_says_is_one_line_of_ours() -> None:
    said: list[str] = []
    refusal = Pdu({"op": "error", "message": "a\n\x1b[2Jb" + "c" * 5000})
    with answering(lambda _: refusal) as address, lane_to(address, said) as node, pytest.raises(StaysError):
        node.make(TASK)
    (line,) = said
    assert line.isprintable()
    assert len(line) < MAX_LINE + 50


@pytest.mark.parametrize("threads", ["many", 0, True, None])
def test_a_node_has_threads(threads: Any) -> None:  # noqa: ANN401
    status = {"op": "status", "makes": True, "build": "same"} | ({} if threads is None else {"threads": threads})
    with answering(lambda _: Pdu(status)) as address, pytest.raises(ValueError, match=r"threads=.*must be 1 or more"):
        meet(Place(address, None), "same")


def test_a_node_gets_no_more_lines_than_there_may_be() -> None:
    status = Pdu({"op": "status", "makes": True, "build": "same", "threads": 1 << 40})
    with answering(lambda _: status) as address:
        assert meet(Place(address, None), "same") == MOST


def test_another_task_codec_is_another_build(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        sha256 = "0" * 64

    builds = {Service(threads=1).build, Service(threads=1).build}
    for name in ("task_cards", "prompt_cards"):
        with monkeypatch.context() as patch:
            patch.setattr(service, name, lambda: {"task": Card})
            builds.add(Service(threads=1).build)
    with monkeypatch.context() as patch:
        patch.setattr(service, "TEACHERS", {"tiniest": Card})
        builds.add(Service(threads=1).build)
    assert len(builds) == 4


def arriving(rows: dict[str, Any], *names: str) -> Pdu:
    arrays = {"observed": (1, 3, 2), "h": (1, 3, 2, 2), "noise": (1, 3)}
    kinds = {"observed": np.complex64, "h": np.complex64, "noise": np.float32}
    seen = {name: np.ones(arrays[name], kinds[name]) for name in names}
    own = {"symbols": np.ones((1, 5), np.complex64), "n0": np.ones((1, 5), np.float32)}
    return task_pdu(Task(Arriving("swin", "", 0.5, 5, 4, 4), {**own, **seen}, rows))


@pytest.mark.parametrize(
    "asked",
    [
        arriving({"width": [16]}),
        arriving({"width": [None]}, "observed", "h", "noise"),
        arriving({"width": [1 << 30]}, "observed", "h", "noise"),
        arriving({"width": [0]}, "observed", "h", "noise"),
        arriving({"width": [True]}, "observed", "h", "noise"),
    ],
)
def test_a_search_of_no_width_or_too_much_is_refused(asked: Pdu) -> None:
    with pytest.raises(ValueError, match="rows: width must be one from 1 to 4096"):
        read_task(asked)


def test_a_task_is_no_larger_than_an_image_may_be() -> None:
    image = np.zeros((17, 1000, 1000, 3), np.uint8)
    with pytest.raises(ValueError, match="17 images of 1000x1000 pixels in a task; at most 16000000 in all"):
        read_task(task_pdu(Task(Encoding("swin", 1 / 6, 10.0, 1000, 1000), {"image": image}, {})))


def test_logits_are_of_some_class() -> None:
    task = read_task(arriving({}))
    with pytest.raises(ValueError, match="logits of no class"):
        read_made(made_pdu(Made({"logits": np.zeros((1, 0), np.float32)}, {"failed": [False]})), task)
