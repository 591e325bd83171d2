"""What is done to jobs of one kind at once: encode, cross the channel, decode, restore. No queues, no sockets.

A stage makes a task of the jobs that the caches know nothing of, has it done, and makes of it what the jobs are next.
Where it is done is not its business: by `Maker` in this thread, in a process of its own or on another machine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semlink.flowgraphs.protocol import Pdu, Scalar, codebook, encoded_reply
from semlink.flowgraphs.service.cache import ENTRY_BYTES, Cache, digest
from semlink.flowgraphs.service.codecs import Shelf
from semlink.flowgraphs.service.jobs import (
    Arriving,
    Crossing,
    Decoding,
    Encoding,
    Job,
    Made,
    Making,
    Restoring,
    Task,
    Trip,
    Value,
    answer,
)
from semlink.flowgraphs.service.tasks import made_pdu
from semlink.flowgraphs.specs import JOINT
from semlink.phy.waveform import BurstHeader

Make = Callable[[Task], Made]
"""Whoever does a task."""
CODECS = 1024
"""Codecs by ratio of which it is kept whether Es/N0 makes a difference to their symbols, at most."""


class _Encoded(NamedTuple):
    """A frame: what its burst's header says, its symbols (n,), and what the codec put into the header beside."""

    header: BurstHeader
    symbols: NDArray[np.complex64]
    entry: Value


class _Shown(NamedTuple):
    """What is received: pixels (h, w, 3) or logits (k,), and whether they are a fallback."""

    image: NDArray[Any]
    failed: bool


