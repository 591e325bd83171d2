"""Sends the points of a study one after another; images, codecs and frames stay from one point to the next."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.comparison import (
    BATCH_PIXELS,
    COLUMNS,
    Frames,
    Pixels,
    Tally,
    batches,
    check_classes,
    conditions_of,
    digest_of,
    fades,
    frame_key,
    is_logits,
    labels_of,
    pixels,
    usual_realisations,
    worker_bytes,
)
from semlink.flowgraphs.specs import (
    JOINT,
    load_images,
    load_labels,
    make_channel,
    make_codecs,
    parse_metrics,
    split_listener,
)
from semlink.flowgraphs.studies.plan import Plan, Point
from semlink.phy import metrics
from semlink.phy.documents import error_line
from semlink.phy.impairments import Medium
from semlink.phy.link import Codec, Frame, InformedCodec, Link, Transmission
from semlink.phy.rng import contents, image_rngs
from semlink.phy.security import channel_of, link_of

EXTRA_COLUMNS = ("asked_ratio", "outage", "block_errors", "blocks", "seconds", "error", "pictures")
STUDY_COLUMNS = (*COLUMNS, *EXTRA_COLUMNS)
"""Columns of a study's table: those of `semlink compare`, and

- `asked_ratio`: that of the study; `ratio` is what was spent, pilots and padding included;
- `outage`: share of the transmissions that failed;
- `block_errors`, `blocks`: code blocks, of all transmissions;
- `seconds`: what the point took;
- `error`: what went wrong, with which image; then there are no figures;
- `pictures`: files of received images, by name of the image.
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a point: its row, with `STUDY_COLUMNS`, and the receptions to be kept, by name of the image."""

    row: dict[str, Any]
    pictures: Mapping[str, Pixels] = field(default_factory=dict)


def is_short_of_memory(error: BaseException) -> bool:
    """Which says nothing of a codec. PyTorch tells it by a RuntimeError."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


class PointError(Exception):
    """A codec or channel that raised; the message names the image."""


