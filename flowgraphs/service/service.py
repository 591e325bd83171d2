"""The codecs as a service: requests in, replies out, what is alike in one batch. No sockets."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semlink.flowgraphs.comparison import BATCH_PIXELS
from semlink.flowgraphs.protocol import (
    DecodedClass,
    DecodedImage,
    EncodedImage,
    Pdu,
    carry_request,
    decode_request,
    encode_request,
    error_reply,
    read_classified,
    read_decoded,
    read_encoded,
    resident_bytes,
    with_id,
)
from semlink.flowgraphs.service.codecs import Shelf
from semlink.flowgraphs.service.jobs import Decoding, Encoding, Job, Made, Task, choose
from semlink.flowgraphs.service.lanes import Here, Lane, LostError, StaysError, said
from semlink.flowgraphs.service.making import Maker
from semlink.flowgraphs.service.record import Record
from semlink.flowgraphs.service.stages import Stages
from semlink.flowgraphs.service.trips import read_request, split_name
from semlink.flowgraphs.service.uplink import users_of
from semlink.neural import zoo
from semlink.neural.classifiers import TEACHERS, task_cards
from semlink.neural.diffusion import receiver_cards
from semlink.neural.prompts import prompt_cards
from semlink.phy.impairments import Medium
from semlink.phy.link import Codec
from semlink.phy.parallel import cores
from semlink.phy.waveform import BurstHeader

BATCH = 16
"""Requests that are served at once, at most."""

LARGE = 128**2
"""Pixels of an image that is worth all threads when nothing else is under way."""

Outcome = Pdu | Job
"""Of a stage: the reply, or the next stage's job."""


