"""The comparison: the same images through several codecs over one channel, over a range of Es/N0."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.comparison.account import BIT_ERRORS, CODING, LEDGER
from semlink.flowgraphs.comparison.accuracy import Labelled, check_classes, is_logits, labels_of
from semlink.flowgraphs.comparison.frames import Frames, frame_key
from semlink.flowgraphs.comparison.intervals import shares_fade
from semlink.flowgraphs.comparison.memory import batch_bytes, fitting
from semlink.flowgraphs.comparison.spending import SPENDING
from semlink.flowgraphs.comparison.tally import Pixels, Tally, column_of
from semlink.phy import metrics
from semlink.phy.link import Channel, Codec, Frame, InformedCodec, Link, check_frame, check_image
from semlink.phy.metrics import METRICS
from semlink.phy.parallel import cores
from semlink.phy.plain import plain
from semlink.phy.rng import image_rngs
from semlink.phy.security import channel_of, link_of

Scores = Float[np.ndarray, "images realisations"]

BATCH_PIXELS = 1 << 19  # of one batch: what keeps the networks' features within the caches and a few hundred MB
SHOWN = 3  # images whose reception is kept as a picture


COLUMNS = (
    "codec", "channel", "csi", "esno_db", "ratio", "psnr_db", "psnr_mean_db", "ssim", "failed", "bler", "images",
    "realisations", "seed", "psnr_db_low", "psnr_db_high", "psnr_mean_db_low", "psnr_mean_db_high",
    "bler_low", "bler_high", "ms_ssim", "coherence", "equaliser", "mode", "source_share", "padding_share", "crc_share",
    "parity_share", "header_share", "spec", "papr_db",
    *(column_of(name) + end for name in METRICS for end in ("", "_low", "_high")),
    "accuracy", "accuracy_low", "accuracy_high", "top5", "top5_low", "top5_high",
    "failed_low", "failed_high", "ebno_db", *LEDGER, *CODING, *BIT_ERRORS,
    *SPENDING,
    "failed_source",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`.

    Attributes:
        table: one row for every codec and Es/N0, with `COLUMNS`.
        pictures: some received images of the first realisation, 8-bit levels (h, w, c), by (image, codec, Es/N0).
        sent: the images, (1, c, h, w), by name.
        notes: each codec's remarks on the accounting, by codec and topic.
        metrics: the perceptual metrics that were asked for.
        lost: the keys of those `pictures` that failed to decode.
        errors: squared errors of every transmission, by (codec, Es/N0): images, in the same order everywhere, by
            realisations.
        distances: likewise of every perceptual metric, by (metric, codec, Es/N0).
        against: the codec whose margins all others are told; None where only receivers are told theirs.
        labels: what curves and pictures are called, by codec; the codec's name where there is none.
    """

    table: pd.DataFrame
    pictures: Mapping[tuple[str, str, float], Pixels]
    sent: Mapping[str, Tensor]
    notes: Mapping[str, Mapping[str, Sequence[str]]]
    metrics: Sequence[str] = ()
    lost: Collection[tuple[str, str, float]] = frozenset()
    errors: Mapping[tuple[str, float], Scores] = field(default_factory=dict)
    distances: Mapping[tuple[str, str, float], Scores] = field(default_factory=dict)
    against: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """What was compared: the figures are in `table`, and images would fill pages."""
        codecs, levels = (dict.fromkeys(self.table[name]) for name in ("codec", "esno_db"))
        at = ", ".join(f"{level:g}" for level in levels)
        return f"Comparison(codecs: {', '.join(codecs)}; images: {len(self.sent)}; Es/N0: {at} dB; figures in .table)"


def usual_realisations(channel: Channel, images: int) -> int:
    """Of noise and fading, where nobody says how many: at least 6 receptions over AWGN, and 30 where channels fade.

    Args:
        channel: what `labels` of it say it is; another without labels may fade.
        images: sent in each realisation.
    """
    still = getattr(channel, "labels", {}).get("channel") == "awgn"
    return math.ceil((6 if still else 30) / images)