class Stages:
    """The stages that jobs go through. Several threads may use it.

    Args:
        shelf: knows the codecs.
        users: of a slot of the channel.
        cache_bytes: of symbols that were encoded and, as many again, of images that were received; 0 keeps none.
    """

    def __init__(self, shelf: Shelf, users: int, cache_bytes: int) -> None:
        self._shelf, self.users = shelf, users
        self.encoded: Cache[_Encoded] = Cache(cache_bytes)
        self.results: Cache[_Shown] = Cache(cache_bytes)
        self._blind: dict[tuple[str, float], bool] = {}  # codecs by ratio: whether Es/N0 is nothing to their symbols

    def forget(self) -> None:
        """Empty caches."""
        self.encoded, self.results = Cache(self.encoded.limit), Cache(self.results.limit)

    def summary(self) -> dict[str, Scalar]:
        """Hits of the caches and what they hold, by name."""
        figures: dict[str, Scalar] = {}
        for name, cache in (("encoded", self.encoded), ("result", self.results)):
            figures |= {f"{name}_hits": cache.hits, f"{name}_misses": cache.misses, f"{name}_bytes": cache.held}
        return figures

    def run(self, jobs: Sequence[Job], make: Make, threads: int) -> list[Pdu | Job]:
        """What becomes of jobs of one kind: replies, without "id", or the next jobs.

        Args:
            jobs: of one kind.
            make: does their task.
            threads: of PyTorch.

        Raises:
            ValueError: what cannot be done; and whatever `make` raises.
        """
        kind = jobs[0].kind

        def made(arrays: Mapping[str, NDArray[Any]], rows: Mapping[str, Sequence[Value]]) -> Made:
            assert not isinstance(kind, Making)
            return make(Task(kind, arrays, rows, threads))

        if isinstance(kind, Making):
            return [made_pdu(make(kind.task._replace(threads=min(threads, kind.task.threads))))]
        if isinstance(kind, Encoding):
            return self._encode(kind, jobs, made)
        if isinstance(kind, Crossing):
            return _cross(kind, jobs, made)
        if isinstance(kind, Arriving):
            return self._arrive(kind, jobs, made)
        if isinstance(kind, Restoring):
            return self._restore(jobs, made)
        return self._decode(kind, jobs, made)

    def _encode(self, kind: Encoding, jobs: Sequence[Job], made: _Made) -> list[Pdu | Job]:
        blind, keys = self._is_blind(kind), self._encoded_keys(kind, jobs)
        found = [self.encoded.get(key) for key in keys]
        hits = [one is not None for one in found]
        missing = [job for job, hit in zip(jobs, hits, strict=True) if not hit]
        fresh = iter(self._encoded_now(kind, missing, made) if missing else [])
        if self._is_blind(kind) != blind:
            keys = self._encoded_keys(kind, jobs)
        sent = [next(fresh) if one is None else one for one in found]
        for key, one, hit in zip(keys, sent, hits, strict=True):
            if self.encoded.limit and not hit:
                own = one._replace(symbols=one.symbols.copy())  # a row of a batch would keep the whole batch
                self.encoded.put(key, own, own.symbols.nbytes + len(key) + ENTRY_BYTES)
        return [self._sent(*each) for each in zip(jobs, sent, hits, strict=True)]

    def _encoded_now(self, kind: Encoding, jobs: Sequence[Job], made: _Made) -> list[_Encoded]:
        (symbols, *_), rows = _of(made({"image": _stacked(jobs, 0)}, {}), "symbols")
        if len(self._blind) >= CODECS:
            self._blind.clear()
        self._blind[kind.codec, kind.ratio] = bool(rows["blind"][0])
        number, (height, width) = codebook.codec_number(kind.codec), (kind.height, kind.width)
        headers = [
            BurstHeader(codec=number, mcs=int(mcs or 0), height=height, width=width, symbols=symbols.shape[1])
            for mcs in rows["mcs"]
        ]
        return [_Encoded(*each) for each in zip(headers, symbols, rows["entry"], strict=True)]

    def _is_blind(self, kind: Encoding) -> bool:
        return self._blind.get((kind.codec, kind.ratio), False)

    def _encoded_keys(self, kind: Encoding, jobs: Sequence[Job]) -> list[bytes]:
        if not self.encoded.limit:
            return [b""] * len(jobs)
        level = 0.0 if self._is_blind(kind) else kind.esno_db
        said = f"{kind.codec}|{kind.ratio!r}|{level!r}|{self._shelf.weights(kind.codec, kind.ratio)}"
        return [digest(job.arrays[0]) + said.encode() for job in jobs]

    def _sent(self, job: Job, made: _Encoded, hit: bool) -> Pdu | Job:
        trip, header = job.trip, made.header
        if trip is None:
            reply = encoded_reply(header, made.symbols)
            return replace(reply, meta={**reply.meta, "encoded_hit": hit}) if self.encoded.limit else reply
        label = JOINT.join([codebook.name_of(header), *([trip.receiver] if trip.receiver else [])])
        kind = Crossing(trip.esno_db, header.symbols, header.height, header.width)
        trip = replace(trip, label=label, header=made.entry, encoded_hit=hit, slot=1)
        return job._replace(kind=kind, arrays=(made.symbols,), trip=trip)

    def _arrive(self, kind: Arriving, jobs: Sequence[Job], made: _Made) -> list[Pdu | Job]:
        weights = self._shelf.weights(kind.codec, kind.ratio, kind.receiver) if self.results.limit else ""
        said = f"{kind.codec}|{kind.ratio!r}|{kind.receiver}|{weights}|{kind.height}x{kind.width}"
        restored = Restoring(kind.codec, kind.receiver, kind.ratio, kind.height, kind.width)
        return self._receive(jobs, said, restored, made)

    def _decode(self, kind: Decoding, jobs: Sequence[Job], made: _Made) -> list[Pdu | Job]:
        """Receptions of others, of which there are symbols and noise variances alone."""
        name = codebook.name_of(kind.header)
        if not kind.receiver:
            (images, *_), rows = _of(
                made({"symbols": _stacked(jobs, 0), "n0": _stacked(jobs, 1)}, {}), "image", "logits"
            )
            lost = [bool(one) for one in rows["failed"]]
            return [answer(image, failed=one, codec=name) for image, one in zip(images, lost, strict=True)]
        ratio = self._shelf.ratio_of(kind.header)
        restored = Restoring(name, kind.receiver, ratio, kind.height, kind.width)
        label = f"{name}{JOINT}{kind.receiver}"
        moved = [
            job._replace(
                trip=replace(
                    _trip(job),
                    codec=name,
                    ratio=ratio,
                    label=label,
                    arrived={"symbols": job.arrays[0], "n0": job.arrays[1]},
                )
            )
            for job in jobs
        ]
        own = codebook.codec_name(kind.header.codec), ratio
        weights = self._shelf.weights(*own, kind.receiver) if self.results.limit else ""
        shape = 3, kind.height, kind.width
        return self._receive(moved, f"{name}|{ratio!r}|{kind.receiver}|{weights}|{shape}", restored, made)

    def _receive(self, jobs: Sequence[Job], said: str, restored: Restoring, made: _Made) -> list[Pdu | Job]:
        """Decode what arrived, unless exactly this was received before; what is refined goes on to be restored."""
        keys = [self._result_key(job, said) for job in jobs]
        found = [None if key is None else self.results.get(key) for key in keys]
        missing = [i for i, one in enumerate(found) if one is None]
        done: dict[int, Pdu | Job] = {
            i: _finish(jobs[i], one, hit=True) for i, one in enumerate(found) if one is not None
        }
        if missing:
            here = [jobs[i]._replace(trip=replace(_trip(jobs[i]), result_key=keys[i])) for i in missing]
            done |= dict(zip(missing, self._received(here, restored, made), strict=True))
        return [done[i] for i in range(len(jobs))]

    def _received(self, jobs: Sequence[Job], restored: Restoring, made: _Made) -> list[Pdu | Job]:
        trips = [_trip(job) for job in jobs]
        rows: dict[str, Sequence[Value]] = {"header": [one.header for one in trips]}
        rows["width"] = [one.width for one in trips]
        every = [_arrived(job) for job in jobs]
        (images, *levels), told = _of(
            made({name: np.stack([one[name] for one in every]) for name in every[0]}, rows), "image", "logits", "level"
        )
        lost = [bool(one) for one in told["failed"]]
        if not levels:
            return [self._keep(*each) for each in zip(jobs, map(_Shown, images, lost), strict=True)]
        return [
            job._replace(kind=restored, arrays=(image, level), trip=replace(_trip(job), failed=one))
            for job, image, level, one in zip(jobs, images, levels[0], lost, strict=True)
        ]

    def _restore(self, jobs: Sequence[Job], made: _Made) -> list[Pdu | Job]:
        arrays, failed = {"image": _stacked(jobs, 0), "level": _stacked(jobs, 1)}, [_trip(job).failed for job in jobs]
        (images, *_), _told = _of(made(arrays, {"failed": failed}), "image")
        return [self._keep(*each) for each in zip(jobs, map(_Shown, images, failed), strict=True)]

    def _result_key(self, job: Job, said: str) -> bytes | None:
        if not self.results.limit:
            return None
        got = _arrived(job)
        arrays = [got[name] for name in ("symbols", "n0", "bias", "gain") if name in got]
        return digest(*arrays) + f"{said}|{_trip(job).header!r}".encode()

    def _keep(self, job: Job, shown: _Shown) -> Pdu:
        key = _trip(job).result_key
        if key is not None:
            own = shown._replace(image=shown.image.copy())  # as in _encode
            self.results.put(key, own, own.image.nbytes + len(key) + ENTRY_BYTES)
        return _finish(job, shown, hit=False)


