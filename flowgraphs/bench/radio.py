"""`semlink bench radio`: the codecs through a worker process, and the burst receivers, as a flowgraph meets them."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from semlink.baselines.separate import to_uint8
from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import make_console
from semlink.flowgraphs.protocol import (
    EncodedImage,
    Pdu,
    WorkerClient,
    decode_request,
    encode_request,
    read_decoded,
    read_encoded,
)
from semlink.flowgraphs.specs import check_count
from semlink.phy.documents import write_whole
from semlink.phy.parallel import cores
from semlink.phy.sources import sample_images
from semlink.phy.waveform import ReceiverSpeed

CODECS = ("deepjscc", "swin")
SIDE = 256
"""Pixels a side of the images."""
IMAGES = 32
"""That are asked for at once."""
PASSES = 3
CALLS = 10
"""Images sent one after another, whose latency is measured."""
_ESNO_DB = 10.0
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class CodecSpeed:
    """One codec through a worker, at ratio 1/6.

    Attributes:
        codec: its name.
        size: of the images.
        images: asked for at once, for the throughput.
        encode_symbols_per_s: complex symbols a second by the clock, with requests and replies.
        decode_symbols_per_s: the same of the decoder.
        encode_symbols_per_core_s: symbols for each second of one core that the worker took, whatever else ran.
        decode_symbols_per_core_s: the same of the decoder.
        encode_ms: from request to reply of one image alone, median.
        decode_ms: the same of the decoder.
        end_to_end_ms: both, one after the other, of the same image: median.
        end_to_end_worst_ms: the longest of them.
    """

    codec: str
    size: str
    images: int
    encode_symbols_per_s: float
    decode_symbols_per_s: float
    encode_symbols_per_core_s: float
    decode_symbols_per_core_s: float
    encode_ms: float
    decode_ms: float
    end_to_end_ms: float
    end_to_end_worst_ms: float


@dataclass(frozen=True)
class RadioSpeed:
    """All of it.

    Attributes:
        cores: that this process and the worker share.
        threads: of the worker.
        codecs: through the worker.
        receivers: of bursts, on one core.
    """

    cores: int
    threads: int
    codecs: Sequence[CodecSpeed]
    receivers: Sequence[ReceiverSpeed]


def measure_radio(
    *,
    threads: int | None = None,
    codecs: Sequence[str],
    side: int,
    images: int,
    calls: int,
) -> RadioSpeed:
    """All the figures; half a minute with `CODECS`, `SIDE`, `IMAGES` and `CALLS`.

    Args:
        threads: of the worker; None for as many as there are cores.
        codecs: by name.
        side: of the images in pixels.
        images: asked for at once.
        calls: images whose latency is measured.

    Raises:
        ValueError: a worker that does not start with these options.
    """
    count = threads or cores()
    pictures = _pictures(side, images)
    options = [f"--threads={count}", *(f"--codec={name}" for name in codecs)]
    with worker_process(options) as address, WorkerClient(address, timeout_s=_TIMEOUT_S, most=images) as client:
        speeds = [_measure(client, name, pictures, calls) for name in one_by_one(codecs)]
    return RadioSpeed(cores=cores(), threads=count, codecs=speeds, receivers=_receivers())


def run_radio(*, threads: int | None, as_json: bool, out: Path | None) -> None:
    """`semlink bench radio`.

    Raises:
        ValueError: threads below 1.
    """
    check_count("--threads", threads, 1)
    speed = measure_radio(threads=threads, codecs=CODECS, side=SIDE, images=IMAGES, calls=CALLS)
    text = json.dumps(asdict(speed), indent=2)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(out, text + "\n")
    if as_json:
        print(text)
    else:
        print_radio(speed)


def print_radio(speed: RadioSpeed) -> None:
    """The tables."""
    table = Table(title=f"Msymbol/s through a worker of {speed.threads} threads, {speed.cores} cores in all")
    table.add_column("codec", no_wrap=True)
    table.add_column("images", overflow="fold")
    for name in ("encode", "a core", "decode", "a core", "one image, ms", "longest"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in speed.codecs:
        both = one.encode_symbols_per_s, one.encode_symbols_per_core_s
        rates = [f"{rate / 1e6:.2f}" for rate in (*both, one.decode_symbols_per_s, one.decode_symbols_per_core_s)]
        times = f"{one.encode_ms:.0f} + {one.decode_ms:.0f} = {one.end_to_end_ms:.0f}", f"{one.end_to_end_worst_ms:.0f}"
        table.add_row(one.codec, f"{one.images} of {one.size}", *rates, *times)
    make_console().print(table)
    table = Table(title="burst receivers, one core")
    for name in ("waveform", "Msample/s", "Msymbol/s", "noise alone, Msample/s", "transmitter, Msample/s", "bursts"):
        table.add_column(name, justify="left" if name == "waveform" else "right")
    for row in speed.receivers:
        figures = row.samples_per_s, row.symbols_per_s, row.idle_samples_per_s, row.transmit_samples_per_s
        table.add_row(row.what, *(f"{rate / 1e6:.2f}" for rate in figures), f"{row.found} of {row.bursts}")
    make_console().print(table)


@contextmanager
def worker_process(options: Sequence[str] = (), *, command: str = "worker") -> Iterator[str]:
    """A worker, or with "serve" a service, in a process of its own, on a port that is free; gives its address, and ends
    it afterwards.

    Raises:
        ValueError: it does not start; the message is its own.
    """
    words = [sys.executable, "-m", "semlink.flowgraphs", command, "--address", "tcp://127.0.0.1:*", *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        if not first:
            raise ValueError(f"{command}: {process.communicate()[1].strip()}")
        try:
            yield first.split()[-1]
        finally:
            process.terminate()
            process.communicate()


def _receivers() -> list[ReceiverSpeed]:
    """Measured in a process whose linear algebra has one thread: more would wait for each other, and burn a core."""
    code = "import json; from semlink.phy.waveform.speed import measure_receivers as measure\n"
    code += "print(json.dumps([vars(row) for row in measure()]))"
    alone = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **alone}, check=True, stdout=subprocess.PIPE, text=True
    )
    return [ReceiverSpeed(**row) for row in json.loads(done.stdout)]


def _pictures(side: int, count: int) -> list[NDArray[np.uint8]]:
    """Cut from the sample photographs, each from another place."""
    whole = to_uint8(sample_images())
    rooms = whole.shape[1] - side, whole.shape[2] - side
    rng = np.random.default_rng(0)
    corners = [tuple(int(rng.integers(room + 1)) for room in rooms) for _ in range(count)]
    return [whole[i % len(whole), top : top + side, left : left + side] for i, (top, left) in enumerate(corners)]


def _measure(client: WorkerClient, codec: str, pictures: Sequence[NDArray[np.uint8]], calls: int) -> CodecSpeed:
    asked = [encode_request(image, codec=codec, ratio=1 / 6, esno_db=_ESNO_DB) for image in pictures]
    sent = [read_encoded(reply) for reply in _ask_all(client, asked)]
    back = [_decoding(one) for one in sent]
    symbols = sum(one.header.symbols for one in sent)
    encoding, decoding = (_take_time(client, these) for these in (asked, back))
    times = np.array([_one(client, codec, pictures[i % len(pictures)]) for i in range(calls)])  # (calls, 2)
    height, width, _ = pictures[0].shape
    return CodecSpeed(
        codec=codec,
        size=f"{width}x{height}",
        images=len(pictures),
        encode_symbols_per_s=symbols / encoding[0],
        decode_symbols_per_s=symbols / decoding[0],
        encode_symbols_per_core_s=symbols / encoding[1],
        decode_symbols_per_core_s=symbols / decoding[1],
        encode_ms=statistics.median(times[:, 0].tolist()),
        decode_ms=statistics.median(times[:, 1].tolist()),
        end_to_end_ms=statistics.median(times.sum(axis=1).tolist()),
        end_to_end_worst_ms=float(times.sum(axis=1).max()),
    )


def _take_time(client: WorkerClient, requests: Sequence[Pdu]) -> tuple[float, float]:
    """Seconds for all of them by the clock and of the worker's processor time: the least of some goes each."""
    clock, processor = [], []
    for _ in range(PASSES):
        before, begin = float(client.status()["cpu_s"]), time.perf_counter()
        _ask_all(client, requests)
        clock.append(time.perf_counter() - begin)
        processor.append(float(client.status()["cpu_s"]) - before)
    return min(clock), min(processor)