def compare(
    images: Mapping[str, Float[Tensor, "1 c h w"]],
    codecs: Mapping[str, Codec | InformedCodec],
    channel: Channel,
    esno_db: Sequence[float],
    *,
    realisations: int = 1,
    seed: int = 0,
    pictures: Collection[float] = (),
    metrics: Sequence[str] = (),
    labels: Labelled = None,
    workers: int | None = None,
    progress: Callable[[], None] = lambda: None,
    sent: Callable[[int], None] = lambda _: None,
    frames: Frames | None = None,
) -> Comparison:
    """Send every image with every codec at every Es/N0.

    All codecs meet the same fades and noise, at every Es/N0 the same ones scaled, and what an image meets depends on
    `seed`, the realisation and its content alone: neither on the order of the images nor on their batches.

    Args:
        images: images (1, c, h, w) by name; sizes may differ.
        codecs: codecs by the name the table gives them.
        channel: the channel; its `labels`, if it has any, fill the columns that describe it.
        esno_db: Es/N0 in dB.
        realisations: of fading and noise, for every image.
        seed: of the channel.
        pictures: the Es/N0 of which received images are kept, of the first `SHOWN` images.
        metrics: perceptual metrics to measure as well, of "st-lpips" and "lpips"; lower is better.
        labels: the classes of the images, for codecs that deliver logits; or what loads them, called only for those.
        workers: threads that share out the codecs and Es/N0; None for as many as there are cores and memory allows.
        progress: called after each codec and Es/N0, of which there are len(codecs)·len(esno_db).
        sent: called after each batch, from several threads, with how many images it had.
        frames: of earlier transmissions of these very images and codecs, such as `try_codecs` leaves.

    Raises:
        ValueError: no image, codec or Es/N0, a name in place of a codec or a channel, an unknown metric or one whose
            weights are not to be had, images that are not RGB with one, a codec that classifies where images have no
            label or other classes, or what `Link` raises.
    """
    levels, shown = _levels("esno_db", esno_db), frozenset(_levels("pictures", pictures))
    _check_mapping("images", images, "names to images, such as {'mine': image}")
    _check_mapping("codecs", codecs, "names to codecs, such as {'mine': codec}")
    for name, given in (("images", images), ("codecs", codecs), ("esno_db", levels)):
        if not len(given):
            raise ValueError(f"{name} is empty; give at least one")
    for name, image in images.items():
        _check_one_image(name, image)
    _check_kinds(codecs, channel)
    realisations, seed, workers = plain((realisations, seed, workers))
    for name, value in (("realisations", realisations), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} must be at least 1")
    jobs = [_Job(name, codec, level) for name, codec in codecs.items() for level in levels]
    check_classes(codecs, labels, images)
    perceptual, kept = _perceptual(metrics, images), Frames() if frames is None else frames
    plan = _Plan(images, channel, realisations, seed, shown, perceptual, labels, kept, sent)
    if workers is None:  # fewer, with more threads each, where large images would fill the memory
        workers = min(cores(), fitting(batch_bytes(images.values(), batch_pixels=BATCH_PIXELS)) or cores())
    tallies = _run_all(plan, jobs, min(workers, len(jobs)), progress)
    rows = [
        {"codec": job.name, "esno_db": job.esno_db, **conditions_of(job.codec, channel), "seed": seed, **tally.row()}
        | {"ebno_db": tally.ebno_db(job.esno_db)}
        for job, tally in zip(jobs, tallies, strict=True)
    ]
    received = {
        (image, job.name, job.esno_db): picture
        for job, tally in zip(jobs, tallies, strict=True)
        for image, picture in tally.pictures.items()
    }
    notes: dict[str, dict[str, list[str]]] = {}
    for job, tally in zip(jobs, tallies, strict=True):
        for topic, remarks in tally.notes.items():
            known = notes.setdefault(job.name, {}).setdefault(topic, [])
            known += [note for note in remarks if note not in known]
    done = list(zip(jobs, tallies, strict=True))
    return Comparison(
        pd.DataFrame(rows)[list(COLUMNS)],
        received,
        images,
        notes,
        tuple(plan.perceptual),
        lost={(image, job.name, job.esno_db) for job, tally in done for image in tally.lost},
        errors={(job.name, job.esno_db): np.array(tally.squared_errors).T for job, tally in done},
        distances={
            (metric, job.name, job.esno_db): np.array(values).T
            for job, tally in done
            for metric, values in tally.perceptual.items()
        },
    )


def conditions_of(codec: Codec | InformedCodec, channel: Channel) -> dict[str, str]:
    """The columns that say how a codec is received: `spec` is the link's channel, whoever listens, the others his."""
    labels = getattr(channel_of(codec, channel), "labels", {})
    name = labels.get("channel", type(channel_of(codec, channel)).__name__)
    spec = getattr(channel, "labels", {"spec": type(channel).__name__})
    unlabelled = dict.fromkeys(("csi", "coherence", "equaliser"), "")
    return {"channel": name, **unlabelled, **labels, "spec": spec.get("spec", spec.get("channel", name))}


def fades(codec: Codec | InformedCodec, channel: Channel) -> bool:
    """Whether the blocks of a transmission of this codec share their luck: by the channel of whoever listens."""
    return shares_fade(getattr(channel_of(codec, channel), "labels", {}))


def _levels(name: str, given: object) -> list[float]:
    """Es/N0 in dB as Python's own numbers, from whatever holds them; one of its own is a list of one."""
    values = plain(given)
    listed = [values] if isinstance(values, int | float) else values
    if not isinstance(listed, list | tuple) or not all(isinstance(one, int | float) for one in listed):
        raise ValueError(f"{name}={given!r} must be numbers of dB")
    return list(listed)


