"""A client takes no answer for true that is none to what it asked, or that holds what cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from semlink.flowgraphs.protocol import WorkerClient
from semlink.flowgraphs.protocol.messages import carried_reply, decoded_reply, encoded_reply
from semlink.flowgraphs.protocol.pdu import Pdu
from semlink.phy.waveform import BurstHeader

IMAGE = np.zeros((8, 10, 3), np.uint8)
HEADER = BurstHeader(codec=1, height=8, width=10, symbols=40)
UNIT = np.ones(40, np.complex64)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerClient]:
    """One whose worker answers what `answer` says."""
    with WorkerClient("tcp://127.0.0.1:9") as one:
        monkeypatch.setattr(WorkerClient, "call", lambda _, __: answers.pop())
        yield one


answers: list[Pdu] = []


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.5, 3.0, 1e30])
def test_symbols_are_finite_and_of_unit_energy(wrong: float, client: WorkerClient) -> None:
    answers.append(encoded_reply(HEADER, UNIT))
    assert np.array_equal(client.encode(IMAGE, codec="swin", esno_db=10).symbols, UNIT)
    answers.append(encoded_reply(HEADER, np.full(40, wrong, np.complex64)))
    with pytest.raises(ValueError, match=r"symbols has a mean energy of .*; it must be finite, and about 1"):
        client.encode(IMAGE, codec="swin", esno_db=10)


def test_answers_are_of_what_was_asked(client: WorkerClient) -> None:
    other = np.zeros((10, 8, 3), np.uint8)
    answers.append(decoded_reply(IMAGE, failed=False, codec="swin"))
    assert client.decode(HEADER, UNIT, np.ones(40)).image.shape == (8, 10, 3)
    answers.append(decoded_reply(other, failed=False, codec="swin"))
    with pytest.raises(ValueError, match="image of 8x10 pixels; asked about one of 10x8"):
        client.decode(HEADER, UNIT, np.ones(40))
    answers.append(encoded_reply(HEADER, UNIT))
    with pytest.raises(ValueError, match="symbols of 10x8 pixels; asked about one of 8x10"):
        client.encode(other, codec="swin", esno_db=10)
    answers.append(carried_reply(other, failed=False, codec="swin", slot=1, encoded_hit=False, result_hit=False))
    with pytest.raises(ValueError, match="image of 8x10 pixels; asked about one of 10x8"):
        client.carry(IMAGE, codec="swin", esno_db=10)
