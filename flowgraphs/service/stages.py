"""What is done to jobs of one kind at once: encode, cross the channel, decode, restore. No queues, no sockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.protocol import Pdu, Scalar, codebook, encoded_reply
from semlink.flowgraphs.service.cache import ENTRY_BYTES, Cache, digest
from semlink.flowgraphs.service.codecs import Shelf, scheme_numbers
from semlink.flowgraphs.service.jobs import Arriving, Crossing, Decoding, Encoding, Job, Restoring, Trip, answer
from semlink.flowgraphs.service.uplink import as_images, cross, joined, users_of
from semlink.flowgraphs.specs import JOINT
from semlink.neural.diffusion import Refined
from semlink.phy.impairments import Medium
from semlink.phy.link import Codec, Decoded, Received, channel_uses, check_decoded, check_frame, check_marks, esno_to_n0
from semlink.phy.waveform import BurstHeader


class _Encoded(NamedTuple):
    """A frame: what its burst's header says, its symbols (n,), and what the codec put into the header beside."""

    header: BurstHeader
    symbols: NDArray[np.complex64]
    entry: object


class _Shown(NamedTuple):
    """What is received: pixels (h, w, 3) or logits (k,), and whether they are a fallback."""

    image: NDArray[Any]
    failed: bool


class Stages:
    """The stages that jobs go through. Several threads may use it.

    Args:
        shelf: has the codecs.
        channel: that images are carried over; None where none are.
        seed: of its fades and noise.
        cache_bytes: of symbols that were encoded and, as many again, of images that were received; 0 keeps none.
    """

    def __init__(self, shelf: Shelf, channel: Medium | None, seed: int, cache_bytes: int) -> None:
        self._shelf, self._channel, self._seed = shelf, channel, seed
        self.users = 1 if channel is None else users_of(channel)
        self.encoded: Cache[_Encoded] = Cache(cache_bytes)
        self.results: Cache[_Shown] = Cache(cache_bytes)

    def forget(self) -> None:
        """Empty caches."""
        self.encoded, self.results = Cache(self.encoded.limit), Cache(self.results.limit)

    def summary(self) -> dict[str, Scalar]:
        """Hits of the caches and what they hold, by name."""
        figures: dict[str, Scalar] = {}
        for name, cache in (("encoded", self.encoded), ("result", self.results)):
            figures |= {f"{name}_hits": cache.hits, f"{name}_misses": cache.misses, f"{name}_bytes": cache.held}
        return figures

    def run(self, jobs: Sequence[Job]) -> list[Pdu | Job]:
        """What becomes of jobs of one kind: replies, without "id", or the next jobs.

        Raises:
            ValueError: what cannot be done; and whatever a codec raises.
        """
        kind = jobs[0].kind
        with torch.no_grad():
            if isinstance(kind, Encoding):
                return self._encode(kind, jobs)
            if isinstance(kind, Crossing):
                return self._cross(kind, jobs)
            if isinstance(kind, Arriving):
                return self._arrive(kind, jobs)
            if isinstance(kind, Restoring):
                return self._restore(jobs)
            return self._decode(kind, jobs)

    def _encode(self, kind: Encoding, jobs: Sequence[Job]) -> list[Pdu | Job]:
        codec = self._shelf.encoder(kind.codec, kind.ratio)
        keys = self._encoded_keys(codec, kind, jobs)
        found = [self.encoded.get(key) for key in keys]
        missing = [job for job, one in zip(jobs, found, strict=True) if one is None]
        fresh = iter(_encode(codec, kind, missing) if missing else [])
        made = [next(fresh) if one is None else one for one in found]
        hits = [one is not None for one in found]
        for key, one, hit in zip(keys, made, hits, strict=True):
            if self.encoded.limit and not hit:
                own = one._replace(symbols=one.symbols.copy())  # a row of a batch would keep the whole batch
                self.encoded.put(key, own, own.symbols.nbytes + len(key) + ENTRY_BYTES)
        return [self._sent(*each) for each in zip(jobs, made, hits, strict=True)]

    def _encoded_keys(self, codec: Codec, kind: Encoding, jobs: Sequence[Job]) -> list[bytes]:
        if not self.encoded.limit:
            return [b""] * len(jobs)
        level = 0.0 if getattr(codec, "ignores_n0", False) else kind.esno_db
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

    def _cross(self, kind: Crossing, jobs: Sequence[Job]) -> list[Pdu | Job]:
        if self._channel is None:
            raise ValueError("there is no channel to carry images over")
        return [_arrived(*each) for each in zip(jobs, cross(self._channel, self._seed, kind, jobs), strict=True)]

    def _arrive(self, kind: Arriving, jobs: Sequence[Job]) -> list[Pdu | Job]:
        codec = self._shelf.encoder(kind.codec, kind.ratio)
        codec = self._shelf.behind(codec, kind.codec, kind.receiver)
        weights = self._shelf.weights(kind.codec, kind.ratio, kind.receiver) if self.results.limit else ""
        said = f"{kind.codec}|{kind.ratio!r}|{kind.receiver}|{weights}|{kind.height}x{kind.width}"
        restored = Restoring(kind.codec, kind.receiver, kind.ratio, kind.height, kind.width)
        return self._receive(codec, jobs, said, restored)

    def _decode(self, kind: Decoding, jobs: Sequence[Job]) -> list[Pdu | Job]:
        """Receptions of others, of which there are symbols and noise variances alone."""
        codec = self._shelf.decoder(kind.header)
        if not kind.receiver:
            decoded = _run_codec(codec, _reception(kind, jobs))
            name = codebook.name_of(kind.header)
            return [answer(image, failed=lost, codec=name) for image, lost in _shown(decoded)]
        name, ratio = codebook.name_of(kind.header), codebook.ratio_of(kind.header)
        codec = self._shelf.behind(codec, name, kind.receiver)
        restored = Restoring(name, kind.receiver, ratio, kind.height, kind.width)
        shape = 3, kind.height, kind.width
        trips = [self._trip_of(job, kind, name, ratio) for job in jobs]
        rows = [replace(one, image_shape=shape) for one in (_reception(kind, [job]) for job in jobs)]
        moved = [
            job._replace(trip=replace(trip, received=row)) for job, trip, row in zip(jobs, trips, rows, strict=True)
        ]
        own = codebook.codec_name(kind.header.codec), getattr(codec, "ratio", ratio)
        weights = self._shelf.weights(*own, kind.receiver) if self.results.limit else ""
        return self._receive(codec, moved, f"{name}|{ratio!r}|{kind.receiver}|{weights}|{shape}", restored)

    def _trip_of(self, job: Job, kind: Decoding, name: str, ratio: float) -> Trip:
        assert job.trip is not None
        return replace(job.trip, codec=name, ratio=ratio, label=f"{name}{JOINT}{kind.receiver}")

    def _receive(self, codec: Codec, jobs: Sequence[Job], said: str, restored: Restoring) -> list[Pdu | Job]:
        """Decode what arrived, unless exactly this was received before; what is refined goes on to be restored."""
        keys = [self._result_key(job, said) for job in jobs]
        found = [None if key is None else self.results.get(key) for key in keys]
        missing = [i for i, one in enumerate(found) if one is None]
        done: dict[int, Pdu | Job] = {
            i: _finish(jobs[i], one, hit=True) for i, one in enumerate(found) if one is not None
        }
        if missing:
            here = [jobs[i]._replace(trip=replace(_trip(jobs[i]), result_key=keys[i])) for i in missing]
            whole = joined([_received(job) for job in here])
            done |= dict(zip(missing, self._decoded(codec, here, whole, restored), strict=True))
        return [done[i] for i in range(len(jobs))]

    def _decoded(
        self, codec: Codec, jobs: Sequence[Job], received: Received, restored: Restoring
    ) -> Sequence[Pdu | Job]:
        if not isinstance(codec, Refined):
            shown = _shown(_run_codec(codec, received))
            return [self._keep(job, one) for job, one in zip(jobs, shown, strict=True)]
        decoded, level = codec.receive(received)
        lost = _failures(decoded)
        next_jobs = []
        for i, job in enumerate(jobs):
            arrays = decoded.image[i].float().numpy(), level[i].float().numpy()
            trip = replace(_trip(job), failed=lost[i], restorer=codec)
            next_jobs.append(job._replace(kind=restored, arrays=arrays, trip=trip))
        return next_jobs

    def _restore(self, jobs: Sequence[Job]) -> list[Pdu | Job]:
        codec = _trip(jobs[0]).restorer
        assert isinstance(codec, Refined)
        image, level = (torch.from_numpy(np.stack([job.arrays[i] for job in jobs])) for i in (0, 1))
        failed = torch.tensor([_trip(job).failed for job in jobs])
        refined = codec.refine(Decoded(image, failed), level)
        b, c, h, w = image.shape
        check_decoded(refined, (b, c, h, w))
        shown = _shown(Decoded(refined, failed))
        return [self._keep(job, one) for job, one in zip(jobs, shown, strict=True)]

    def _result_key(self, job: Job, said: str) -> bytes | None:
        if not self.results.limit:
            return None
        got = _received(job)
        tensors = [one for one in (got.symbols, got.n0, got.bias, got.gain) if one is not None]
        return digest(*(one.resolve_conj().numpy() for one in tensors)) + f"{said}|{_trip(job).header!r}".encode()

    def _keep(self, job: Job, shown: _Shown) -> Pdu:
        key = _trip(job).result_key
        if key is not None:
            own = shown._replace(image=shown.image.copy())  # as in _encode
            self.results.put(key, own, own.image.nbytes + len(key) + ENTRY_BYTES)
        return _finish(job, shown, hit=False)


