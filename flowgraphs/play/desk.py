"""Where a page's requests are answered, whoever carries them: HTTP, or a notebook's own line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import torch

from semlink.flowgraphs.play.catalogue import Start, catalogue
from semlink.flowgraphs.play.copied import command_of, program_of
from semlink.flowgraphs.play.links import GoneError, Links, Shown
from semlink.flowgraphs.play.pictures import Pictures, as_png
from semlink.flowgraphs.play.recording import gif_of
from semlink.flowgraphs.play.wishes import Asked
from semlink.phy.documents import for_json
from semlink.phy.parallel import cores

MOST_AT_ONCE = 4
"""Pictures that are sent at once, if there are as many cores."""
LOOK_S = 0.03
"""After which it is looked again whether whoever asked is still there."""
Reply = tuple[str, bytes]
"""A media type, and what is of it."""
JSON, BYTES = "application/json", "application/octet-stream"


class Desk:
    """Answers the requests of any number of pages.

    Args:
        start: what a page shows first.
        words: pictures of the command line.
        told: names of codecs and channels of the command line, which may name files and modules.

    Raises:
        ValueError: a picture that cannot be had, or a codec or channel that is refused.
    """

    def __init__(self, start: Start, *, words: Sequence[str] = (), told: Collection[str] = ()) -> None:
        self._start, self._told = start, frozenset(told)
        self._pictures = Pictures(words)
        self._links = Links(self._pictures)
        workers = min(cores(), MOST_AT_ONCE)
        each = max(1, cores() // workers)
        self._pool = ThreadPoolExecutor(workers, "semlink-play", initializer=torch.set_num_threads, initargs=(each,))
        self._stopped = threading.Event()
        self._ways: dict[str, Callable[[bytes, str, Callable[[], bool]], Reply]] = {
            "catalogue": self._tell_catalogue,
            "pixels": self._tell_pixels,
            "saved": self._save,
            "drop": self._drop,
            "send": self._send,
            "step": self._step,
            "copy": self._copy,
            "gif": self._gif,
        }

    @property
    def names(self) -> list[str]:
        """What can be asked for."""
        return list(self._ways)

    def answer(self, name: str, body: bytes, query: str = "", gone: Callable[[], bool] = lambda: False) -> Reply:
        """What a request is answered with.

        Raises:
            ValueError: an unknown request, or one that is refused; the message says why.
            GoneError: nobody waits for it any more.
        """
        if name not in self._ways:
            raise ValueError(f"request {name[:80]!r} must be one of: {', '.join(self._ways)}")
        return self._ways[name](body, query, gone)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Begin nothing more."""
        self._stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _tell_catalogue(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:  # noqa: ARG002
        return _as_json(catalogue(self._start, self._pictures, self._told - {self._start.channel}))

    def _tell_pixels(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:  # noqa: ARG002
        picture = self._pictures.find(Asked(body).text("picture"))
        return BYTES, packed({"word": picture.word}, picture.levels)

    def _save(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:  # noqa: ARG002
        return "image/png", as_png(self._pictures.find(Asked(body).text("picture")).levels)

    def _drop(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:
        named = parse_qs(query)
        name, side = named.get("name", [""])[0][:200], named.get("side", [""])[0]
        if not (side.isascii() and side.isdecimal() and len(side) < 6):
            raise ValueError(f"side={side[:20]!r} must be a whole number")
        taken = self._in_turn(lambda _: self._pictures.drop(body, name or "picture", int(side)), gone)
        return _as_json({"picture": taken})

    def _send(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:  # noqa: ARG002
        asked = Asked(body, self._told)
        wish, judged = asked.wish(), asked.judged()
        return BYTES, _packed_shown(self._in_turn(lambda left: self._links.send(wish, left, judged=judged), gone))

    def _step(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:  # noqa: ARG002
        stride = Asked(body, self._told).stride()
        return BYTES, _packed_shown(self._in_turn(lambda left: self._links.step(stride, left), gone))

    def _copy(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:  # noqa: ARG002
        copy = Asked(body, self._told).copy()
        word = self._pictures.find(copy.scene.picture).word
        return _as_json({"command": command_of(copy, word), "python": program_of(copy, word)})

    def _gif(self, body: bytes, query: str, gone: Callable[[], bool]) -> Reply:
        return "image/gif", self._in_turn(lambda _: gif_of(body, query), gone)

    def _in_turn(self, work: Callable[[Callable[[], bool]], Any], gone: Callable[[], bool]) -> Any:  # noqa: ANN401
        """Do it when it is its turn, unless nobody waits any more."""

        def left() -> bool:
            return gone() or self._stopped.is_set()

        future: Future[Any] = self._pool.submit(work, left)
        while True:
            try:
                return future.result(timeout=LOOK_S)
            except FutureTimeoutError:
                if left() and future.cancel():
                    raise GoneError from None


def packed(head: dict[str, Any], levels: np.ndarray, *points: np.ndarray) -> bytes:
    """Length of a JSON document in four bytes, the document, points as float32, levels as bytes."""
    said = {**head, "shape": levels.shape, "points": [len(one) for one in points]}
    text = json.dumps(for_json(said), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    floats = [np.ascontiguousarray(one, dtype="<f4").tobytes() for one in points]
    return b"".join([len(text).to_bytes(4, "little"), text, *floats, np.ascontiguousarray(levels).tobytes()])


def _packed_shown(shown: Shown) -> bytes:
    return packed(shown.figures, shown.levels, shown.points, shown.ideal)


def _as_json(document: dict[str, Any]) -> Reply:
    return JSON, json.dumps(document, allow_nan=False).encode()