_Made = Callable[[Mapping[str, NDArray[Any]], Mapping[str, Sequence[Value]]], Made]


def _cross(kind: Crossing, jobs: Sequence[Job], made: _Made) -> list[Pdu | Job]:
    trips = [_trip(job) for job in jobs]
    images = [trip.image for trip in trips if trip.image is not None]
    arrays = {"symbols": _stacked(jobs, 0), "others": _others(jobs, kind.symbols), "image": np.stack(images)}
    got = made(arrays, {"realisation": [trip.realisation for trip in trips]})
    onward: list[Pdu | Job] = []
    for i, (job, trip) in enumerate(zip(jobs, trips, strict=True)):
        arrived, width = {name: array[i] for name, array in got.arrays.items()}, got.rows["width"][i]
        trip = replace(trip, arrived=arrived, width=width, slot=len(job.arrays))
        here = Arriving(trip.codec, trip.receiver, trip.ratio, kind.symbols, kind.height, kind.width)
        onward.append(job._replace(kind=here, arrays=(job.arrays[0],), trip=trip))
    return onward


def _others(jobs: Sequence[Job], n: int) -> NDArray[np.complex64]:
    """The symbols of those who send at the same time, as long as each frame lasts, (b, n, k); 0 for silence."""
    most = max(len(job.arrays) for job in jobs) - 1
    others: NDArray[np.complex64] = np.zeros((len(jobs), n, most), np.complex64)
    for i, job in enumerate(jobs):
        for k, sent in enumerate(job.arrays[1:]):
            part = sent[:n]
            others[i, : len(part), k] = part
    return others


def _of(made: Made, *names: str) -> tuple[list[NDArray[Any]], Mapping[str, Sequence[Value]]]:
    return [made.arrays[name] for name in names if name in made.arrays], made.rows


def _stacked(jobs: Sequence[Job], i: int) -> NDArray[Any]:
    return np.stack([job.arrays[i] for job in jobs])


def _finish(job: Job, shown: _Shown, *, hit: bool) -> Pdu:
    return replace(_trip(job), failed=shown.failed, result_hit=hit).reply(shown.image, None)


def _trip(job: Job) -> Trip:
    assert job.trip is not None
    return job.trip


def _arrived(job: Job) -> Mapping[str, NDArray[Any]]:
    arrived = _trip(job).arrived
    assert arrived is not None
    return arrived
