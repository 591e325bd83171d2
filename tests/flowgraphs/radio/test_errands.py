"""What a block asks a worker, and when the answer comes."""

from __future__ import annotations

import threading

import pytest

from semlink.flowgraphs.protocol import Pdu, encode_request, read_encoded
from semlink.flowgraphs.radio.errands import IN_PROCESS, Errands
from semlink.flowgraphs.radio.image_files import find_pictures, load_picture


class EchoLine:
    """Answers with an error, or not at all, what an errand asks."""

    def __init__(self) -> None:
        self.asked: list[Pdu] = []
        self.closed = False

    def submit(self, pdu: Pdu) -> int:
        self.asked.append(pdu)
        return 1

    def poll(self, timeout_s: float = 0.0) -> Pdu | None:
        threading.Event().wait(0.01)
        if self.asked:
            return Pdu({**self.asked.pop(0).meta, "id": 1})
        return None

    def close(self) -> None:
        self.closed = True


def test_an_errand_brings_the_answer_and_what_belongs_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    line, got, arrived = EchoLine(), [], threading.Event()
    monkeypatch.setattr("semlink.flowgraphs.radio.errands.open_line", lambda address, keys: line)

    def deliver(answer: Pdu, context: str) -> None:
        got.append((answer.meta["op"], context))
        arrived.set()

    errands = Errands("tcp://127.0.0.1:5", deliver)
    with pytest.raises(RuntimeError, match="is closed"):
        errands.ask(Pdu({"op": "status"}), "too early")
    errands.start()
    errands.ask(Pdu({"op": "status"}), "context")
    assert arrived.wait(10)
    errands.stop()
    assert got == [("status", "context")]
    assert line.closed
    with pytest.raises(ValueError, match="address='nowhere'"):
        Errands("nowhere", deliver)


def test_a_worker_in_the_same_process_serves_what_waits() -> None:
    image = load_picture(find_pictures("samples")[0], (32, 32))
    got: dict[str, Pdu] = {}
    arrived = threading.Semaphore(0)

    def deliver(answer: Pdu, context: str) -> None:
        got[context] = answer
        arrived.release()

    errands = Errands(IN_PROCESS, deliver)
    errands.start()
    errands.ask(encode_request(image, codec="deepjscc", ratio=1 / 6, esno_db=20), "good")
    errands.ask(encode_request(image, codec="nothing", ratio=1 / 6, esno_db=20), "bad")
    assert arrived.acquire(timeout=60)
    assert arrived.acquire(timeout=60)
    errands.stop()
    assert read_encoded(got["good"]).header.symbols == 512
    assert got["bad"].meta["op"] == "error"
    assert "nothing" in str(got["bad"].meta["message"])