def _encode(codec: Codec, kind: Encoding, jobs: Sequence[Job]) -> list[_Encoded]:
    frame = codec.encode(as_images([job.arrays[0] for job in jobs]), esno_to_n0(kind.esno_db))
    check_frame(frame, len(jobs))
    symbols = frame.symbols.resolve_conj().numpy()
    budget = channel_uses((3, kind.height, kind.width), kind.ratio)
    if symbols.shape[1] > budget:
        raise ValueError(f"ratio={kind.ratio:g} is {budget} symbols; {kind.codec} makes {symbols.shape[1]}")
    number = codebook.codec_number(kind.codec)
    entries = [None] * len(jobs) if frame.header is None else frame.header
    headers = [
        BurstHeader(codec=number, mcs=mcs, height=kind.height, width=kind.width, symbols=symbols.shape[1])
        for mcs in scheme_numbers(kind.codec, frame)
    ]
    return [_Encoded(*each) for each in zip(headers, symbols, entries, strict=True)]


def _arrived(job: Job, received: Received) -> Job:
    trip, kind = _trip(job), job.kind
    assert isinstance(kind, Crossing)
    shape = 3, kind.height, kind.width
    header = None if trip.header is None else [trip.header]
    received = replace(received, image_shape=shape, header=header)
    next_kind = Arriving(trip.codec, trip.receiver, trip.ratio, kind.symbols, kind.height, kind.width)
    return job._replace(
        kind=next_kind, arrays=(job.arrays[0],), trip=replace(trip, received=received, slot=len(job.arrays))
    )


