"""What is to be seen of a service while it runs: a picture of its figures each second, and the latest images."""

from __future__ import annotations

import io
import math
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semlink.flowgraphs.protocol import Scalar
from semlink.flowgraphs.service.record import Timed

LOOK_S = 1.0
"""From one picture of the figures to the next."""
POINTS = 300
"""Of the history: five minutes."""
IMAGES = 12
"""That are told of."""
KEPT = 60
"""Images that are kept, for who has been told of them a while ago: a quarter of a minute."""
SIDE = 192
"""Pixels a side that are kept of an image, at most: every second one, say, of a larger one."""
PAUSE_S = 0.25
"""From one image that is kept to the next: more than that nobody sees."""

Levels = NDArray[np.uint8]


class Snapshot(NamedTuple):
    """A moment, as whoever looks may have it from another thread.

    Attributes:
        status: of the worker, by name.
        users: a row each.
        timed: latencies by op, and whether a cache had part in them.
        history: a row a second: seconds since the start, answers a second, p50 and p95 of their latencies in
            milliseconds (None where there were none), requests that waited, refusals a second.
        images: what is told of each of the latest images, the latest first.
    """

    status: Mapping[str, Scalar] = {}
    users: Sequence[Mapping[str, Scalar]] = ()
    timed: Mapping[tuple[str, bool], Timed] = {}
    history: Sequence[Sequence[float | None]] = ()
    images: Sequence[Mapping[str, Any]] = ()


class Board:
    """The worker's thread writes; threads of a page read `snapshot` and `picture`."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self._began = self.due = time.monotonic()
        self._latencies: list[float] = []
        self._refused = 0
        self._history: deque[list[float | None]] = deque(maxlen=POINTS)
        self._images: OrderedDict[int, tuple[dict[str, Any], Levels | None, Levels]] = OrderedDict()
        self._count, self._shown = 0, -math.inf

    def answered(self, seconds: float, *, refused: bool) -> None:
        """A request has its answer."""
        if refused:
            self._refused += 1
        else:
            self._latencies.append(seconds)

    def show(self, user: str, codec: str, seconds: float, sent: Levels | None, received: Levels, failed: bool) -> None:
        """An image was received, unless the last one was a moment ago."""
        now = time.monotonic()
        if now < self._shown + PAUSE_S:
            return
        self._shown, self._count = now, self._count + 1
        told = {"number": self._count, "user": user, "codec": codec, "ms": round(1e3 * seconds, 1), "failed": failed}
        height, width, _ = received.shape
        alike = sent is not None and sent.shape == received.shape
        kept, seen = None if sent is None else _small(sent), _small(received)
        told |= {"sent": sent is not None, "psnr_db": _psnr_db(kept, seen) if alike else None}
        self._images[self._count] = told | {"height": height, "width": width}, kept, seen
        if len(self._images) > KEPT:
            self._images.popitem(last=False)

    def look(
        self,
        status: Mapping[str, Scalar],
        users: Sequence[Mapping[str, Scalar]],
        timed: Mapping[tuple[str, bool], Timed],
    ) -> None:
        """Take the next picture; `due` is when."""
        now = time.monotonic()
        since, self.due = now - (self.due - LOOK_S), now + LOOK_S
        taken, self._latencies = self._latencies, []
        shares: list[float | None] = [None, None]
        if taken:
            shares = [round(1e3 * float(value), 2) for value in np.percentile(taken, (50, 95))]
        rates = [round(count / max(since, LOOK_S), 2) for count in (len(taken), self._refused)]
        self._refused = 0
        self._history.append([round(now - self._began, 1), rates[0], *shares, int(status.get("queue", 0)), rates[1]])
        copied = {key: one.copy() for key, one in timed.items()}
        images = [told for told, *_ in islice(reversed(self._images.values()), IMAGES)]
        self.snapshot = Snapshot(dict(status), users, copied, list(self._history), images)

    def picture(self, number: int, what: str) -> bytes | None:
        """A PNG of an image, as "sent" or "received"; None where it is not kept any more."""
        found = self._images.get(number)
        levels = None if found is None else {"sent": found[1], "received": found[2]}.get(what)
        if levels is None:
            return None
        file = io.BytesIO()
        Image.fromarray(levels).save(file, "PNG")
        return file.getvalue()


def _small(levels: Levels) -> Levels:
    step = -(-max(levels.shape[:2]) // SIDE)
    return levels[::step, ::step].copy()


def _psnr_db(sent: Levels | None, received: Levels) -> float | None:
    """Of the pixels that are kept: all of a large image would keep the worker's thread from those who ask."""
    if sent is None:
        return None
    error = float(np.square(sent.astype(np.float32) - received).mean())
    return round(10 * math.log10(255**2 / error), 2) if error else None