def _check_kinds(codecs: Mapping[str, Codec | InformedCodec], channel: Channel) -> None:
    """Names, which the command line takes, are not taken here."""
    for name, codec in codecs.items():
        if not isinstance(codec, (Codec, InformedCodec)):
            kind = type(codec).__name__
            raise ValueError(f"codec {name!r} is a {kind}; it must be a codec, zoo.load('deepjscc', ratio=1 / 6) say")
    if not callable(channel):
        kind = type(channel).__name__
        raise ValueError(f"channel is a {kind}; it must be a channel, AWGN() or parse_channel('rayleigh') say")


def _check_mapping(name: str, given: object, wanted: str) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{name} is a {type(given).__name__}; it must map {wanted}")


def _check_one_image(name: str, image: Tensor) -> None:
    try:
        check_image(image)
    except ValueError as error:
        raise ValueError(f"image {name!r}: {error}") from error
    if len(image) != 1:
        raise ValueError(f"image {name!r}: holds {len(image)}; give each a name of its own, (1, c, h, w)")


def _perceptual(names: Sequence[str], images: Mapping[str, Tensor]) -> dict[str, metrics.Perceptual]:
    for name, image in images.items():
        if names and image.shape[1] != 3:
            raise ValueError(f"image {name}: {image.shape[1]} channels; {', '.join(names)} must have 3, RGB")
    return {name: metrics.Perceptual(name) for name in names}


@dataclass(frozen=True)
class _Job:
    name: str
    codec: Codec | InformedCodec
    esno_db: float


@dataclass(frozen=True)
class _Plan:
    images: Mapping[str, Tensor]
    channel: Channel
    realisations: int
    seed: int
    pictures: frozenset[float]
    perceptual: Mapping[str, metrics.Perceptual]
    labels: Labelled
    frames: Frames
    sent: Callable[[int], None]
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, job: _Job) -> Tally:
        """Everything that one codec sends at one Es/N0, unless it is stopped."""
        link, tally = link_of(job.codec, self.channel, clips=True), Tally(fades(job.codec, self.channel))
        shown = set(list(self.images)[:SHOWN]) if job.esno_db in self.pictures else set()
        for realisation in range(self.realisations):
            tally.begin_realisation(self.perceptual)
            for names, batch in batches(self.images):
                if self.stopped.is_set():
                    return tally
                try:
                    rng = image_rngs(self.seed, batch, realisation=realisation)
                    got = link.carry(self._frame(link, job, names, batch, rng), batch.shape[1:], job.esno_db, rng=rng)
                    # A batch holds the same images every time: the name of its first stands for it.
                    distances = {} if is_logits(got) else self._distances(got.image, batch, names[0])
                    tally.add(batch, got, distances, *labels_of(self.labels, names, got))
                except ValueError as error:
                    raise ValueError(f"{job.name} at {job.esno_db:g} dB: {error}") from error
                if realisation == 0 and not is_logits(got):
                    received = zip(names, torch.split(got.image, 1), strict=True)
                    tally.pictures |= {name: pixels(image) for name, image in received if name in shown}
                    failed = zip(names, got.failed.tolist(), strict=True)
                    tally.lost |= {name for name, wrong in failed if wrong and name in shown}
                self.sent(len(batch))
        return tally

    def _frame(self, link: Link, job: _Job, names: list[str], batch: Tensor, rng: list[torch.Generator]) -> Frame:
        """What is sent of a batch; what is sent again, over other noise, is encoded once."""
        again = self.realisations > 1 or getattr(job.codec, "ignores_n0", False) or len(self.images) == 1
        if isinstance(job.codec, InformedCodec) or not again:
            return link.encode(batch, job.esno_db, rng=rng)
        key = frame_key(job.codec, job.esno_db, tuple(names))
        frame = self.frames.get(key, lambda: link.encode(batch, job.esno_db, rng=rng))
        check_frame(frame, len(batch))  # one that `try_codecs` has left is not checked yet
        return frame

    def _distances(self, got: Tensor, sent: Tensor, key: str) -> dict[str, list[float]]:
        side, unknown = min(sent.shape[-2:]), [math.nan] * len(sent)
        return {
            name: metric(got, sent, key=key).tolist() if side >= metric.least_side else unknown
            for name, metric in self.perceptual.items()
        }


def _run_all(plan: _Plan, jobs: Sequence[_Job], workers: int, progress: Callable[[], None]) -> list[Tally]:
    threads = torch.get_num_threads()
    each = max(1, cores() // workers)
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(each,))
    futures = [pool.submit(plan.run, job) for job in jobs]
    try:
        for future in as_completed(futures):
            future.result()
            progress()
    finally:
        plan.stopped.set()  # after an error or Ctrl-C nothing more is begun
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
    return [future.result() for future in futures]


def pixels(image: Float[Tensor, "1 c h w"]) -> Pixels:
    """An image in [0, 1] as 8-bit levels, (h, w, c)."""
    return metrics.to_levels(image[0]).to(torch.uint8).permute(1, 2, 0).cpu().numpy()


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