def _reception(kind: Decoding, jobs: Sequence[Job]) -> Received:
    symbols, n0 = (torch.from_numpy(np.stack([job.arrays[i] for job in jobs])) for i in (0, 1))
    return Received(symbols, n0, image_shape=(3, kind.height, kind.width))


def _run_codec(codec: Codec, received: Received) -> Decoded:
    decoded = codec.decode(received)
    decoded = Decoded(decoded) if isinstance(decoded, Tensor) else Decoded(*decoded)
    shape = received.image_shape
    check_decoded(decoded.image, None if shape is None else (len(received.symbols), *shape))
    check_marks(decoded, len(received.symbols))
    return decoded


def _failures(decoded: Decoded) -> list[bool]:
    return [False] * len(decoded.image) if decoded.failed is None else decoded.failed.tolist()


def _shown(decoded: Decoded) -> list[_Shown]:
    shown = decoded.image.float().numpy() if decoded.image.ndim == 2 else to_uint8(decoded.image)
    return [_Shown(*each) for each in zip(shown, _failures(decoded), strict=True)]


def _finish(job: Job, shown: _Shown, *, hit: bool) -> Pdu:
    return replace(_trip(job), failed=shown.failed, result_hit=hit).reply(shown.image, None)


def _trip(job: Job) -> Trip:
    assert job.trip is not None
    return job.trip


def _received(job: Job) -> Received:
    received = _trip(job).received
    assert received is not None
    return received
