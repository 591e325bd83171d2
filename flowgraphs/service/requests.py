"""A request on its way through the service: what is to be done next for whom, until when, at what cost."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import NamedTuple

from semlink.flowgraphs.protocol import Pdu
from semlink.flowgraphs.service.jobs import Job
from semlink.flowgraphs.service.ledger import User


class Request(NamedTuple):
    """A job, who asked for it, over which of the worker's sockets, and when.

    Attributes:
        client: who is told.
        job: what is to be done next.
        arrived: when, by the clock of `Waiting`.
        generation: of the socket.
        deadline: when nobody wants it any more, by the same clock.
        key: given by `Waiting`.
        route: of the first job, by `route_of`.
        cost: expected seconds of work, all stages.
        size: bytes of the first job.
        spent: seconds of work so far.
        usual: whether that is how long such a request takes: not where a codec was loaded for it.
        name: of the user where there are keys, else "".
        lost: whether it was under way already, and whoever had it was gone before it was done.
    """

    client: bytes
    job: Job
    arrived: float
    generation: int = 0
    deadline: float = math.inf
    key: int = 0
    route: Hashable = None
    cost: float = 0.0
    size: int = 0
    spent: float = 0.0
    usual: bool = True
    name: str = ""
    lost: bool = False

    @property
    def user(self) -> User:
        """Whose it is: all connections of one name are one user, else each is one."""
        return self.name or self.client

    @property
    def left(self) -> float:
        """Expected seconds of work that are still to be done."""
        return max(0.0, self.cost - self.spent)


def was_work(reply: Pdu) -> bool:
    """Whether an answer took what such a request takes: not an error, nor what was in the cache."""
    return reply.meta["op"] != "error" and not (reply.meta.get("encoded_hit") or reply.meta.get("result_hit"))
