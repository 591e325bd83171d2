"""One thread: the matrices are small, and threads would wait for each other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from semlink.phy.parallel import limited_threads


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with limited_threads(1):
        yield