class Service:
    """Encodes, decodes and, over a channel, carries; codecs are loaded when they are first asked for.

    It has the `encode` and `decode` of `semlink.flowgraphs.protocol.WorkerClient`, so that a block may work
    with either. What an image gives does not depend on the batch it is in: bit for bit with a digital codec, to
    rounding errors of float32 with a neural one. One thread at a time.

    Args:
        batch: requests that are served at once, at most; fewer where images are large.
        threads: of the processor; None for as many as there are cores.
        own: codecs beside those of the package, by "user:48" to "user:63".
        channel: that images are carried over; None for none.
        seed: of its fades and noise.
        cache_bytes: of symbols, and as many of images, that are kept; 0 for none.
        lanes: who computes for each thread of a worker; none for that thread itself. They are this object's from now
            on, and as many as there are `threads`.
        makes: whether tasks of other services are done.

    Raises:
        ValueError: a limit below 1, or an own codec under another name.
    """

    def __init__(
        self,
        *,
        batch: int = BATCH,
        threads: int | None = None,
        own: Mapping[str, Codec] | None = None,
        channel: Medium | None = None,
        seed: int = 0,
        cache_bytes: int = 0,
        lanes: Sequence[Lane] = (),
        makes: bool = False,
    ) -> None:
        for name, value in (("batch", batch), ("threads", threads)):
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")
        self._here_threads = threads or cores()  # of PyTorch, for a large image alone
        self.batch, self.threads = batch, len(lanes) or self._here_threads
        self.pixels = self.threads * BATCH_PIXELS  # of what is done at once
        self.record = Record()
        self._shelf = Shelf(own or {}, channel)
        self.carries, self.makes = channel is not None, makes
        self.stages = Stages(self._shelf, 1 if channel is None else users_of(channel), cache_bytes)
        self.here = Here(Maker(self._shelf, channel, seed))
        self.lanes: list[Lane] = list(lanes) or [self.here] * self.threads
        self.concurrent, self._busy, self._lock = False, 0, threading.Lock()
        # Images are shared out between these, each on one core: PyTorch's own threads gain less from a batch.
        self._pool = ThreadPoolExecutor(
            self._here_threads, thread_name_prefix="semlink-service", initializer=torch.set_num_threads, initargs=(1,)
        )

    def join(self, lanes: Sequence[Lane]) -> None:
        """Have others compute beside those who do, each for one more thread of a worker that is still to be made."""
        self.lanes += lanes
        self.threads = len(self.lanes)
        self.pixels = self.threads * BATCH_PIXELS

    def handle(self, requests: Sequence[Pdu], lane: Lane | None = None) -> list[Pdu]:
        """The replies, in the order of the requests. One that cannot be served gets an "error", alone.

        Args:
            requests: of any kind.
            lane: who computes; None for this thread.
        """
        began = time.perf_counter()
        replies: dict[int, Pdu] = {}
        jobs: dict[int, Job] = {}
        for i, request in enumerate(requests):
            try:
                if request.meta.get("op") == "status":
                    replies[i] = with_id(Pdu({"op": "status", "queue": 0, **self.record.summary()}), _id(request))
                else:
                    jobs[i] = self.read(request)
            except ValueError as error:
                self.record.refused += 1
                replies[i] = with_id(error_reply(str(error)), _id(request))
        while jobs:
            rows = self.choose(jobs)
            batch = [jobs.pop(row) for row in rows]
            self.record.batches.append(len(batch))
            for row, job, outcome in zip(rows, batch, self.run(batch, lane), strict=True):
                if isinstance(outcome, Job):
                    jobs[row] = outcome
                    continue
                replies[row] = outcome
                self.record.count(job.op, time.perf_counter() - began, refused=outcome.meta["op"] == "error")
        return [replies[i] for i in range(len(requests))]

    def read(self, request: Pdu) -> Job:
        """The first job of a request, for which there are a codec and receivers.

        Raises:
            ValueError: an op that is none, something missing, a value that makes no sense, or a codec, ratio or
                receiver that is not there.
        """
        job = read_request(request, carries=self.carries, makes=self.makes)
        receiver = job.trip.receiver if job.trip else ""
        if isinstance(job.kind, Encoding):
            self._shelf.check(job.kind.codec, job.kind.ratio, receiver)
        elif isinstance(job.kind, Decoding):
            self._shelf.check_header(job.kind.header, receiver)
        return job

    def choose(self, waiting: Mapping[int, Job]) -> list[int]:
        """The keys of the next batch of jobs that wait, the oldest first; `concurrent`, of one that one thread runs."""
        return choose(waiting, batch=self.batch, pixels=BATCH_PIXELS if self.concurrent else self.pixels)

    def run(self, jobs: Sequence[Job], lane: Lane | None = None) -> Sequence[Outcome]:
        """What becomes of jobs of one kind: replies, not in the record, or the jobs of the next stage.

        Where one makes the batch fail, each is served alone.

        Args:
            jobs: of one kind.
            lane: who computes; None for this thread.

        Raises:
            LostError: whoever had them is gone.
        """
        with self._lock:
            self._busy += 1
        began = time.perf_counter()
        try:
            return self._run(jobs, lane or self.here)
        finally:
            with self._lock:
                self._busy -= 1
                self.record.stages_s[jobs[0].stage] += time.perf_counter() - began

    def encode(self, image: NDArray[np.uint8], *, codec: str, esno_db: float, ratio: float = 1 / 6) -> EncodedImage:
        """The symbols of an image, 8-bit RGB levels (h, w, 3); see `encode_request`.

        Raises:
            ValueError: an image, codec or ratio that cannot be.
        """
        return read_encoded(self._ask(encode_request(image, codec=codec, ratio=ratio, esno_db=esno_db)))

    def decode(self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any]) -> DecodedImage:
        """The image of a frame: its header, symbols (n,) and the noise variance of each (n,); see `decode_request`.

        Raises:
            ValueError: a header that makes no sense, or other than header.symbols symbols.
        """
        return read_decoded(self._ask(decode_request(header, symbols, n0)))

    def classify(
        self, header: BurstHeader, symbols: NDArray[Any], n0: NDArray[Any], *, receiver: str = ""
    ) -> DecodedClass:
        """The class of a frame, as `decode`; of a codec of images by a `receiver` such as "classify:tiniest".

        Raises:
            ValueError: as `decode`, or what is decoded is an image.
        """
        return read_classified(self._ask(decode_request(header, symbols, n0, receiver=receiver)))

    def warm(self, codec: str, esno_db: float = 10.0) -> None:
        """Load a codec with its receivers and carry a small image, so that the first user finds everything in place.

        Raises:
            ValueError: no such codec, or no channel.
        """
        self._everywhere(lambda lane, i: self._carry(codec, esno_db, lane, i))

    def one_image_s(self, codec: str, esno_db: float = 10.0) -> float:
        """How long a small image takes from end to end when there is no other and everything is in place.

        Raises:
            ValueError: no such codec, or no channel.
        """
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            self._carry(codec, esno_db, self.lanes[0], 0)
            taken.append(time.perf_counter() - began)
            self._start_anew()
        return min(taken)

    def preload(self, codec: str) -> None:
        """Load a codec with its receivers and send a small image through them, so that all is in place.

        Raises:
            ValueError: no such codec or receiver.
        """
        name, receiver = split_name(codec)
        ratio = self._shelf.usual_ratio(name)

        def send(lane: Lane, i: int) -> None:
            asked = encode_request(_ramp(i), codec=name, ratio=ratio, esno_db=10)
            sent = read_encoded(self._ask(asked, lane))
            n0 = np.full(len(sent.symbols), 0.1)
            self._ask(decode_request(sent.header, sent.symbols, n0, receiver=receiver), lane)

        self._everywhere(send)

    @cached_property
    def build(self) -> str:
        """What makes the numbers that come out: another one with other weights, or versions of semlink or PyTorch."""
        kinds: Sequence[Mapping[str, Any]] = (zoo.cards(), receiver_cards(), task_cards(), TEACHERS, prompt_cards())
        weights = sorted(f"{name} {one.sha256}" for kind in kinds for name, one in kind.items())
        return hashlib.sha256("\n".join([_version(), torch.__version__, *weights]).encode()).hexdigest()

    @property
    def cpu_s(self) -> float:
        """Processor time of this process and of those of its lanes, in seconds."""
        return time.process_time() + sum(lane.cpu_s for lane in dict.fromkeys(self.lanes))

    @property
    def memory_bytes(self) -> int:
        """Of this process and of those of its lanes; what they share is counted for each."""
        return resident_bytes() + sum(lane.memory_bytes for lane in dict.fromkeys(self.lanes))

    def close(self) -> None:
        """Let the threads and lanes go."""
        self._pool.shutdown()
        for lane in dict.fromkeys(self.lanes):
            lane.close()

    def _everywhere(self, do: Callable[[Lane, int], None]) -> None:
        """By every process at once, since each has codecs of its own; in this one once."""
        lanes = list(dict.fromkeys(self.lanes))
        with ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(do, lanes, range(len(lanes))))
        self._start_anew()

    def _carry(self, codec: str, esno_db: float, lane: Lane, i: int) -> None:
        ratio = self._shelf.usual_ratio(codec.partition("+")[0])
        self._ask(carry_request(_ramp(i), codec=codec, ratio=ratio, esno_db=esno_db), lane)

    def _start_anew(self) -> None:
        self.record = Record()
        self.stages.forget()

    def _ask(self, request: Pdu, lane: Lane | None = None) -> Pdu:
        try:
            reply = self.handle([request], lane)[0]
        except LostError as error:
            raise ValueError(str(error)) from error
        if reply.meta["op"] == "error":
            raise ValueError(str(reply.meta["message"]))
        return reply

    def _run(self, jobs: Sequence[Job], lane: Lane) -> Sequence[Outcome]:
        try:
            outcomes = self._share(jobs, lane)
        except LostError:
            raise
        except Exception as error:  # whatever it is, the service goes on, and who asked is told
            if len(jobs) > 1:
                return [outcome for job in jobs for outcome in self._run([job], lane)]
            outcomes = [error_reply(said(error))]
        return [one if isinstance(one, Job) else with_id(one, job.id) for one, job in zip(outcomes, jobs, strict=True)]

    def _share(self, jobs: Sequence[Job], lane: Lane) -> list[Outcome]:
        """The stage, by all threads: one image by those of PyTorch, several shared out between ours."""
        if self.concurrent or lane is not self.here:
            alone = len(jobs) == 1 and self._busy == 1 and jobs[0].pixels >= LARGE
            return self.stages.run(jobs, self._by(lane), self._here_threads if alone else 1)
        if self._here_threads == 1 or len(jobs) == 1:
            return self.stages.run(jobs, lane.make, self._here_threads)
        size = -(-len(jobs) // self._here_threads)
        parts = [jobs[i : i + size] for i in range(0, len(jobs), size)]
        return [one for each in self._pool.map(lambda part: self.stages.run(part, lane.make, 1), parts) for one in each]

    def _by(self, lane: Lane) -> Callable[[Task], Made]:
        """Does tasks by a lane, and by this thread what is not for that."""

        def make(task: Task) -> Made:
            try:
                return lane.make(task)
            except StaysError:
                return self.here.make(task)

        return make


def _version() -> str:
    try:
        return version("semlink")
    except PackageNotFoundError:
        return "from a tree that is not installed"


def _ramp(i: int) -> NDArray[np.uint8]:
    """A small image, another one for each i: no lane is to find in a cache what another has done."""
    ramp: NDArray[np.uint8] = np.full((32, 32, 3), i % 256, np.uint8)
    ramp += (np.add.outer(np.arange(32), np.arange(32))[:, :, None] * np.array([4, 3, 2])).astype(np.uint8)
    return ramp


def _id(request: Pdu) -> Any:  # noqa: ANN401
    return request.meta.get("id")
