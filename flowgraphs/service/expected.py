"""How long things take: what was seen of late, image by image of a kind, for the scheduler to reckon with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable

FIRST_S = 0.02
"""Of an image of a kind of which nothing has been seen."""
SHARE = 0.2
"""Weight of the latest batch."""
KINDS = 512
"""Kinds that are remembered; of more, the one that was not seen the longest is forgotten."""


class Expected:
    """Seconds an image takes in a batch as they come, by kind: a mean that forgets."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, float] = OrderedDict()

    def learn(self, kind: Hashable, images: int, seconds: float) -> None:
        """A batch of so many images took so long."""
        each = seconds / images
        known = self._seconds.pop(kind, each)
        self._seconds[kind] = known + SHARE * (each - known)
        if len(self._seconds) > KINDS:
            self._seconds.popitem(last=False)

    def knows(self, kinds: Iterable[Hashable]) -> bool:
        """Whether all of these have been seen."""
        return all(kind in self._seconds for kind in kinds)

    def seconds(self, kinds: Iterable[Hashable]) -> float:
        """Of one image through all of these, one after the other."""
        return sum(self._seconds.get(kind, FIRST_S) for kind in kinds)
