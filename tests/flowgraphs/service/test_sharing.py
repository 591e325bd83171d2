"""What of alike requests one thread takes, and whom it wakes for the rest; cards that were found a moment ago."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from semlink.flowgraphs.protocol import Pdu
from semlink.flowgraphs.service import Worker, codecs
from semlink.flowgraphs.service.codecs import Shelf
from semlink.flowgraphs.service.jobs import choose
from semlink.flowgraphs.service.kept import MANY, Lately
from semlink.flowgraphs.service.lanes import Lane
from semlink.flowgraphs.service.requests import Request
from semlink.flowgraphs.service.waiting import Waiting
from semlink.neural import zoo
from semlink.neural.networks import sent_indices

Carried = Callable[..., Request]


class Threads:
    """Those of a service, and how often one of them was woken."""

    def __init__(self, clock: Any, count: int = 2) -> None:  # noqa: ANN401
        self.waiting, self.woken = Waiting(64, threads=count, clock=clock), 0
        notify = self.waiting._changed.notify

        def counted(n: int = 1) -> None:
            self.woken += n
            notify(n)

        self.waiting._changed.notify = counted  # type: ignore[method-assign]

    def ask(self, carried: Carried, count: int, side: int = 10) -> None:
        for id in range(count):
            self.waiting.add(carried(f"user{id}", id, side=side))
        self.woken = 0

    def take(self) -> list[Request]:
        return self.waiting.next_batch(lambda jobs: choose(jobs, batch=16, pixels=1 << 20), lambda: True)


@pytest.mark.parametrize(
    ("asked", "side", "taken"),
    [
        (3, 10, [3]),  # two halves would take as long, one beside the other
        (5, 10, [5]),
        (6, 10, [3, 3]),
        (16, 10, [8, 8]),
        (40, 10, [16, 16]),  # then there are 8 left
        (3, 100, [2, 1]),  # large images are worth a thread each
    ],
)
def test_few_small_images_stay_together(
    told_clock: Any,  # noqa: ANN401
    carried: Carried,
    asked: int,
    side: int,
    taken: list[int],
) -> None:
    threads = Threads(told_clock)
    threads.ask(carried, asked, side)
    assert [len(threads.take()) for _ in taken] == taken


def test_a_thread_takes_all_that_waits_while_the_other_has_as_much(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    """Else shares of shares become smaller and smaller."""
    threads = Threads(told_clock)
    threads.ask(carried, 16)
    first = threads.take()
    done = threads.take()
    assert len(first) == len(done) == 8
    threads.waiting.finish(done, [Pdu({"op": "carried"})] * 8, 0.1)
    for id in range(8):
        threads.waiting.add(carried(f"user{id}", 100 + id))
    assert len(threads.take()) == 8  # beside the 8 of `first`


def test_who_goes_on_with_all_there_is_wakes_nobody(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    threads = Threads(told_clock)
    threads.ask(carried, 3)
    batch = threads.take()
    assert threads.woken == 0
    moved = [one.job._replace(id=one.job.id) for one in batch]
    threads.waiting.finish(batch, moved, 0.1)
    assert len(threads.take()) == 3
    assert threads.woken == 0


def test_who_leaves_something_wakes_one(told_clock: Any, carried: Carried) -> None:  # noqa: ANN401
    threads = Threads(told_clock)
    threads.ask(carried, 16)
    threads.take()
    assert threads.woken == 1


@pytest.mark.parametrize(("deadline", "rings"), [(float("inf"), 1), (50.0, 2)])
def test_between_stages_the_door_is_not_told(told_clock: Any, carried: Carried, deadline: float, rings: int) -> None:  # noqa: ANN401
    """Unless a deadline has to be told in time; one ring more is that of the end."""
    waiting = Waiting(64, clock=told_clock)
    waiting.add(carried("user", 1, deadline=deadline))
    waiting.stopping = True
    rung: list[int] = []

    outcomes = iter([lambda job: job, lambda _: Pdu({"op": "carried"})])  # of the first stage, and of the last

    def run(jobs: list[Any], lane: object) -> list[Any]:
        return list(map(next(outcomes), jobs))

    service = SimpleNamespace(run=run, choose=lambda jobs: list(jobs))
    door = SimpleNamespace(waiting=0)
    done: list[Any] = []
    worker = SimpleNamespace(_waiting=waiting, _service=service, _door=door, _done=done, _ring=lambda: rung.append(1))
    Worker._compute(cast(Worker, worker), cast(Lane, SimpleNamespace(loads=0)))
    assert [(size, len(replies)) for size, replies in done] == [(1, 0), (1, 1)]
    assert len(rung) == rings + 1


def test_what_was_found_is_not_looked_for_again_for_a_while(told_clock: Any) -> None:  # noqa: ANN401
    looked: list[int] = []
    lately = Lately[int](1.0, told_clock)

    def find() -> int:
        looked.append(1)
        return len(looked)

    assert [lately.get("a", find), lately.get("a", find)] == [1, 1]
    told_clock.now = 1.5
    assert lately.get("a", find) == 2
    for key in range(2 * MANY):
        lately.get(key, find)
    assert len(lately._found) <= MANY
    with pytest.raises(ZeroDivisionError):
        lately.get("b", lambda: 1 // 0)
    assert lately.get("b", lambda: 5) == 5


def test_a_shelf_looks_for_a_card_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, find = [], zoo.find_card

    def counted(name: str, *, ratio: float | None = None) -> zoo.Card:
        looked.append(name)
        return find(name, ratio=ratio)

    monkeypatch.setattr(codecs.zoo, "find_card", counted)
    monkeypatch.setattr(codecs, "LOOK_S", 1000.0)
    shelf = Shelf({})
    shelf.encoder("swin", 1 / 6)  # which loads it as well
    looked.clear()
    for _ in range(3):
        shelf.check("swin", 1 / 6)
        shelf.encoder("swin", 1 / 6)
        shelf.weights("swin", 1 / 6)
    assert not looked
    for _ in range(2):  # what is not there is looked for each time
        with pytest.raises(ValueError, match=r"ratio=0\.9"):
            shelf.check("swin", 0.9)
    assert len(looked) == 2


def test_the_places_of_symbols_are_kept_for_small_images_alone() -> None:
    assert sent_indices(32, 32, 512) is sent_indices(32, 32, 512)
    large = sent_indices(256, 256, 1000)
    assert large is not sent_indices(256, 256, 1000)
    assert torch.equal(large, sent_indices(256, 256, 1000))
    assert not torch.equal(sent_indices(32, 32, 512), sent_indices(32, 36, 512))
