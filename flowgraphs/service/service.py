"""The codecs as a service: requests of the radio side in, replies out, what is alike in one batch. No sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.comparison import BATCH_PIXELS
from semlink.flowgraphs.protocol import (
    DecodedImage,
    EncodedImage,
    Pdu,
    codebook,
    decode_request,
    decoded_reply,
    encode_request,
    encoded_reply,
    error_reply,
    read_decoded,
    read_encoded,
    with_id,
)
from semlink.flowgraphs.service.codecs import Shelf, scheme_numbers
from semlink.flowgraphs.service.jobs import Decoding, Encoding, Job, choose, read_job
from semlink.flowgraphs.service.record import Record
from semlink.phy.link import Codec, Decoded, Received, channel_uses, check_decoded, check_frame, esno_to_n0
from semlink.phy.parallel import cores
from semlink.phy.waveform import BurstHeader

BATCH = 16
"""Requests that are served at once, at most."""

Part = TypeVar("Part")
Result = TypeVar("Result")


class Service:
    """Encodes and decodes for the radio side; codecs are loaded when they are first asked for.

    It has the `encode` and `decode` of `semlink.flowgraphs.protocol.WorkerClient`, so that a block may work
    with either. What an image gives does not depend on the batch it is in: bit for bit with a digital codec, to
    rounding errors of float32 with a neural one. One thread at a time.

    Args:
        batch: requests that are served at once, at most; fewer where images are large.
        threads: of the processor; None for as many as there are cores.
        own: codecs beside those of the package, by "user:48" to "user:63".

    Raises:
        ValueError: a limit below 1, or an own codec under another name.
    """

    def __init__(
        self, *, batch: int = BATCH, threads: int | None = None, own: Mapping[str, Codec] | None = None
    ) -> None:
        for name, value in (("batch", batch), ("threads", threads)):
            if value is not None and value < 1:
                raise ValueError(f"{name}={value} must be 1 or more")
        self.batch, self.threads = batch, threads or cores()
        self.record = Record()
        self._shelf = Shelf(own or {})
        # Images are shared out between these, each on one core: PyTorch's own threads gain less from a batch.
        self._pool = ThreadPoolExecutor(
            self.threads, thread_name_prefix="semlink-service", initializer=torch.set_num_threads, initargs=(1,)
        )

    def handle(self, requests: Sequence[Pdu]) -> list[Pdu]:
        """The replies, in the order of the requests. One that cannot be served gets an "error", alone."""
        began = time.perf_counter()
        replies: dict[int, Pdu] = {}
        jobs: dict[int, Job] = {}
        for i, request in enumerate(requests):
            try:
                if request.meta.get("op") == "status":
                    replies[i] = with_id(Pdu({"op": "status", "queue": 0, **self.record.summary()}), _id(request))
                else:
                    jobs[i] = read_job(request)
            except ValueError as error:
                self.record.refused += 1
                replies[i] = with_id(error_reply(str(error)), _id(request))
        while jobs:
            rows = self.choose(jobs)
            batch = [jobs.pop(row) for row in rows]
            self.record.batches.append(len(batch))
            for row, job, reply in zip(rows, batch, self.run(batch), strict=True):
                replies[row] = reply
                self.record.count(job.op, time.perf_counter() - began, refused=reply.meta["op"] == "error")
        return [replies[i] for i in range(len(requests))]

    def choose(self, waiting: Mapping[int, Job]) -> list[int]:
        """The keys of the next batch of jobs that wait, the oldest first."""
        return choose(waiting, batch=self.batch, pixels=self.threads * BATCH_PIXELS)

    def run(self, jobs: Sequence[Job]) -> list[Pdu]:
        """The replies to jobs of one kind, not in the record. Where one makes the batch fail, each is served alone."""
        try:
            replies = self._run(jobs)
        except Exception as error:  # whatever it is, the service goes on, and who asked is told
            if len(jobs) > 1:
                return [reply for job in jobs for reply in self.run([job])]
            replies = [error_reply(_said(error))]
        return [with_id(reply, job.id) for reply, job in zip(replies, jobs, strict=True)]

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

    def preload(self, codec: str) -> None:
        """Load a codec and send a small image through it, so that the first request finds everything in place.

        Raises:
            ValueError: no such codec.
        """
        ramp = np.add.outer(np.arange(32), np.arange(32))[:, :, None] * np.array([4, 3, 2])
        sent = self.encode(ramp.astype(np.uint8), codec=codec, ratio=self._shelf.usual_ratio(codec), esno_db=10)
        self.decode(sent.header, sent.symbols, np.full(len(sent.symbols), 0.1))
        self.record = Record()

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown()

    def _ask(self, request: Pdu) -> Pdu:
        reply = self.handle([request])[0]
        if reply.meta["op"] == "error":
            raise ValueError(str(reply.meta["message"]))
        return reply

    def _run(self, jobs: Sequence[Job]) -> list[Pdu]:
        kind = jobs[0].kind
        if isinstance(kind, Encoding):
            encoder = self._shelf.encoder(kind.codec, kind.ratio)
            return self._share(lambda part: _encode(encoder, kind, part), jobs)
        decoder = self._shelf.decoder(kind.header)
        return self._share(lambda part: _decode(decoder, kind, part), jobs)

    def _share(self, work: Callable[[Sequence[Job]], list[Pdu]], jobs: Sequence[Job]) -> list[Pdu]:
        """`work(jobs)`, by all threads: one image by those of PyTorch, several shared out between ours."""
        if self.threads == 1 or len(jobs) == 1:
            torch.set_num_threads(self.threads)
            return work(jobs)
        size = -(-len(jobs) // self.threads)
        parts = [jobs[i : i + size] for i in range(0, len(jobs), size)]
        return [reply for replies in self._pool.map(work, parts) for reply in replies]


def _encode(codec: Codec, kind: Encoding, jobs: Sequence[Job]) -> list[Pdu]:
    pixels = torch.from_numpy(np.stack([job.arrays[0] for job in jobs]))
    image = pixels.permute(0, 3, 1, 2).float() / 255  # (b, 3, h, w)
    with torch.no_grad():
        frame = codec.encode(image, esno_to_n0(kind.esno_db))
    check_frame(frame, len(jobs))
    symbols = frame.symbols.resolve_conj().numpy()
    budget = channel_uses((3, kind.height, kind.width), kind.ratio)
    if symbols.shape[1] > budget:
        raise ValueError(f"ratio={kind.ratio:g} is {budget} symbols; {kind.codec} makes {symbols.shape[1]}")
    number = codebook.codec_number(kind.codec)
    schemes = scheme_numbers(kind.codec, frame)
    headers = [
        BurstHeader(codec=number, mcs=mcs, height=kind.height, width=kind.width, symbols=symbols.shape[1])
        for mcs in schemes
    ]
    return [encoded_reply(header, row) for header, row in zip(headers, symbols, strict=True)]


def _decode(codec: Codec, kind: Decoding, jobs: Sequence[Job]) -> list[Pdu]:
    symbols, n0 = (torch.from_numpy(np.stack([job.arrays[i] for job in jobs])) for i in (0, 1))
    received = Received(symbols, n0, image_shape=(3, kind.height, kind.width))
    with torch.no_grad():
        decoded = codec.decode(received)
    decoded = Decoded(decoded) if isinstance(decoded, torch.Tensor) else Decoded(*decoded)
    check_decoded(decoded.image)
    failed = [False] * len(jobs) if decoded.failed is None else decoded.failed.tolist()
    name = codebook.name_of(kind.header)
    images = to_uint8(decoded.image)
    return [decoded_reply(image, failed=lost, codec=name) for image, lost in zip(images, failed, strict=True)]


def _id(request: Pdu) -> Any:  # noqa: ANN401
    return request.meta.get("id")


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
