"""Processes that hang, answer what cannot be sent or end while the service does: told apart from what is lost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from semlink.flowgraphs.protocol import Pdu, error_reply, unpack
from semlink.flowgraphs.service import lanes
from semlink.flowgraphs.service.jobs import Encoding, Made, Restoring, Task
from semlink.flowgraphs.service.lanes import LostError, Process, Setup, StaysError
from semlink.flowgraphs.service.tasks import task_pdu

HEAD = """
import socket, sys, time
from semlink.flowgraphs.protocol import PartsStream, Pdu, pack
stream = PartsStream(socket.socket(fileno=int(sys.argv[1])))
stream.put(pack(Pdu({"op": "ready"})))
"""
HANGS = "time.sleep(3600)"
STAYS = """
while not stream.take():
    time.sleep(0.01)
stream.put(pack(Pdu({"op": "error", "message": "too large", "stays": True})))
"""
TASK = Task(Encoding("deepjscc", 1 / 6, 10.0, 4, 4), {"image": np.zeros((1, 4, 4, 3), np.uint8)}, {})


@pytest.fixture(name="lane")
def give_a_lane(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Process]:
    """A process that does something else than it should, without PyTorch in it."""
    monkeypatch.setattr(lanes, "_PROGRAM", HEAD + request.param)
    lane = Process(Setup(), 0.5 if request.param == HANGS else 60.0)
    yield lane
    lane.close()


@pytest.mark.parametrize("lane", [HANGS], indirect=True)
def test_a_process_that_hangs_takes_no_second_task_along(lane: Process) -> None:
    with pytest.raises(LostError, match=r"not done within 0\.5 s") as late:
        lane.make(TASK)
    assert late.value.begun
    assert not lane._stream.is_open  # though the process may take a moment to end
    with pytest.raises(LostError) as next_one:
        lane.make(TASK)
    assert not next_one.value.begun


@pytest.mark.parametrize("lane", [HANGS], indirect=True)
def test_no_process_is_started_once_nobody_wants_it(lane: Process) -> None:
    with pytest.raises(LostError):
        lane.make(TASK)
    gone, answers = lane.pid, iter([True, False])
    lane.renew(lambda: next(answers))  # the service stopped during the pause
    assert lane.pid == gone
    lane.close()
    lane.renew(lambda: True)
    assert lane.pid == gone


@pytest.mark.parametrize("lane", [STAYS], indirect=True)
def test_what_cannot_be_sent_back_is_done_here(lane: Process) -> None:
    with pytest.raises(StaysError):
        lane.make(TASK)


@pytest.mark.parametrize("lane", [HANGS], indirect=True)
def test_what_cannot_be_sent_is_done_here(lane: Process) -> None:
    """An image of more than 128 MiB as float32, which as one of 8 bits may come in."""
    image = np.broadcast_to(np.float32(0), (1, 3, 4000, 3000))
    task = Task(Restoring("swin", "sft", 1 / 6, 4000, 3000), {"image": image, "level": image[0, :1, :1, 0]}, {})
    with pytest.raises(StaysError):
        lane.make(task)


def test_a_process_outlives_what_it_cannot_send(monkeypatch: pytest.MonkeyPatch) -> None:
    class Large:
        loads = 0

        def make(self, task: Task) -> Made:
            return Made({"image": np.broadcast_to(np.float32(0), (1, 3, 4000, 3000))}, {"failed": [False]})

    answer = unpack(lanes._answer(Large(), task_pdu(TASK)))  # type: ignore[arg-type]
    assert answer.meta["op"] == "error"
    assert answer.meta["stays"] is True
    monkeypatch.setattr(Large, "make", lambda *_: Made({}, {}))
    assert "stays" not in unpack(lanes._answer(Large(), Pdu(error_reply("no task").meta))).meta  # type: ignore[arg-type]
