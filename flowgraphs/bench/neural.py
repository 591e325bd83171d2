"""`semlink bench neural`: the neural codecs against plain PyTorch and against ONNX Runtime, in one run."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from rich.table import Table
from torch import Tensor

from semlink.flowgraphs.bench.plain_networks import plain
from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import BATCH_PIXELS, make_console
from semlink.neural import zoo
from semlink.neural.models import Network
from semlink.phy.channels import AWGN
from semlink.phy.devices import computing_on
from semlink.phy.link import Received
from semlink.phy.parallel import limited_threads

CODECS = ("deepjscc", "swin", "swin-gsc", "adjscc")
SIZES = ((32, 32), (512, 768))
REPEATS = 5
_N0 = 0.1

Action = Callable[[], object]


@dataclass(frozen=True)
class Speed:
    """One direction of one codec on one batch, in images a second.

    Attributes:
        what: codec and direction.
        batch: images at once, and their size.
        rate: ours.
        plain_rate: of the same network and weights as `semlink.flowgraphs.bench.plain_networks` has it.
        onnx_rate: of the same exported to ONNX Runtime; None where that is not installed.
        plain_ratio, onnx_ratio: `rate` over theirs.
    """

    what: str
    batch: str
    rate: float
    plain_rate: float
    onnx_rate: float | None
    plain_ratio: float
    onnx_ratio: float | None


def measure_neural(
    *, threads: int = 1, codecs: Sequence[str] = CODECS, sizes: Sequence[tuple[int, int]] = SIZES
) -> list[Speed]:
    """Those of the codecs that the zoo has, at ratio 1/6; a minute or two.

    Args:
        threads: of every contestant. One is measured in processor time, so that other work on the machine counts
            little, and is what each worker of `semlink compare` has; more are measured by the clock.
        codecs: names in the zoo.
        sizes: height and width of the images, of which a batch is as large as `semlink compare` makes it.

    Raises:
        ValueError: fewer threads than one.
    """
    if threads < 1:
        raise ValueError(f"threads={threads} must be at least 1")
    with limited_threads(threads), computing_on("cpu"):  # where ONNX Runtime is
        jobs = [(name, size) for name in codecs if name in zoo.names() for size in sizes]
        return [row for name, size in one_by_one(jobs, named=_words) for row in _measure(name, size, threads)]


def _words(job: tuple[str, tuple[int, int]]) -> str:
    name, (height, width) = job
    return f"{name}, {width}x{height}"


def run_neural(*, threads: int, as_json: bool) -> None:
    """`semlink bench neural`."""
    rows = measure_neural(threads=threads)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print_neural(rows, threads=threads)


def print_neural(rows: Sequence[Speed], *, threads: int = 1) -> None:
    """The table."""
    table = Table(title=f"neural codecs: images a second, {threads} thread{'s' * (threads > 1)}")
    for name in ("codec", "images", "ours", "plain", "ratio", "ONNX Runtime", "ratio"):
        table.add_column(name, justify="left" if name in ("codec", "images") else "right")
    for row in rows:
        onnx = ("", "") if row.onnx_rate is None else (f"{row.onnx_rate:.4g}", f"{row.onnx_ratio:.2f}")
        plainly = f"{row.plain_rate:.4g}", f"{row.plain_ratio:.2f}"
        table.add_row(row.what, row.batch, f"{row.rate:.4g}", *plainly, *onnx)
    make_console().print(table)


def fastest(actions: Mapping[str, Action], *, clock: Callable[[], float], repeats: int = REPEATS) -> dict[str, float]:
    """The least that each action takes by the clock, in seconds; they take turns, so that disturbances hit all alike.

    Each runs once before, to warm up.
    """
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(repeats):
        for name, action in actions.items():
            start = clock()
            action()
            taken[name].append(clock() - start)
    return {name: min(times) for name, times in taken.items()}


def _measure(name: str, size: tuple[int, int], threads: int) -> Iterator[Speed]:
    count = max(1, BATCH_PIXELS // (size[0] * size[1]))
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(count, 3, *size, generator=rng)
    ours = zoo.load(name, ratio=1 / 6)
    received = AWGN()(ours.encode(image, _N0).symbols, _N0, rng=rng)
    received = replace(received, image_shape=(3, *size))
    contestants = {"ours": _torch(ours, image, received), "plain": _torch(plain(ours), image, received)}
    try:
        contestants["onnx"] = _onnx(ours, image, received, threads)
    except ValueError as error:  # it is not installed
        make_console(stderr=True).print(f"left out: {error}", soft_wrap=True)
    clock = time.process_time if threads == 1 else time.perf_counter
    for i, direction in enumerate(("encode", "decode")):
        taken = fastest({who: actions[i] for who, actions in contestants.items()}, clock=clock)
        batch = f"{count} of {size[1]}x{size[0]}"
        yield _row(f"{name}, {direction}", batch, {who: count / spent for who, spent in taken.items()})


def _row(what: str, batch: str, rates: Mapping[str, float]) -> Speed:
    rate, onnx = rates["ours"], rates.get("onnx")
    return Speed(what, batch, rate, rates["plain"], onnx, rate / rates["plain"], rate / onnx if onnx else None)


def _torch(codec: Network, image: Tensor, received: Received) -> tuple[Action, Action]:
    return lambda: codec.encode(image, _N0), lambda: codec.decode(received)


def _onnx(codec: Network, image: Tensor, received: Received, threads: int) -> tuple[Action, Action]:
    """The same through files for images of this size.

    Raises:
        ValueError: onnx or onnxruntime is not installed.
    """
    from semlink.neural.onnx.codec import OnnxCodec
    from semlink.neural.onnx.export import export_codec

    with tempfile.TemporaryDirectory() as folder:
        export_codec(codec, folder, name="codec", size=(image.shape[2], image.shape[3]))
        exported = OnnxCodec(folder, "codec", threads=threads)
    pixels, symbols, n0 = image.numpy(), received.symbols.numpy(), received.n0.numpy()
    return lambda: exported.encode(pixels, _N0), lambda: exported.decode(symbols, n0)