def _ask_all(client: WorkerClient, requests: Sequence[Pdu]) -> list[Pdu]:
    """The replies to requests sent together, in their order."""
    ids = [client.submit(request) for request in requests]
    replies: dict[object, Pdu] = {}
    while len(replies) < len(ids):
        reply = client.poll(_TIMEOUT_S)
        if reply is not None:
            if reply.meta["op"] == "error":
                raise ValueError(str(reply.meta["message"]))
            replies[reply.meta["id"]] = reply
    return [replies[id] for id in ids]


def _one(client: WorkerClient, codec: str, image: NDArray[np.uint8]) -> tuple[float, float]:
    """Milliseconds of encoding and of decoding."""
    begin = time.perf_counter()
    sent = read_encoded(client.call(encode_request(image, codec=codec, ratio=1 / 6, esno_db=_ESNO_DB)))
    middle = time.perf_counter()
    read_decoded(client.call(_decoding(sent)))
    return 1e3 * (middle - begin), 1e3 * (time.perf_counter() - middle)


def _decoding(sent: EncodedImage) -> Pdu:
    """The request to decode it, after noise as expected."""
    n0, n = 10 ** (-_ESNO_DB / 10), sent.header.symbols
    noise = np.random.default_rng(0).standard_normal((n, 2)) @ [1, 1j] * np.sqrt(n0 / 2)
    return decode_request(sent.header, sent.symbols + noise, np.full(n, n0))
