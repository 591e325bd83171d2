"""What is refused before it waits: who is counted for it, and that it is to be seen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from semlink.flowgraphs.protocol import WorkerClient, WorkerError, make_keys
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service import board as boards
from semlink.flowgraphs.service.board import Board
from semlink.flowgraphs.service.ledger import NOBODY

pytest.importorskip("zmq", reason="pyzmq is not installed")


@contextmanager
def running(board: Board) -> Iterator[Worker]:
    worker = Worker(Service(threads=1), "tcp://127.0.0.1:*", board=board)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(30)


def test_those_without_a_name_are_one_row_where_there_are_keys(tmp_path: Path) -> None:
    """However many connections somebody makes whom it does not know, the others stay in the status."""
    make_keys(tmp_path / "keys", ["anna"])
    worker = Worker(Service(threads=1), "tcp://127.0.0.1:*", keys=tmp_path / "keys")
    with closing(worker):
        for client, name in ((b"1", b""), (b"2", b""), (b"3", b"anna"), (b"4", b"anna")):
            worker._take([b"refused", client, name, b"why", b""])
        rows = worker._ledger.rows(lambda _: 0)
    assert [(row["user"], row["refused"]) for row in rows] == [("anna", 2), (NOBODY, 2)]


def test_what_is_refused_at_the_door_is_on_the_board() -> None:
    board = Board()
    board.due += 1e4  # it is not looked at meanwhile
    with running(board) as worker, WorkerClient(worker.address, timeout_s=60.0) as client:
        for _ in range(2):
            with pytest.raises(WorkerError):
                client.carry(np.zeros((8, 8, 3), np.uint8), codec="nix", esno_db=10)
        assert board._refused == 2


def test_a_large_image_costs_the_board_little(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, board = list[int](), Board()
    monkeypatch.setattr(boards, "_psnr_db", lambda sent, received: sizes.append(sent.size + received.size))
    image = np.zeros((2000, 1500, 3), np.uint8)
    board.show("anna", "swin", 0.1, image, image, failed=False)
    assert 0 < max(sizes) <= 2 * 3 * boards.SIDE**2


@pytest.mark.parametrize(("height", "psnr_db"), [(500, 28.13), (499, None)])
def test_the_quality_of_it_is_told_all_the_same(height: int, psnr_db: float | None) -> None:
    board = Board()
    sent, received = np.zeros((500, 300, 3), np.uint8), np.full((height, 300, 3), 10, np.uint8)
    board.show("anna", "swin", 0.1, sent, received, failed=False)
    board.look({}, [], {})
    (told,) = board.snapshot.images
    assert (told["psnr_db"], told["height"], told["width"]) == (psnr_db, height, 300)


def test_counts_that_are_no_requests_are_said_to_be_none() -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    from semlink.flowgraphs.service.metrics import metrics_text

    text = metrics_text(Board().snapshot).decode()
    assert "# HELP semlink_reopened_total Times that the socket was opened again" in text
    assert "# HELP semlink_replayed_total Requests that came again" in text


def test_a_value_alone_is_drawn() -> None:
    """A path of hardly any length has ends that are to be seen."""
    from importlib import resources

    style = resources.files("semlink.flowgraphs.service").joinpath("page.css").read_text()
    assert "svg path.p50, svg path.p95 { stroke-linecap: round; stroke-width: 3; }" in style
