"""Requests that are being served: since when, in which batches, and what more may go beside them. No clock, no lock."""

from __future__ import annotations

from collections.abc import Sequence

from semlink.flowgraphs.service.jobs import Job
from semlink.flowgraphs.service.requests import Request

SMALL = 64**2
"""Pixels of an image below which a few in one batch take hardly longer than one."""
FEW = 3
"""Small images that are not shared out: two halves would each take nearly as long, and in each other's way."""


class UnderWay:
    """What the threads are at, and for how long they may be.

    Args:
        threads: that serve.
        job_s: seconds that a request may be served for, all stages together.
        pixels: of the images under way, unless one alone has more; beside that one the other threads have their share.

    Attributes:
        cancelled: keys of those that are answered already, by an error, when their stage is done.
    """

    def __init__(self, *, threads: int, job_s: float, pixels: int) -> None:
        self._threads, self._job_s, self._pixels = threads, job_s, pixels
        self._requests: dict[int, Request] = {}
        self._since: dict[int, float] = {}  # when the stage began
        self._batch: dict[int, int] = {}  # the first of those that are under way together with it, of each of them
        self._forgotten: set[int] = set()
        self.cancelled: set[int] = set()

    def __len__(self) -> int:
        return len(self._requests)

    def __contains__(self, key: object) -> bool:
        return key in self._requests

    def __getitem__(self, key: int) -> Request:
        return self._requests[key]

    def wanted(self) -> list[Request]:
        """Those that somebody waits for."""
        return [one for key, one in self._requests.items() if key not in self._forgotten]

    def begin(self, batch: Sequence[Request], now: float) -> None:
        """A thread has taken these."""
        for request in batch:
            self._requests[request.key], self._since[request.key] = request, now
            self._batch[request.key] = batch[0].key

    def end(self, batch: Sequence[Request]) -> set[int]:
        """Their stage is done. The keys of those that were forgotten meanwhile."""
        for request in batch:
            del self._requests[request.key], self._since[request.key], self._batch[request.key]
        dropped = {request.key for request in batch} & self._forgotten
        self._forgotten -= dropped
        return dropped

    def forget(self, key: int) -> None:
        """What comes of it is dropped, for nobody waits for it any more."""
        self.cancelled.discard(key)
        self._forgotten.add(key)

    def share(self, count: int, job: Job) -> int:
        """How many of those that are alike a thread takes: its share of all there is, what others do included.

        Not too few of small images, and of large ones no more than have room.
        """
        least = 1 if job.pixels >= SMALL else FEW
        share = max(least, -(-(count + len(self)) // self._threads))
        share = count if count - share < least else share
        return min(share, self._spare() // job.pixels) if self._requests else share

    def ends(self) -> dict[int, float]:
        """When each of `wanted` is given up."""
        return {one.key: self._end_of(one.key) for one in self.wanted()}

    def is_stuck(self, now: float) -> bool:
        """Whether no thread is left: each has a batch of which all should have been done long ago."""
        in_time = {self._batch[key] for key in self._requests if self._end_of(key) > now}
        return len({*self._batch.values()} - in_time) >= self._threads

    def _end_of(self, key: int) -> float:
        return self._since[key] + self._job_s - self._requests[key].spent

    def _spare(self) -> int:
        """Pixels that may go beside what is under way."""
        under_way = [request.job.pixels for request in self._requests.values()]
        usual = [pixels for pixels in under_way if pixels <= self._pixels]
        alone = self._pixels // self._threads if len(usual) < len(under_way) else 0
        return max(0, self._pixels - sum(usual) - alone)
