"""`semlink bench receivers`: what steps and samplers of a receiver cost and bring, and how fast the networks are."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import torch
from jaxtyping import Float
from rich.table import Table
from torch import Tensor

from semlink.flowgraphs.bench.neural import fastest
from semlink.flowgraphs.bench.timing import one_by_one
from semlink.flowgraphs.comparison import compare, installed_metrics, make_console, named, psnr_margin
from semlink.flowgraphs.specs import DEFAULT_MCS, JOINT, make_channel, make_codecs, split_codec
from semlink.neural.diffusion import CONFIGS, SFT, Refiner, SymbolDenoiser, build_receiver, find_receiver, read_receiver
from semlink.neural.models import parameters
from semlink.phy.devices import chosen_device
from semlink.phy.link import Channel, Codec, InformedCodec, Link
from semlink.phy.parallel import limited_threads
from semlink.phy.rng import image_rngs
from semlink.phy.sources import cifar10

DENOISER_STEPS = (1, 2, 5, 10)
BATCH = 128  # images of 32×32 at once, for the speed
TARGET = 40  # images of 32×32 a second on two cores


@dataclass(frozen=True)
class Quality:
    """One way of receiving, over the same images and noise.

    Attributes:
        codec: as `semlink compare --codec` takes it.
        psnr_db: from the mean squared error.
        margin_db: PSNR above the codec alone; `margin_low` and `margin_high` are its 95 % interval.
        st_lpips: their mean; None where the metric is not installed.
        images_per_s: decoded, receiver included.
    """

    codec: str
    psnr_db: float
    margin_db: float
    margin_low: float
    margin_high: float
    st_lpips: float | None
    images_per_s: float


@dataclass(frozen=True)
class Size:
    """A refiner of the catalogue, with random weights: its speed does not depend on them.

    Attributes:
        model: its name.
        parameters: as a receiver, without what only training needs.
        megabytes: of those parameters in float32.
        images_per_s: of 32×32, refined in batches of `BATCH`.
    """

    model: str
    parameters: int
    megabytes: float
    images_per_s: float


def ways(text: str) -> list[str]:
    """The codec alone, and CODEC+RECEIVER with every number of steps and sampler that the receiver has.

    Raises:
        ValueError: not one codec with one receiver without options, or an unknown receiver.
    """
    codec, receivers = split_codec(text)
    if len(receivers) != 1 or receivers[0].options:
        raise ValueError(f"--codec {text!r} must be CODEC{JOINT}RECEIVER, one receiver without options")
    model = read_receiver(*find_receiver(receivers[0].name, codec=codec))
    return [codec, *(f"{text}{options}" for options in _options(model))]


def _options(model: Refiner | SymbolDenoiser) -> list[str]:
    if isinstance(model, SymbolDenoiser):
        return [f":steps={steps}" for steps in DENOISER_STEPS]
    if not isinstance(model, SFT):
        return [""]
    most = model.schedule.steps
    few = [f":steps={steps},sampler=ddim" for steps in range(1, most + 1)]
    return [*few, f":steps={most},sampler=mean", f":steps={most},sampler=ancestral"]


def measure_quality(
    text: str,
    images: Float[Tensor, "b 3 h w"],
    channel: Channel,
    esno_db: float,
    *,
    progress: Callable[[], None] = lambda: None,
) -> list[Quality]:
    """The codec alone and every way of receiving by CODEC+RECEIVER, over the same noise: quality and speed.

    Raises:
        ValueError: what `ways` and `make_codecs` raise.
    """
    codecs = make_codecs(ways(text), ratio=1 / 6, mcs=DEFAULT_MCS, channel=channel)
    outcome = compare(named(images), codecs, channel, [esno_db], metrics=installed_metrics(), progress=progress)
    speeds = _decoding_speeds(codecs, images[:BATCH], channel, esno_db)
    alone = outcome.errors[next(iter(codecs)), esno_db]
    rows = []
    for row in outcome.table.to_dict(orient="records"):
        name, distance = row["codec"], float(row["st_lpips"])
        margin = psnr_margin(outcome.errors[name, esno_db], alone)
        known = distance if math.isfinite(distance) else None
        rows.append(Quality(name, row["psnr_db"], margin.value, margin.low, margin.high, known, speeds[name]))
    return rows


def _decoding_speeds(
    codecs: Mapping[str, Codec | InformedCodec], images: Tensor, channel: Channel, esno_db: float
) -> dict[str, float]:
    """Images a second of each codec's decoder, on as many cores as PyTorch has threads."""
    actions = {}
    for name, codec in codecs.items():
        link = Link(codec, channel, clips=True)
        rng = image_rngs(0, images)
        frame = link.encode(images, esno_db, rng=rng)
        c, h, w = images.shape[1:]
        received = channel(frame.symbols, 10 ** (-esno_db / 10), rng=rng)
        received = replace(received, image_shape=(c, h, w), header=frame.header)
        actions[name] = lambda codec=codec, received=received: codec.decode(received)
    taken = fastest(actions, clock=_clock(), repeats=2)
    return {name: len(images) / spent for name, spent in taken.items()}