class Engine:
    """Sends points of one study. What a point gives does not depend on which others were sent before.

    Args:
        study: which one.

    Raises:
        ValueError: images, codecs or channels that are refused.
    """

    def __init__(self, study: Plan) -> None:
        self.study = study
        images, self.labels = load_images(study.images), cache(partial(load_labels, study.images))
        self.metrics = {name: metrics.Perceptual(name) for name in parse_metrics(study.metrics)}
        self._batches = list(batches(images))
        split = {
            name: one for names, batch in self._batches for name, one in zip(names, torch.split(batch, 1), strict=True)
        }
        self.images = {name: split[name] for name in images}  # of the batches: not twice in memory
        self._contents = [contents(batch) for _, batch in self._batches]
        self._shown = set(list(self.images)[: study.pictures])
        self._channels: dict[str, Medium] = {}
        self._codecs: dict[tuple[str, float, str], Codec | InformedCodec] = {}
        self._frames = Frames()

    def check(self) -> None:
        """Build every channel and codec: what is refused shows before the long run.

        Raises:
            ValueError: naming it.
        """
        for point in self.study.points()[:: len(self.study.esno_db)]:
            check_classes({point.codec: self.codec(point)}, self.labels, self.images)

    def fingerprints(self) -> dict[str, str]:
        """SHA-256 of the pixels of each image, by name."""
        return {name: digest_of(pixels(image)) for name, image in self.images.items()}

    def worker_bytes(self) -> int:
        """About what a process takes that sends this study with the codecs loaded so far."""
        return worker_bytes(self.images.values(), self._codecs.values(), batch_pixels=BATCH_PIXELS)

    def originals(self) -> dict[str, Pixels]:
        """The images of which receptions are kept, by name."""
        return {name: pixels(image) for name, image in self.images.items() if name in self._shown}

    @torch.no_grad()
    def run(self, point: Point) -> Outcome:
        """Everything one point takes. A codec or channel that raises leaves a row with `error`, and no figures.

        Raises:
            MemoryError: which says nothing of the codec.
        """
        begin = time.perf_counter()
        labels = self._labels(point)
        try:
            tally, row = self._send(point)
        except PointError as error:
            unknown = dict.fromkeys(STUDY_COLUMNS, math.nan)
            counts = dict.fromkeys(("failed", "images", "realisations", "block_errors", "blocks"), 0)
            said = {"mode": "", "modulation": "", "pictures": {}, "error": str(error)}
            return Outcome({**unknown, **counts, **said, **labels, "seconds": time.perf_counter() - begin})
        row |= labels | {"seconds": time.perf_counter() - begin, "error": "", "pictures": {}}
        return Outcome({name: row[name] for name in STUDY_COLUMNS}, tally.pictures)

    @torch.no_grad()
    def seconds(self, point: Point, *, few: int = 4) -> float:
        """About how long one realisation of a point takes, from `few` images of each size; infinite where it fails."""
        link, total = link_of(self.codec(point), self._channel(point.channel), clips=True), 0.0
        sizes: dict[torch.Size, list[Tensor]] = {}
        for _, batch in self._batches:
            sizes.setdefault(batch.shape[1:], []).append(batch)
        for of_size in sizes.values():
            images = of_size[0][:few]
            try:
                for _ in range(2):  # the first one pays for what is compiled and loaded
                    begin = time.perf_counter()
                    link(images, point.esno_db, rng=image_rngs(self.study.seed, images))
                    took = time.perf_counter() - begin
            except Exception:
                return math.inf
            total += took * sum(len(batch) for batch in of_size) / len(images)
        return total

    def realisations(self, point: Point) -> tuple[int, int]:
        """The fewest and the most that a point is sent."""
        channel = channel_of(self.codec(point), self._channel(point.channel))
        return self.study.realisations_of(usual_realisations(channel, len(self.images)))

    def _labels(self, point: Point) -> dict[str, Any]:
        labels: dict[str, Any] = dict(conditions_of(self.codec(point), self._channel(point.channel)))
        labels |= {"spec": point.channel, "seed": self.study.seed}
        return {"codec": point.codec, "esno_db": point.esno_db, "asked_ratio": point.ratio, **labels}

    def _send(self, point: Point) -> tuple[Tally, dict[str, Any]]:
        study, codec, channel = self.study, self.codec(point), self._channel(point.channel)
        link, tally = link_of(codec, channel, clips=True), Tally(fades(codec, channel))
        look, most = self.realisations(point)
        for realisation in range(most):
            tally.begin_realisation(self.metrics)
            for i, (names, batch) in enumerate(self._batches):
                got = self._one_batch(link, point, i, realisation)
                try:
                    distances = {} if is_logits(got) else self._distances(got.image, batch, names[0])
                    tally.add(batch, got, distances, *labels_of(self.labels, names, got))
                except Exception as error:  # of images of another shape, say
                    if is_short_of_memory(error):
                        raise MemoryError(str(error)) from error
                    raise PointError(f"images {names[0]} … {names[-1]}: {error_line(error)}") from error
                if realisation == 0 and not is_logits(got):
                    received = zip(names, torch.split(got.image, 1), strict=True)
                    tally.pictures |= {name: pixels(image) for name, image in received if name in self._shown}
            if study.stop.is_set and realisation + 1 == look:
                if study.stop.is_met(_row(tally, point), lost=self._lost):
                    break
                look = max(look + 1, math.ceil(1.1 * look))  # each look goes through all that was sent
        return tally, _row(tally, point)

    def _one_batch(self, link: Link, point: Point, i: int, realisation: int) -> Transmission:
        batch = self._batches[i][1]
        rng = image_rngs(self.study.seed, batch, realisation=realisation, known=self._contents[i])
        try:
            return link.carry(self._frame(link, point, i, rng), batch.shape[1:], point.esno_db, rng=rng)
        except Exception as error:
            if is_short_of_memory(error):
                raise MemoryError(str(error)) from error
            raise PointError(self._blame(link, point, i, realisation, error)) from error

    def _frame(self, link: Link, point: Point, i: int, rng: list[torch.Generator]) -> Frame:
        batch = self._batches[i][1]
        if isinstance(link.codec, InformedCodec):
            return link.encode(batch, point.esno_db, rng=rng)
        key = frame_key(link.codec, point.esno_db, i)
        return self._frames.get(key, lambda: link.encode(batch, point.esno_db, rng=rng))

    def _blame(self, link: Link, point: Point, i: int, realisation: int, error: Exception) -> str:
        """Which image of a batch it was, found by sending them one by one."""
        names, batch = self._batches[i]
        rngs = image_rngs(self.study.seed, batch, realisation=realisation)
        guilty: list[tuple[str, Exception]] = []
        for name, image, rng in zip(names, torch.split(batch, 1), rngs, strict=True):
            try:
                link(image, point.esno_db, rng=[rng])
            except Exception as own:
                if is_short_of_memory(own):
                    raise MemoryError(str(own)) from own
                guilty.append((name, own))
        if not guilty:
            return f"images {names[0]} … {names[-1]} together: {error_line(error)}"
        more = f" (and {len(guilty) - 1} more of these {len(names)})" if len(guilty) > 1 else ""
        return f"image {guilty[0][0]}{more}: {error_line(guilty[0][1])}"

    def _distances(self, got: Tensor, sent: Float[Tensor, "b c h w"], key: str) -> dict[str, list[float]]:
        side, unknown = min(sent.shape[-2:]), [math.nan] * len(sent)
        return {
            name: metric(got, sent, key=key).tolist() if side >= metric.least_side else unknown
            for name, metric in self.metrics.items()
        }

    @cached_property
    def _lost(self) -> float:
        """The mean squared error of the images from mid-grey, which is shown where nothing arrives."""
        errors = [metrics.squared_error(torch.full_like(one, 128 / 255), one) for _, one in self._batches]
        return float(torch.cat(errors).mean())

    def _channel(self, spec: str) -> Medium:
        if spec not in self._channels:
            self._channels[spec] = make_channel(spec, coherence=None, csi=None, equaliser=None)
        return self._channels[spec]

    def codec(self, point: Point) -> Codec | InformedCodec:
        """What sends a point: one for each channel where it heeds the channel, else the same, and so its frames."""
        channel = self._channel(point.channel)
        key = (point.codec, point.ratio, point.channel)
        if key not in self._codecs:
            made = make_codecs([point.codec], ratio=point.ratio, mcs=self.study.mcs, channel=channel)[point.codec]
            same = (one for (name, ratio, _), one in self._codecs.items() if (name, ratio) == key[:2])
            scheme = scheme_of(point.codec)
            heeds = not {scheme, self.study.mcs}.isdisjoint(("outage", "genie"))
            self._codecs[key] = made if heeds else next(same, made)
        return self._codecs[key]


def scheme_of(codec: str) -> str:
    """What a name has as its scheme, "" of a codec without any.

    A receiver behind it, a key or somebody who listens changes nothing.
    """
    own = split_listener(codec)[0].partition(JOINT)[0]
    # What follows the scheme, a teacher's name or a key's path, may have colons of its own.
    return own.partition(",")[0].rpartition(":")[2]


def _row(tally: Tally, point: Point) -> dict[str, Any]:
    row: dict[str, Any] = tally.row()
    sent = row["images"] * row["realisations"]
    return row | {
        "ebno_db": tally.ebno_db(point.esno_db),
        "outage": row["failed"] / sent,
        "block_errors": sum(tally.block_errors),
        "blocks": sum(tally.blocks),
    }


def in_turn(study: Plan, points: list[Point]) -> Iterator[Point]:
    """The points in an order in which frames can be sent again: by codec, then ratio, then Es/N0, then channel."""
    place = {name: i for i, name in enumerate(study.codecs)}
    yield from sorted(points, key=lambda one: (place[one.codec], one.ratio, one.esno_db))
