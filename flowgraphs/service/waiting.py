"""Requests that wait for the service: whose turn it is, in which slot, until when; so many, and no more."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from semlink.flowgraphs.protocol import Pdu, Scalar, error_reply, with_id
from semlink.flowgraphs.service.expected import Expected
from semlink.flowgraphs.service.fair import FairQueue
from semlink.flowgraphs.service.jobs import Crossing, Encoding, Job, route_of
from semlink.flowgraphs.service.ledger import User
from semlink.flowgraphs.service.load import Room
from semlink.flowgraphs.service.presence import Presence
from semlink.flowgraphs.service.requests import Request, was_work
from semlink.flowgraphs.service.slots import Slots
from semlink.flowgraphs.service.under_way import UnderWay

QUEUE_BYTES = 1 << 29
"""Bytes of the requests that wait or are under way, at most, unless one alone has more."""
GATHER = 0.1
"""Share of the latency that a request waits for others that are about to come."""
JOB_S = 300.0
"""Seconds that a request may be served for, all stages together: half a minute is much on two cores."""
CANCELLED = "cancelled, as you asked"
STUCK = "all threads are at work that was given up; try again later"


class Waiting:
    """Between the thread that takes requests in and those that serve them.

    Args:
        most: requests that wait, at most.
        bytes: of the requests that wait or are under way.
        seconds: of expected work that waits.
        latency_s: how long a request may take before it is late through waiting for others.
        users: of a slot.
        threads: that serve.
        job_s: how long a request may be served for. Then it is answered by an error, and what its thread still makes of
            it is dropped: a computation that has begun cannot be broken off.
        pixels: of the images under way, unless one alone has more; beside that one the other threads have their share.
        clock: tells the time in seconds.

    Attributes:
        stopping: whether no more are taken in. A signal handler may set it.
        expected: how long things take.

    Raises:
        ValueError: a limit below 1.
    """

    def __init__(
        self,
        most: int,
        bytes: int = QUEUE_BYTES,
        *,
        seconds: float = math.inf,
        latency_s: float = 0.0,
        users: int = 1,
        threads: int = 1,
        pixels: int = 1 << 62,
        job_s: float = JOB_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._room, self._slots, self._fresh = Room(most, bytes, seconds), Slots[int](users), FairQueue[int]()
        self._busy = UnderWay(threads=threads, job_s=job_s, pixels=pixels)
        self._latency_s, self._threads, self._clock, self._job_s = latency_s, threads, clock, job_s
        self._changed, self._presence = threading.Condition(), Presence()
        self._requests: dict[int, Request] = {}  # that wait
        self._onward: dict[int, None] = {}  # those of them that are past their first stage and in no slot
        self._ids: dict[tuple[User, Scalar], int] = {}
        self._over: list[tuple[Request, Pdu]] = []
        self._held: Counter[User] = Counter()  # requests without an answer, by user
        self._count = 0
        self.expected = Expected()
        self.stopping = False

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def under_way(self) -> int:
        """Requests that are being served."""
        return len(self._busy)

    @property
    def users(self) -> int:
        """Who has asked for something within the last minute."""
        with self._changed:
            return self._presence.count(self._clock())

    def held(self, user: User) -> int:
        """Requests of a user that have no answer yet."""
        return self._held[user]

    def knows(self, client: bytes, id: Scalar | None) -> bool:
        """Whether a client has a request of this "id" that has no answer yet."""
        return id is not None and (client, id) in self._ids

    def add(self, request: Request) -> None:
        """Let a request wait.

        Raises:
            ValueError: there is no room for it, it would come too late, or no more are taken in.
        """
        with self._changed:
            if self.stopping:
                raise ValueError("the worker is about to stop")
            if self._busy.is_stuck(self._clock()):
                raise ValueError(STUCK)
            route, size = route_of(request.job), request.job.size
            cost = self.expected.seconds([route])
            self._room.check(request.user, size, cost)
            self._check_deadline(request, route, cost)
            self._count += 1
            key = self._count
            self._requests[key] = request._replace(key=key, route=route, cost=cost, size=size)
            self._room.enter(request.user, size, cost)
            self._fresh.add(key, request.user, cost)
            self._presence.asks(request.user, self._clock())
            self._held[request.user] += 1
            if request.job.id is not None:
                self._ids[request.client, request.job.id] = key
            self._changed.notify()

    def next_batch(self, choose: Callable[[Mapping[int, Job]], list[int]], ready: Callable[[], bool]) -> list[Request]:
        """What is to be done next, once there is something and it is `ready`; nothing when it stops and all is done.

        Of all stages the one with the most that is alike, for a large batch is done almost as soon as a small one; but
        what may be late otherwise comes first. It is shared out between the threads, and who takes a part wakes the
        next one for the rest: what one thread can do alone wakes nobody.
        """
        with self._changed:
            while True:
                jobs = self._candidates()
                if jobs and ready() and (batch := self._take(jobs, choose)):
                    if self._fresh or self._onward:
                        self._changed.notify()
                    return batch
                if self.stopping and not self._requests and not self._busy.wanted():
                    self._changed.notify_all()
                    return []
                self._changed.wait(self._patience(bool(jobs)))

    def finish(
        self, batch: Sequence[Request], outcomes: Sequence[Pdu | Job], seconds: float, *, usual: bool = True
    ) -> list[tuple[Request, Pdu]]:
        """A batch is done: what goes on waits again, and the replies are handed back.

        Args:
            batch: as `next_batch` gave it.
            outcomes: of each request, its reply or the job of its next stage.
            seconds: that it took.
            usual: whether it would take as long again.
        """
        with self._changed:
            dropped = self._let_go(batch)
            done = []
            for request, outcome in zip(batch, outcomes, strict=True):
                moved = request._replace(spent=request.spent + seconds / len(batch), usual=request.usual and usual)
                if request.key in dropped:
                    continue
                if request.key in self._busy.cancelled:
                    done.append(self._end(moved, CANCELLED))
                elif isinstance(outcome, Job):
                    self._go_on(moved._replace(job=outcome))
                else:
                    if moved.usual and was_work(outcome):
                        self.expected.learn(request.route, 1, moved.spent)
                    self._settle(request)
                    done.append((moved, outcome))
            return done  # who was served asks for what is next, and wakes others if that is more than one can do

    def put_back(self, batch: Sequence[Request], why: str, *, begun: bool = True) -> list[tuple[Request, Pdu]]:
        """Whoever had a batch is gone: what was not lost before waits again, each for a batch of its own, since one of
        them may be why; what was lost before is handed back with an error.

        Args:
            batch: as `next_batch` gave it.
            why: for those who asked.
            begun: whether it was under way; else it just waits again.
        """
        with self._changed:
            dropped = self._let_go(batch)
            done = []
            for request in batch:
                if request.key in dropped:
                    continue
                if request.key in self._busy.cancelled:
                    done.append(self._end(request, CANCELLED))
                elif request.lost and begun:
                    one, said = self._end(request, f"lost twice while it was being done; {why}")
                    done.append((one, replace(said, meta={**said.meta, "lost": True})))
                else:
                    self._enter(request._replace(lost=request.lost or begun))
                    self._onward[request.key] = None
            self._changed.notify_all()
            return done

    def cancel(self, client: bytes, id: Scalar) -> bool:
        """Take back a client's own request: it is answered by an error. Tells whether there was one to take back."""
        with self._changed:
            key = self._ids.get((client, id))
            if key is None or key in self._busy.cancelled:
                return False
            if key in self._busy:
                self._busy.cancelled.add(key)
            else:
                self._over.append(self._end(self._remove(key), CANCELLED))
            return True

    def over(self) -> list[tuple[Request, Pdu]]:
        """What is answered without being done any more: too late, or cancelled."""
        with self._changed:
            self._expire(self._clock())
            gone, self._over = self._over, []
            return gone

    def expires_in(self) -> float | None:
        """Seconds until `over` has something to tell, 0 where it has; None for never, as things stand."""
        with self._changed:
            ends = [*(one.deadline for one in self._requests.values()), *self._busy.ends().values()]
            due = -math.inf if self._over else min(ends, default=math.inf)
            return None if due == math.inf else max(0.0, due - self._clock())

    def forget(self, client: bytes | None = None) -> int:
        """Drop what waits for a client, or for all, and what is under way when its stage is done; and tell how many."""
        with self._changed:
            gone = [key for key, request in self._requests.items() if client in (None, request.client)]
            for key in gone:
                self._settle(self._remove(key))
            lost = [one for one in self._busy.wanted() if client in (None, one.client)]
            for request in lost:
                self._settle(request)
                self._busy.forget(request.key)
        return len(gone) + len(lost)

    def is_empty(self) -> bool:
        """Whether nothing waits, or is under way that somebody waits for."""
        with self._changed:
            return not (self._requests or self._busy.wanted() or self._over)

    def _check_deadline(self, request: Request, route: Hashable, cost: float) -> None:
        if not (self._requests or self._busy) or not self.expected.knows([route]):
            return  # where nothing comes before it, it is tried: what was expected may be long out of date
        before = self._fresh.before(request.user) / self._threads
        if request.arrived + before + cost > request.deadline:
            said = 1e3 * (request.deadline - request.arrived)
            raise ValueError(
                f"deadline_ms={said:g}: about {1e3 * (before + cost):.0f} ms of work come before the answer; try again"
            )

    def _candidates(self) -> dict[int, Job]:
        now = self._clock()
        self._expire(now)
        for slot in self._slots.take(now, self._awaited(now)) if len(self._slots) else []:
            self._send_slot(slot)
        fresh = {key: self._requests[key].job for key in self._fresh}
        if not self._onward:
            return {} if self._gathers(now, len(fresh)) else fresh
        late = next((key for key in self._onward if self._due(self._requests[key]) <= now), None)
        onward = {key: self._requests[key].job for key in self._onward}
        kinds = Counter(job.kind for job in onward.values())
        kind, count = kinds.most_common(1)[0] if late is None else (onward[late].kind, 0)
        lead = next(iter(fresh.values()), None)
        alike = 0 if lead is None else sum(job.kind == lead.kind for job in fresh.values())
        if late is None and alike > count and not self._gathers(now, alike):
            return fresh
        return {key: job for key, job in onward.items() if job.kind == kind}

    def _gathers(self, now: float, count: int) -> bool:
        """Whether more is about to come that may go in the same batch, and what waits has the time for it."""
        if not count or not self._latency_s or self.stopping:
            return False
        patience = GATHER * self._latency_s
        fresh = [self._requests[key] for key in self._fresh]
        until = min(min(one.arrived + patience, one.deadline - one.left) for one in fresh)
        return now < until and bool(self._presence.awaited(now, patience))

    def _due(self, request: Request) -> float:
        """When what is left of it is to begin, or it will be late."""
        return min(request.arrived + self._latency_s, request.deadline) - request.left

    def _send_slot(self, keys: Sequence[int]) -> None:
        """Users of a slot send at once: each is with the symbols of the others."""
        members = [self._requests[key] for key in keys]
        sent = [one.job.arrays[0] for one in members]
        for i, one in enumerate(members):
            arrays = (sent[i], *sent[:i], *sent[i + 1 :])
            self._requests[one.key] = one._replace(job=one.job._replace(arrays=arrays))
            self._onward[one.key] = None

    def _awaited(self, now: float) -> frozenset[Hashable]:
        """Users of whom something is about to be sent: it is being encoded, or they have asked a moment ago."""
        every = [*self._requests.values(), *self._busy.wanted()]
        coming = {one.user for one in every if isinstance(one.job.kind, Encoding) and one.job.trip}
        if self.stopping:
            return frozenset(coming)
        return frozenset(coming | self._presence.awaited(now, self._latency_s))

    def _take(self, jobs: Mapping[int, Job], choose: Callable[[Mapping[int, Job]], list[int]]) -> list[Request]:
        """This thread's share of what may go in one batch; none where there is no room for it."""
        keys = choose(jobs)
        first = jobs[keys[0]]
        if self._requests[keys[0]].lost:
            return self._begin(keys[:1])
        keys = [key for key in keys if not self._requests[key].lost]
        return self._begin(keys[: self._busy.share(sum(job.kind == first.kind for job in jobs.values()), first)])

    def _begin(self, keys: Sequence[int]) -> list[Request]:
        batch = []
        for key in keys:
            if key in self._fresh:
                self._fresh.take(key)
            self._onward.pop(key, None)
            request = self._requests.pop(key)
            self._room.leave(request.user, request.size, request.cost)
            self._room.under_way.add(request.size, request.cost)
            batch.append(request)
        self._busy.begin(batch, self._clock())
        return batch

    def _let_go(self, batch: Sequence[Request]) -> set[int]:
        """Their stage is done. The keys of those that nobody waits for any more."""
        for request in batch:
            self._room.under_way.add(request.size, request.cost, -1)
        return self._busy.end(batch)

    def _enter(self, request: Request) -> None:
        self._requests[request.key] = request
        self._room.enter(request.user, request.size, request.cost)

    def _go_on(self, request: Request) -> None:
        self._enter(request)
        kind = request.job.kind
        if isinstance(kind, Crossing) and self._slots.users > 1:
            self._slots.add(request.key, request.user, kind.esno_db, self._due(request))
        else:
            self._onward[request.key] = None

    def _remove(self, key: int) -> Request:
        request = self._requests.pop(key)
        self._room.leave(request.user, request.size, request.cost)
        self._onward.pop(key, None)
        self._slots.drop(key)
        if key in self._fresh:
            self._fresh.drop(key)
        return request

    def _expire(self, now: float) -> None:
        for key in [key for key, request in self._requests.items() if request.deadline <= now]:
            request = self._remove(key)
            said = 1e3 * (request.deadline - request.arrived)
            self._over.append(self._end(request, f"too late: deadline_ms={said:g} was over before it was done"))
        for key in [key for key, end in self._busy.ends().items() if end <= now]:
            request = self._busy[key]
            self.expected.learn(request.route, 1, self._job_s)  # which is what another of its kind has to wait for
            self._over.append(self._end(request, f"given up: not done within the {self._job_s:g} s that a request has"))
            self._busy.forget(key)
        if self._requests and self._busy.is_stuck(now):
            self._over += [self._end(self._remove(key), STUCK) for key in list(self._requests)]

    def _end(self, request: Request, why: str) -> tuple[Request, Pdu]:
        self._busy.cancelled.discard(request.key)
        self._settle(request)
        return request, with_id(error_reply(why), request.job.id)

    def _settle(self, request: Request) -> None:
        """It has its answer, or nobody to have it."""
        self._held[request.user] -= 1
        if not self._held[request.user]:
            del self._held[request.user]
            self._presence.is_answered(request.user, self._clock())
        if request.job.id is not None and self._ids.get((request.client, request.job.id)) == request.key:
            del self._ids[request.client, request.job.id]

    def _patience(self, has_work: bool) -> float:
        """How long to wait for something to change. A signal handler cannot notify: look now and then."""
        if has_work:
            return 0.01
        if len(self._fresh):
            return 0.001  # more is about to come
        due = self._slots.due()
        return 0.2 if due is None else min(0.2, max(1e-4, due - self._clock()))
