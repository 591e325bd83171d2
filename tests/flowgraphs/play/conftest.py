"""A desk, and what a page does with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from semlink.flowgraphs.play.desk import Desk
from semlink.flowgraphs.play.opening import open_desk

CODECS = ["jpeg-ldpc-qam", "deepjscc"]
SCENE = {"picture": "coffee", "channel": "awgn", "ratio": "1/6", "seed": 3}


def unpack(body: bytes) -> dict[str, Any]:
    """A reply as the page reads it."""
    size = int.from_bytes(body[:4], "little")
    head = json.loads(body[4 : 4 + size])
    at, points = 4 + size, []
    for count in head["points"]:
        points.append(np.frombuffer(body, "<f4", 2 * count, at).reshape(-1, 2))
        at += 8 * count
    return {**head, "points": points, "levels": np.frombuffer(body, np.uint8, offset=at).reshape(head["shape"])}


@pytest.fixture(name="scene")
def give_scene() -> dict[str, Any]:
    return dict(SCENE)


@pytest.fixture(name="unpacked", scope="session")
def give_unpacked() -> Callable[[bytes], dict[str, Any]]:
    return unpack


@pytest.fixture(scope="session")
def desk() -> Iterator[Desk]:
    """Of two quick codecs."""
    with open_desk((), CODECS, esno="0:14:1") as made:
        yield made


@pytest.fixture(name="ask", scope="session")
def give_ask(desk: Desk) -> Callable[..., Any]:
    """A request of the page, with the usual scene unless something else is said."""

    def ask(name: str, **said: Any) -> Any:  # noqa: ANN401
        kind, body = desk.answer(name, json.dumps({**SCENE, **said}).encode())
        return {"application/json": json.loads, "application/octet-stream": unpack}.get(kind, bytes)(body)

    return ask
