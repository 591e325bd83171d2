"""What a service tells of each of its users, and to whom."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.protocol import (
    Pdu,
    WorkerClient,
    WorkerError,
    carry_request,
    make_keys,
    read_keys,
    with_deadline,
)
from semlink.flowgraphs.service import Service, Worker
from semlink.flowgraphs.service.ledger import MOST, Ledger
from semlink.flowgraphs.specs import make_channel

pytest.importorskip("zmq", reason="pyzmq is not installed")


@contextmanager
def running(keys: Path | None = None) -> Iterator[str]:
    channel = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    worker = Worker(
        Service(threads=1, channel=channel, cache_bytes=1 << 20), "tcp://127.0.0.1:*", keys=keys, latency_s=0.01
    )
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield worker.address
    finally:
        worker.stop()
        thread.join(30)


def asked(value: int = 0) -> Pdu:
    image = np.full((24, 24, 3), value, np.uint8)
    return carry_request(image, codec="deepjscc", ratio=1 / 6, esno_db=20)


def rows(client: WorkerClient) -> dict[str, dict[str, Any]]:
    return {row["user"]: row for row in json.loads(str(client.status()["by_user"]))}


def test_figures_are_by_name_and_each_sees_her_own(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, ["anna", "ben"])
    own = {name: read_keys(folder / "users" / f"{name}.json") for name in ("anna", "ben")}
    with running(folder) as address:
        clients = [WorkerClient(address, timeout_s=60.0, keys=own[name]) for name in ("anna", "anna", "ben")]
        for client in clients[:2]:
            client.call(asked(1))  # the second is the same image
        with pytest.raises(WorkerError):
            clients[0].call(with_deadline(asked(2), -1.0))
        assert rows(clients[2]) == {}
        clients[2].call(asked(3))
        found, whole = rows(clients[0]), clients[0].status()
        assert list(found) == ["anna"]
        anna = found["anna"]
        counts = {name: anna[name] for name in ("requests", "served", "refused", "waiting", "cached")}
        assert counts == {"requests": 3, "served": 2, "refused": 1, "waiting": 0, "cached": 1}
        assert anna["p95_ms"] >= anna["mean_ms"] > 0
        assert anna["cached_p95_ms"] >= anna["cached_mean_ms"] > 0
        assert (whole["served"], whole["cached"]) == (3, 1)
        assert whole["fresh_mean_ms"] != whole["cached_mean_ms"] > 0  # type: ignore[operator]
        assert list(rows(clients[2])) == ["ben"]
        for client in clients:
            client.close()


def test_without_keys_they_are_by_connection() -> None:
    with (
        running() as address,
        WorkerClient(address, timeout_s=60.0) as one,
        WorkerClient(address, timeout_s=60.0) as other,
    ):
        one.call(asked())
        assert list(rows(other)) == ["connection 1"]
        other.call(asked())
        found = rows(one)
        assert list(found) == ["connection 2", "connection 1"]
        assert [row["requests"] for row in found.values()] == [1, 1]


def test_users_of_whom_there_are_figures_are_bounded() -> None:
    ledger = Ledger()
    for i in range(MOST + 10):
        ledger.asks(b"%d" % i)
        ledger.asks("anna")
    told = ledger.rows(lambda user: 5 * (user == "anna"))
    assert len(told) == MOST
    assert (told[0]["user"], told[0]["requests"], told[0]["waiting"]) == ("anna", MOST + 10, 5)
    assert len(ledger.rows(lambda _: 0, "nobody")) == 0
    assert ledger.label(b"5") == f"connection {MOST + 11}"  # she is new again
