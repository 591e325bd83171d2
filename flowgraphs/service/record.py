"""What a service tells of itself: how many requests, how long they took, how large the batches were."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from semlink.flowgraphs.protocol import Scalar
from semlink.flowgraphs.service.jobs import STAGES

OPS = ("encode", "decode", "carry", "make")
COUNTS = ("served", "refused", "undelivered", "dropped", "replayed", "late_or_cancelled", "reopened", "lost")
LATEST = 1000
"""Requests and batches that latencies and sizes are taken over."""


BOUNDS_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Of the latencies' histogram."""


@dataclass
class Timed:
    """A histogram of latencies since the start: how many up to each of `BOUNDS_S` and not the one before, and longer.

    Attributes:
        counts: by bound.
        seconds: the sum of all.
    """

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds += seconds

    def copy(self) -> Timed:
        """As it is now."""
        return Timed(list(self.counts), self.seconds)

    def buckets(self) -> list[tuple[str, float]]:
        """How many up to each bound, in Prometheus's words."""
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(self.counts), strict=True)]


def _latest() -> deque[float]:
    return deque(maxlen=LATEST)


@dataclass
class Record:
    """Counts since the start.

    Attributes:
        served: requests that were encoded or decoded.
        refused: requests that got an error.
        undelivered: replies that nobody was there to take.
        dropped: requests whose client was gone before they were done.
        replayed: requests that came again while they had no answer yet, and were not done twice.
        late_or_cancelled: requests that were answered without being done, since nobody wanted them any more.
        reopened: how often the socket had to be opened again.
        lost: batches that were lost with the process that had them, and done again or answered by an error.
        latencies_s: of the latest requests served, by op, from arrival to reply.
        cached: requests served of which symbols or image came from a cache.
        cached_s, fresh_s: latencies of the latest with and without, whatever the op; apart, for they are never alike.
        timed: latencies of all, by op and whether a cache had part in them.
        batches: sizes of the latest batches.
        stages_s: time that was spent in each stage, all threads together.
    """

    served: int = 0
    refused: int = 0
    undelivered: int = 0
    dropped: int = 0
    replayed: int = 0
    late_or_cancelled: int = 0
    reopened: int = 0
    lost: int = 0
    latencies_s: dict[str, deque[float]] = field(default_factory=lambda: {op: _latest() for op in OPS})
    cached: int = 0
    cached_s: deque[float] = field(default_factory=_latest)
    fresh_s: deque[float] = field(default_factory=_latest)
    timed: dict[tuple[str, bool], Timed] = field(default_factory=dict)
    batches: deque[float] = field(default_factory=_latest)
    stages_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def count(self, op: str, seconds: float, *, refused: bool, cached: bool = False) -> None:
        """Count a request that has its reply, in part from a cache or not."""
        if refused:
            self.refused += 1
        else:
            self.served += 1
            self.latencies_s[op].append(seconds)
            self.cached += cached
            self.timed.setdefault((op, cached), Timed()).add(seconds)
            (self.cached_s if cached else self.fresh_s).append(seconds)

    def summary(self) -> dict[str, Scalar]:
        """All of it by name, latencies in milliseconds; 0 where nothing was measured."""
        figures: dict[str, Scalar] = {name: getattr(self, name) for name in COUNTS}
        for op, values in self.latencies_s.items():
            figures |= {f"{op}_mean_ms": 1e3 * mean(values), f"{op}_p95_ms": 1e3 * high(values)}
        figures |= {f"{stage}_s": seconds for stage, seconds in self.stages_s.items()}
        figures["cached"] = self.cached
        for name, latest in (("cached", self.cached_s), ("fresh", self.fresh_s)):
            figures |= {f"{name}_mean_ms": 1e3 * mean(latest), f"{name}_p95_ms": 1e3 * high(latest)}
        return {**figures, "batch_mean": mean(self.batches), "batch_max": int(max(self.batches, default=0))}

    def line(self) -> str:
        """The summary for people."""
        times = [
            f"{op} {1e3 * mean(values):.1f} ms mean, {1e3 * high(values):.1f} ms 95th percentile"
            for op, values in self.latencies_s.items()
            if values
        ]
        counts = f"{self.served} served, {self.refused} refused, {self.undelivered + self.dropped} whose asker was gone"
        sizes = f"{mean(self.batches):.1f} a batch, {max(self.batches, default=0):.0f} at most"
        return "; ".join([counts, *times, sizes])


def mean(values: Sequence[float] | deque[float]) -> float:
    """The mean; 0 of nothing."""
    return float(np.mean(values)) if values else 0.0


def high(values: Sequence[float] | deque[float]) -> float:
    """The 95th percentile; 0 of nothing."""
    return float(np.percentile(values, 95)) if values else 0.0
