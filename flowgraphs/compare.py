"""The comparison: the same images through several codecs over one channel, over a range of Es/N0."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.phy import metrics
from semlink.phy.link import Channel, Codec, Link, Transmission, check_image
from semlink.phy.rng import image_rngs

BATCH_PIXELS = 1 << 19  # of one batch: what keeps the networks' features within the caches and a few hundred MB
SHOWN = 3  # images whose reception is kept as a picture


@dataclass(frozen=True)
class Condition:
    """The channel of a comparison and how a table names it."""

    channel: Channel
    name: str = "awgn"
    csi: str = "perfect"
    coherence: str = ""
    equaliser: str = ""


@dataclass
class Tally:
    """What the transmissions of one codec at one Es/N0 add up to."""

    squared_errors: list[list[float]] = field(default_factory=list)  # by realisation, then image
    ssim: list[float] = field(default_factory=list)
    ms_ssim: list[float] = field(default_factory=list)
    failed: int = 0
    block_errors: int = 0
    blocks: int = 0
    uses: int = 0
    values: int = 0  # of the images sent, c·h·w each
    pictures: dict[str, Tensor] = field(default_factory=dict)  # received, (1, c, h, w), of the first realisation
    notes: dict[str, str] = field(default_factory=dict)

    def add(self, sent: Float[Tensor, "b c h w"], got: Transmission) -> None:
        """Count one batch."""
        self.squared_errors[-1] += metrics.squared_error(got.image, sent).tolist()
        self.ssim += [metrics.ssim(got.image, sent)] * len(sent)
        if min(sent.shape[-2:]) >= metrics.MS_SSIM_MIN_SIDE:
            self.ms_ssim += [metrics.ms_ssim(got.image, sent)] * len(sent)
        self.failed += int(got.failed.sum())
        if got.block_errors is not None:
            self.block_errors += int(got.block_errors.sum())
            self.blocks += got.blocks * len(sent)
        self.uses += sum(got.uses.values()) * len(sent)
        self.values += sent.numel()
        self.notes.update(got.notes)

    def row(self) -> dict[str, float | int]:
        """The figures, by column of the table."""
        errors = np.array(self.squared_errors).T  # (images, realisations)
        pooled = metrics.psnr_estimate(errors)
        per_image = metrics.mean_estimate(np.vectorize(metrics.to_db)(errors))
        return {
            "ratio": self.uses / self.values,
            "psnr_db": pooled.value,
            "psnr_mean_db": per_image.value,
            "ssim": float(np.mean(self.ssim)),
            "failed": self.failed,
            "bler": self.block_errors / self.blocks if self.blocks else math.nan,
            "images": errors.shape[0],
            "realisations": errors.shape[1],
            "psnr_db_low": pooled.low,
            "psnr_db_high": pooled.high,
            "psnr_mean_db_low": per_image.low,
            "psnr_mean_db_high": per_image.high,
            "ms_ssim": float(np.mean(self.ms_ssim)) if len(self.ms_ssim) == len(self.ssim) else math.nan,
        }


COLUMNS = (
    "codec", "channel", "csi", "esno_db", "ratio", "psnr_db", "psnr_mean_db", "ssim", "failed", "bler", "images",
    "realisations", "seed", "psnr_db_low", "psnr_db_high", "psnr_mean_db_low", "psnr_mean_db_high", "ms_ssim",
    "coherence", "equaliser",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`.

    Attributes:
        table: one row for every codec and Es/N0, with `COLUMNS`.
        pictures: received images of the first realisation, (1, c, h, w), by (image, codec, Es/N0).
        sent: the images, (1, c, h, w), by name.
        notes: each codec's remarks on the accounting, by codec and topic.
    """

    table: pd.DataFrame
    pictures: Mapping[tuple[str, str, float], Tensor]
    sent: Mapping[str, Tensor]
    notes: Mapping[str, Mapping[str, str]]


