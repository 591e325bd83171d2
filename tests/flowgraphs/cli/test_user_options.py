"""`semlink user`, `load` and `keys`: options that cannot be, and what is said where nothing was received."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semlink.flowgraphs.cli import users
from semlink.flowgraphs.protocol import (
    Pdu,
    WorkerClient,
    error_reply,
    make_keys,
    read_service,
    status_request,
    with_deadline,
    with_id,
)

pytest.importorskip("zmq", reason="pyzmq is not installed")
AWAY = "tcp://127.0.0.1:9"


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "one.png")
    usual: dict[str, Any] = {"service": AWAY, "images": tmp_path, "rate": None, "codec": "deepjscc", "esno_db": 10.0}
    return {**usual, "ratio": 1 / 6, "seed": 0, "deadline_ms": None}


@pytest.mark.parametrize("deadline_ms", [0.0, -1.0, math.inf, math.nan])
def test_deadlines_that_cannot_be(options: dict[str, Any], deadline_ms: float) -> None:
    options["deadline_ms"] = deadline_ms
    with pytest.raises(ValueError, match=r"--deadline-ms .* must be above 0"):
        users.run_user(count=1, side=None, out=None, **options)
    with pytest.raises(ValueError, match=r"--deadline-ms .* must be above 0"):
        users.run_load(users="1", seconds=0.1, distinct=1, side=8, as_json=True, **options)


def test_a_deadline_that_is_over_is_not_given_up_here() -> None:
    """What is sent with one is answered by the worker."""
    with WorkerClient(AWAY) as client:
        client.submit(with_deadline(status_request(), -1e9))
        assert client.poll() is None


def test_where_nothing_was_received_there_is_no_median(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refusing(WorkerClient):
        def poll(self, timeout_s: float = 0.0) -> Pdu | None:
            return with_id(error_reply("no"), 1)

    monkeypatch.setattr(users, "WorkerClient", Refusing)
    assert users.run_user(count=1, side=None, out=None, **options) == 1
    assert capsys.readouterr().out.splitlines()[-1] == ("semlink user: 0 received, 1 refused, 0 failed; 0.00 images/s")


def test_a_file_is_no_folder_of_keys(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", ["anna"])
    file = tmp_path / "keys" / "service.json"
    with pytest.raises(ValueError, match=r"^--keys .*service\.json is a file; give its folder$"):
        read_service(file)
    with pytest.raises(ValueError, match=r"service\.json is a file; give a folder for the keys$"):
        make_keys(file, ["ben"])
    with pytest.raises(ValueError, match="a letter or digit first"):
        make_keys(tmp_path / "keys", ["-ben"])