def measure_sizes(names: Sequence[str] = (*CONFIGS, "residual-cnn")) -> list[Size]:
    """Parameters and speed of the refiners, on as many cores as PyTorch has threads."""
    return list(_sizes(names))


def _sizes(names: Sequence[str]) -> Iterator[Size]:
    image, level = torch.rand(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.ones(BATCH, 1)
    for name in one_by_one(names):
        model = build_receiver(name, {}).eval().requires_grad_(False).to(chosen_device())
        assert isinstance(model, Refiner)
        count = parameters(model) - (parameters(model.oracle) if isinstance(model, SFT) else 0)
        rngs = [torch.Generator().manual_seed(i) for i in range(BATCH)]
        few = 1 if name == "sft-paper" else 2
        actions = {name: lambda model=model, rngs=rngs: model.refine(image, level, rng=rngs)}
        spent = fastest(actions, clock=_clock(), repeats=few)[name]
        yield Size(name, count, 4 * count / 1e6, BATCH / spent)


def _clock() -> Callable[[], float]:
    """Processor time of one thread, so that other work on the machine counts little; of several or a GPU, the clock."""
    alone = torch.get_num_threads() == 1 and chosen_device() == "cpu"
    return time.process_time if alone else time.perf_counter


def run_receivers(*, codec: str | None, channel: str, esno_db: float, images: int, threads: int, as_json: bool) -> None:
    """`semlink bench receivers`.

    Raises:
        ValueError: no such codec or channel, fewer threads than one, or CIFAR-10 is not to be had.
    """
    over = make_channel(channel, coherence=None, csi=None, equaliser=None)
    if not 1 <= images <= 10_000:
        raise ValueError(f"--images {images} must be from 1 to 10000")
    if threads < 1:
        raise ValueError(f"--threads {threads} must be at least 1")
    with limited_threads(threads):
        quality = [] if codec is None else measure_quality(codec, cifar10("test")[:images], over, esno_db)
        sizes = measure_sizes()
    if as_json:
        told = {"quality": [asdict(row) for row in quality], "networks": [asdict(row) for row in sizes]}
        print(json.dumps(told | {"threads": threads}, indent=2))
        return
    console = make_console()
    if quality:
        title = f"{images} images of CIFAR-10's test set, {channel}, {esno_db:g} dB, ratio 1/6"
        console.print(quality_table(quality, title))
    console.print(size_table(sizes, threads))


def quality_table(rows: Sequence[Quality], title: str) -> Table:
    """Quality and latency of every way of receiving."""
    table = Table(title=title)
    for name in ("codec", "PSNR (dB)", "above the codec alone (dB)", "ST-LPIPS", "decoded images/s"):
        table.add_column(name, justify="left" if name == "codec" else "right")
    for row in rows:
        known = math.isfinite(row.margin_low) and row is not rows[0]
        interval = f" ({row.margin_low:+.3f} … {row.margin_high:+.3f})" if known else ""
        distance = "–" if row.st_lpips is None else f"{row.st_lpips:.4f}"
        margin = f"{row.margin_db:+.3f}{interval}"
        table.add_row(row.codec, f"{row.psnr_db:.2f}", margin, distance, f"{row.images_per_s:.4g}")
    return table


def size_table(rows: Sequence[Size], threads: int) -> Table:
    """Parameters and speed of the refiners."""
    table = Table(title=f"refiners on {threads} thread{'s' * (threads > 1)}; the target of sft on two is {TARGET}")
    for name in ("network", "parameters", "MB (float32)", "images/s, 32x32"):
        table.add_column(name, justify="left" if name == "network" else "right")
    for row in rows:
        table.add_row(row.model, f"{row.parameters:,}", f"{row.megabytes:.1f}", f"{row.images_per_s:.4g}")
    return table