def compare(
    images: Mapping[str, Float[Tensor, "1 c h w"]],
    codecs: Mapping[str, Codec],
    condition: Condition,
    esno_db: Sequence[float],
    *,
    realisations: int = 1,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[], None] = lambda: None,
) -> Comparison:
    """Send every image with every codec at every Es/N0.

    All codecs meet the same fades and noise, at every Es/N0 the same ones scaled, and what an image meets depends on
    `seed`, the realisation and its content alone: neither on the order of the images nor on their batches.

    Args:
        images: images (1, c, h, w) by name; sizes may differ.
        codecs: codecs by the name the table gives them.
        condition: the channel.
        esno_db: Es/N0 in dB.
        realisations: of fading and noise, for every image.
        seed: of the channel.
        workers: threads that share out the codecs and Es/N0.
        progress: called after each codec and Es/N0, of which there are len(codecs)·len(esno_db).

    Raises:
        ValueError: no image, codec or Es/N0, or what `Link` raises.
    """
    for name, given in (("images", images), ("codecs", codecs), ("esno_db", esno_db)):
        if not len(given):
            raise ValueError(f"{name} is empty; give at least one")
    for name, value in (("realisations", realisations), ("workers", workers)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    jobs = [_Job(name, codec, level) for name, codec in codecs.items() for level in esno_db]
    plan = _Plan(images, condition.channel, realisations, seed)
    tallies = _run_all(plan, jobs, workers, progress)
    labels = {"channel": condition.name, "csi": condition.csi, "seed": seed}
    labels |= {"coherence": condition.coherence, "equaliser": condition.equaliser}
    rows = [
        {"codec": job.name, "esno_db": job.esno_db, **labels, **tally.row()}
        for job, tally in zip(jobs, tallies, strict=True)
    ]
    pictures = {
        (image, job.name, job.esno_db): picture
        for job, tally in zip(jobs, tallies, strict=True)
        for image, picture in tally.pictures.items()
    }
    notes = {job.name: tally.notes for job, tally in zip(jobs, tallies, strict=True)}
    return Comparison(pd.DataFrame(rows)[list(COLUMNS)], pictures, images, notes)


@dataclass(frozen=True)
class _Job:
    name: str
    codec: Codec
    esno_db: float


@dataclass(frozen=True)
class _Plan:
    images: Mapping[str, Tensor]
    channel: Channel
    realisations: int
    seed: int

    def run(self, job: _Job) -> Tally:
        """Everything that one codec sends at one Es/N0."""
        torch.set_num_threads(1)  # of this worker; the jobs share out the cores
        link = Link(job.codec, self.channel)
        shown = set(list(self.images)[:SHOWN])
        tally = Tally()
        for realisation in range(self.realisations):
            tally.squared_errors.append([])
            for names, batch in batches(self.images):
                got = link(batch, job.esno_db, rng=image_rngs(self.seed, batch, realisation=realisation))
                tally.add(batch, got)
                if realisation == 0:
                    received = zip(names, torch.split(got.image, 1), strict=True)
                    tally.pictures |= {name: image for name, image in received if name in shown}
        return tally


def _run_all(plan: _Plan, jobs: Sequence[_Job], workers: int, progress: Callable[[], None]) -> list[Tally]:
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers)
    futures = [pool.submit(plan.run, job) for job in jobs]
    try:
        for future in as_completed(futures):
            future.result()
            progress()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an error or Ctrl-C nothing more is begun
        torch.set_num_threads(threads)
    return [future.result() for future in futures]


def batches(images: Mapping[str, Float[Tensor, "1 c h w"]]) -> Iterator[tuple[list[str], Float[Tensor, "b c h w"]]]:
    """The images grouped by size, at most `BATCH_PIXELS` pixels a batch (one image at least), with their names."""
    by_shape: dict[torch.Size, list[str]] = {}
    for name, image in images.items():
        check_image(image)
        by_shape.setdefault(image.shape, []).append(name)
    for shape, names in by_shape.items():
        count = max(1, BATCH_PIXELS // (shape[-1] * shape[-2]))
        for i in range(0, len(names), count):
            part = names[i : i + count]
            yield part, torch.cat([images[name] for name in part])


def find_cliff(rows: pd.DataFrame) -> float | None:
    """The Es/N0 in dB above which fewer than half of one codec's transmissions fail, interpolated; None without one."""
    rows = rows.sort_values("esno_db")
    share = (rows["failed"] / (rows["images"] * rows["realisations"])).to_numpy()
    levels = rows["esno_db"].to_numpy()
    for i in range(len(share) - 1):
        if share[i] >= 0.5 > share[i + 1]:
            part = (share[i] - 0.5) / (share[i] - share[i + 1])
            return float(levels[i] + part * (levels[i + 1] - levels[i]))
    return None
