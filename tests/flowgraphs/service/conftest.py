"""A clock that is told, and requests of users that wait by it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semlink.flowgraphs.protocol import carry_request, with_id
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.trips import read_request


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="told_clock")
def give_clock() -> Clock:
    return Clock()


@pytest.fixture(name="carried")
def give_requests() -> Callable[..., Request]:
    """Requests to carry an image: of a client, with an id."""

    def make(
        client: str,
        id: int,
        *,
        codec: str = "swin",
        arrived: float = 0.0,
        deadline: float = float("inf"),
        side: int = 10,
    ) -> Request:
        asked = carry_request(np.zeros((side, side, 3), np.uint8), codec=codec, ratio=1 / 6, esno_db=10)
        return Request(client.encode(), read_request(with_id(asked, id), carries=True), arrived, deadline=deadline)

    return make
