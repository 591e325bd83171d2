"""What the transmissions of one codec at one Es/N0 add up to: the figures of a row of a comparison's table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from semlink.flowgraphs.comparison.account import Account
from semlink.flowgraphs.comparison.accuracy import Score, is_logits, score
from semlink.flowgraphs.comparison.causes import failed_at_source
from semlink.flowgraphs.comparison.intervals import UNKNOWN, Luck
from semlink.flowgraphs.comparison.spending import FEEDBACK, Spending
from semlink.phy import metrics
from semlink.phy.link import Transmission
from semlink.phy.metrics import METRICS

Pixels = UInt8[np.ndarray, "h w c"]
"""An image as 8-bit levels."""

CODED = ("source", "padding", "crc", "parity")  # what the coded bits of a digital codec are spent on
BESIDE = ("header", FEEDBACK)  # bits that go beside the coded ones


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
