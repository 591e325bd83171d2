"""The comparison: the same images through several codecs over one channel, over a range of Es/N0."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from semlink.flowgraphs.comparison.account import BIT_ERRORS, CODING, LEDGER, Account
from semlink.flowgraphs.comparison.accuracy import Labelled, Score, check_classes, is_logits, labels_of, score
from semlink.flowgraphs.comparison.causes import failed_at_source
from semlink.flowgraphs.comparison.frames import Frames, frame_key
from semlink.flowgraphs.comparison.intervals import UNKNOWN, Luck, shares_fade
from semlink.flowgraphs.comparison.memory import batch_bytes, fitting
from semlink.flowgraphs.comparison.spending import FEEDBACK, SPENDING, Spending
from semlink.phy import metrics
from semlink.phy.link import Channel, Codec, Frame, InformedCodec, Link, Transmission, check_frame, check_image
from semlink.phy.metrics import METRICS
from semlink.phy.parallel import cores
from semlink.phy.plain import plain
from semlink.phy.rng import image_rngs
from semlink.phy.security import channel_of, link_of

Pixels = UInt8[np.ndarray, "h w c"]
"""An image as 8-bit levels."""
Scores = Float[np.ndarray, "images realisations"]

BATCH_PIXELS = 1 << 19  # of one batch: what keeps the networks' features within the caches and a few hundred MB
CODED = ("source", "padding", "crc", "parity")  # what the coded bits of a digital codec are spent on
BESIDE = ("header", FEEDBACK)  # bits that go beside the coded ones
SHOWN = 3  # images whose reception is kept as a picture


@dataclass
class Tally:
    """What the transmissions of one codec at one Es/N0 add up to.

    `fades` is whether the blocks of a transmission share their luck (`shares_fade`), which decides the intervals.
    """

    fades: bool = True
    squared_errors: list[list[float]] = field(default_factory=list)  # by realisation, then image
    ssim: list[float] = field(default_factory=list)
    ms_ssim: list[float] = field(default_factory=list)
    perceptual: dict[str, list[list[float]]] = field(default_factory=dict)  # by metric, realisation, then image
    failed: int = 0
    failed_source: int = 0  # of them, not by the channel
    block_errors: list[int] = field(default_factory=list)  # by transmission
    blocks: list[int] = field(default_factory=list)
    grey: list[float] = field(default_factory=list)  # squared errors of mid-grey, shown where nothing arrives
    uses: float = 0  # really spent
    values: int = 0  # of the images sent, c·h·w each
    pictures: dict[str, Pixels] = field(default_factory=dict)  # received, of the first realisation
    lost: set[str] = field(default_factory=set)  # those of them that failed to decode
    notes: dict[str, list[str]] = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)  # sent, by purpose
    modes: Counter[str] = field(default_factory=Counter)  # transmission modes, by image
    papr_db: list[float] = field(default_factory=list)
    scores: Score = field(default_factory=Score)  # of codecs that classify
    account: Account = field(default_factory=Account)
    spending: Spending = field(default_factory=Spending)

    def begin_realisation(self, perceptual: Iterable[str]) -> None:
        """What is added from here on is of another realisation, with distances by these perceptual metrics."""
        self.squared_errors.append([])
        for name in perceptual:
            self.perceptual.setdefault(name, []).append([])

    def add(
        self,
        sent: Float[Tensor, "b c h w"],
        got: Transmission,
        distances: Mapping[str, Sequence[float]],
        labels: Sequence[int] | None = None,
        classes: int = 0,
    ) -> None:
        """Count one batch, with the distance of each image by perceptual metric, or the classes of the images.

        Raises:
            ValueError: images of another shape than those sent, or logits for which there are no such classes.
        """
        for name, values in distances.items():
            self.perceptual[name][-1] += values
        if is_logits(got):
            self.scores += score(got.image, labels, classes)
            self._add_unknown(len(sent))
        else:
            self._add_images(sent, got.image)
        self.failed += int(got.failed.sum())
        self.failed_source += int(failed_at_source(got).sum())
        if got.block_errors is not None and got.blocks is not None:
            self.block_errors += got.block_errors.tolist()
            self.blocks += got.blocks.tolist()
        for purpose, bits in got.bits.items():
            self.bits[purpose] = self.bits.get(purpose, 0) + int(bits.sum())
        self.modes.update(got.modes)
        self.account.add(got)
        self.papr_db += [] if got.papr_db is None else got.papr_db.tolist()
        self.uses += sum(got.uses.values()) * len(sent) if got.spent is None else float(got.spent.sum())
        self.spending.add(got, len(sent))
        self.values += sent.numel()
        for topic, note in got.notes.items():
            self.notes.setdefault(topic, [])
            self.notes[topic] += [note] * (note not in self.notes[topic])  # images of other sizes may differ

    def _add_images(self, sent: Float[Tensor, "b c h w"], got: Float[Tensor, "b c h w"]) -> None:
        self.squared_errors[-1] += metrics.squared_error(got, sent).tolist()
        if len(self.squared_errors) == 1:
            self.grey += metrics.squared_error(torch.full_like(sent, 128 / 255), sent).tolist()
        side = min(sent.shape[-2:])
        self.ssim += [metrics.ssim(got, sent) if side >= metrics.SSIM_MIN_SIDE else math.nan] * len(sent)
        self.ms_ssim += [metrics.ms_ssim(got, sent) if side >= metrics.MS_SSIM_MIN_SIDE else math.nan] * len(sent)

    def _add_unknown(self, images: int) -> None:
        """What a codec that classifies has of an image codec's figures."""
        for figures in (self.squared_errors[-1], self.ssim, self.ms_ssim):
            figures += [math.nan] * images

    def row(self) -> dict[str, float | int | str]:
        """The figures, by column of the table."""
        errors = np.array(self.squared_errors).T  # (images, realisations)
        luck = Luck(self.fades, self.failed, errors.size, bool(sum(self.blocks)))
        if self.scores.sent:
            pooled = per_image = UNKNOWN
        else:
            pooled = luck.psnr(errors, worst=float(np.mean(self.grey)))
            per_image = luck.psnr_mean(errors, worst=float(np.mean([metrics.to_db(one) for one in self.grey])))
        blocks = luck.block_error_rate(self.block_errors, self.blocks) if luck.coded else UNKNOWN
        failed = metrics.error_rate(self.failed, errors.size)  # each transmission by itself, for these images
        return {
            "ratio": self.uses / self.values,
            "psnr_db": pooled.value,
            "psnr_mean_db": per_image.value,
            "ssim": float(np.mean(self.ssim)),
            "failed": self.failed,
            "bler": blocks.value,
            "images": errors.shape[0],
            "realisations": errors.shape[1],
            "psnr_db_low": pooled.low,
            "psnr_db_high": pooled.high,
            "psnr_mean_db_low": per_image.low,
            "psnr_mean_db_high": per_image.high,
            "bler_low": blocks.low,
            "bler_high": blocks.high,
            "ms_ssim": float(np.mean(self.ms_ssim)),
            "mode": self.modes.most_common(1)[0][0] if self.modes else "",
            **self._shares(),
            "papr_db": float(np.mean(self.papr_db)) if self.papr_db else math.nan,
            **self._distances(luck),
            **self.scores.columns(),
            "failed_low": failed.low,
            "failed_high": failed.high,
            **self.account.columns(fades=self.fades, block_errors=blocks),
            **self.spending.columns(),
            "failed_source": self.failed_source,
        }

    def ebno_db(self, esno_db: float) -> float:
        """Es/N0 less the information bits per channel use in dB, of a digital codec; unknown of one that sends none.

        Of one that adapts, bits and uses are those that were sent at this Es/N0, the mean over its images.
        """
        information = sum(self.bits.get(purpose, 0) for purpose in ("source", "padding"))
        return esno_db - 10 * math.log10(information / self.uses) if information else math.nan

    def _distances(self, luck: Luck) -> dict[str, float]:
        """The means of the perceptual metrics with their intervals, unknown (NaN) where not measured."""
        columns: dict[str, float] = {}
        for name in METRICS:
            values = np.array(self.perceptual.get(name, [[math.nan]])).T  # (images, realisations)
            mean, column = luck.mean(values), column_of(name)
            columns |= {column: mean.value, f"{column}_low": mean.low, f"{column}_high": mean.high}
        return columns

    def _shares(self) -> dict[str, float]:
        """What the coded bits are spent on, and what the header costs beside them, as shares of the coded bits."""
        coded = sum(count for purpose, count in self.bits.items() if purpose not in BESIDE)
        shares = {f"{purpose}_share": self.bits.get(purpose, 0) / coded if coded else math.nan for purpose in CODED}
        return {**shares, "header_share": self.bits.get("header", 0) / coded if coded else math.nan}


def column_of(metric: str) -> str:
    """The column of the table for a perceptual metric; with _low and _high its interval."""
    return metric.replace("-", "_")


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
        ValueError: no image, codec or Es/N0, an unknown metric or one whose weights are not to be had, images that
            are not RGB with one, a codec that classifies where images have no label or other classes, or what `Link`
            raises.
    """
    levels, shown = _levels("esno_db", esno_db), frozenset(_levels("pictures", pictures))
    _check_mapping("images", images, "names to images, such as {'mine': image}")
    _check_mapping("codecs", codecs, "names to codecs, such as {'mine': codec}")
    for name, given in (("images", images), ("codecs", codecs), ("esno_db", levels)):
        if not len(given):
            raise ValueError(f"{name} is empty; give at least one")
    for name, image in images.items():
        _check_one_image(name, image)
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
