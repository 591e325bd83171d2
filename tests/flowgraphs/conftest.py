"""What processes that listen need."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(name="free_port", scope="session")
def give_free_port() -> Callable[[], int]:
    """A port that nobody listens at, each time it is called."""
    return free_port
