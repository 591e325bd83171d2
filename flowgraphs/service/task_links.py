"""The links of the service that deliver a class: the task codec, labels, and the teachers behind other codecs."""

from __future__ import annotations

import copy

from semlink.flowgraphs.service.kept import Kept, Lately
from semlink.flowgraphs.specs import LABEL
from semlink.neural.classifiers import (
    LABEL_USES,
    TEACHERS,
    LabelCodec,
    TaskCard,
    TaskLink,
    Teacher,
    load_task,
    load_teacher,
    task_cards,
)
from semlink.phy.link import channel_uses

LOOK_S = 1.0
"""For which the cards that were found are not looked for again."""
SIDE = 32
"""Pixels a side of the images that all of these take."""


class TaskLinks:
    """Task codecs and teachers, loaded when they are first asked for. Several threads may ask."""

    def __init__(self) -> None:
        self._teachers, self._codecs = Kept[Teacher](len(TEACHERS)), Kept[TaskLink](1)
        self._cards = Lately[dict[str, TaskCard]](LOOK_S)

    @property
    def loads(self) -> int:
        """Networks that were loaded for the thread that asks this."""
        return self._teachers.loads + self._codecs.loads

    def within(self, name: str, ratio: float) -> TaskLink | LabelCodec:
        """The codec of this name, to send as much as it can in a budget of ratio · 3 · 32 · 32 channel uses.

        Raises:
            ValueError: one that does not ship, or a budget that is below its shortest transmission.
        """
        budget = channel_uses((3, SIDE, SIDE), ratio)
        if name.startswith(LABEL):
            return self.of_uses(name, min(budget, LABEL_USES))
        codec = self._codec(name)
        whole = min(budget, codec.tokens * codec.token_symbols)
        return self.of_uses(name, whole - whole % codec.token_symbols)

    def of_uses(self, name: str, uses: int) -> TaskLink | LabelCodec:
        """The codec of this name that sends so many channel uses.

        Raises:
            ValueError: one that does not ship, or a number of channel uses that it cannot send.
        """
        if name.startswith(LABEL):
            return LabelCodec(self.teacher(name.removeprefix(LABEL)), uses=uses)
        return copy.copy(self._codec(name)).send(uses)  # with the same weights

    def teacher(self, name: str) -> Teacher:
        """A teacher that this package knows by name.

        Raises:
            ValueError: any other, or a file that is not to be had.
        """
        return self._teachers.get(name, lambda: load_teacher(name))

    def sha256(self, name: str) -> str:
        """Of the weights of a codec.

        Raises:
            ValueError: one that does not ship.
        """
        if name.startswith(LABEL):
            return TEACHERS[name.removeprefix(LABEL)].sha256
        cards = self._cards.get("all", task_cards)
        if name not in cards:
            raise ValueError(f"codec {name!r}: no weights here")
        return cards[name].sha256

    def _codec(self, name: str) -> TaskLink:
        return self._codecs.get(self.sha256(name), lambda: load_task(name))
