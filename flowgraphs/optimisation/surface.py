"""What a receiver's diffusion steps bring, measured: PSNR by Es/N0 and number of steps, as a surface to optimise over.

`semlink optimise --measure-surface FILE` measures it; the package holds what it gave for `swin-gsc+sft-gsc`.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.flowgraphs.comparison import Comparison, compare, named, progress_bar
from semlink.flowgraphs.specs import DEFAULT_MCS, JOINT, make_channel, make_codecs
from semlink.phy.documents import write_whole
from semlink.phy.metrics import to_db
from semlink.phy.sources import cifar10

CODEC = "swin-gsc+sft-gsc"
"""Whose surface the package holds."""
STEPS = (0, 1, 2, 3, 4)
ESNO_DB = (-12, -8, -4, 0, 4, 8, 12, 16, 20)
IMAGES = 100
COLUMNS = ("codec", "steps", "esno_db", "psnr_mean_db", "spread_db", "images")


@dataclass(frozen=True)
class QualitySurface:
    """PSNR over AWGN, bilinear between what was measured and flat beyond its ends.

    Attributes:
        codec: CODEC+RECEIVER.
        steps: of the receiver, 0, 1, 2, …; 0 is the codec alone.
        esno_db: ascending, evenly spaced, dB.
        psnr_db: the mean of the images' PSNR, (steps, esno).
        spread_db: standard deviation from image to image, (steps, esno).
    """

    codec: str
    steps: tuple[int, ...]
    esno_db: tuple[float, ...]
    psnr_db: Float[Tensor, "k e"]
    spread_db: Float[Tensor, "k e"]

    @property
    def digest(self) -> str:
        """By which a surface is known again."""
        return hashlib.sha256(
            repr([self.esno_db, self.psnr_db.tolist(), self.spread_db.tolist()]).encode()
        ).hexdigest()[:8]

    def quality(self, esno_db: Float[Tensor, "*b"], steps: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Mean PSNR in dB, differentiable in both; steps between whole numbers are mixtures."""
        return self._read(self.psnr_db, esno_db, steps)

    def spread(self, esno_db: Float[Tensor, "*b"], steps: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Standard deviation from image to image, dB."""
        return self._read(self.spread_db, esno_db, steps)

    def _read(self, table: Tensor, esno_db: Tensor, steps: Tensor) -> Tensor:
        step_db = self.esno_db[1] - self.esno_db[0]
        k, rows = _place(steps, len(self.steps))
        e, columns = _place((esno_db - self.esno_db[0]) / step_db, len(self.esno_db))
        low = table[k, e] * (1 - columns) + table[k, e + 1] * columns
        high = table[k + 1, e] * (1 - columns) + table[k + 1, e + 1] * columns
        return low * (1 - rows) + high * rows


def _place(where: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The cell that a place lies in, and how far in it, 0 … 1."""
    inside = where.clamp(0, count - 1)
    cell = inside.detach().floor().clamp(max=count - 2).long()
    return cell, inside - cell


@lru_cache(1)
def stored_surface() -> QualitySurface:
    """The surface that the package holds."""
    return parse_surface(resources.files("semlink.flowgraphs.optimisation").joinpath("data/quality.csv").read_text())


def read_surface(path: Path) -> QualitySurface:
    """The surface of a file of `semlink optimise --measure-surface`.

    Raises:
        ValueError: it holds something else.
        OSError: it cannot be read.
    """
    try:
        return parse_surface(path.read_text(encoding="utf-8"))
    except (LookupError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"--surface {path}: holds no quality surface ({error})") from error


def parse_surface(text: str) -> QualitySurface:
    """The surface of a text of CSV.

    Raises:
        ValueError: another table, a hole in the grid, Es/N0 that are not evenly spaced, or numbers that are not finite.
        LookupError: a column is missing.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    points = {(int(row["steps"]), float(row["esno_db"])): row for row in rows}
    steps, levels = tuple(sorted({k for k, _ in points})), tuple(sorted({level for _, level in points}))
    if len(points) != len(steps) * len(levels) or len(rows) != len(points) or len(steps) < 2 or len(levels) < 2:
        raise ValueError("its rows are no full grid of two or more steps and Es/N0, each once")
    gaps = [b - a for a, b in pairwise(levels)]
    if steps != tuple(range(len(steps))) or not max(gaps) - min(gaps) <= 1e-9:  # of infinite ones it is NaN
        raise ValueError("steps must be 0, 1, 2, … and Es/N0 evenly spaced")
    tables = [torch.tensor([[float(points[k, e][name]) for e in levels] for k in steps]) for name in COLUMNS[3:5]]
    if not all(bool(one.isfinite().all()) for one in tables):
        raise ValueError("a number is not finite")
    return QualitySurface(rows[0]["codec"], steps, levels, *tables)


def measure_surface(
    path: Path,
    *,
    codec: str = CODEC,
    steps: Sequence[int] = STEPS,
    esno_db: Sequence[float] = ESNO_DB,
    images: int = IMAGES,
) -> None:
    """Measure a surface on the first images of CIFAR-10's test set, ratio 1/6, AWGN, seed 0, and write it.

    Raises:
        ValueError: no CODEC+RECEIVER, or a number of steps that the receiver cannot take.
        OSError: CIFAR-10 is not to be had, or the file cannot be written.
    """
    channel = make_channel("awgn", coherence=None, csi=None, equaliser=None)
    names = {codec.partition(JOINT)[0] if k == 0 else f"{codec}:steps={k}": k for k in steps}
    codecs = make_codecs(list(names), ratio=1 / 6, mcs=DEFAULT_MCS, channel=channel)
    pictures = cifar10("test")[:images]
    with progress_bar("measuring", len(codecs) * len(esno_db)) as advance:
        outcome = compare(named(pictures), codecs, channel, list(esno_db), progress=advance)
    write_whole(path, _as_csv(outcome, codec, names, images))


def _as_csv(outcome: Comparison, codec: str, names: dict[str, int], images: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in outcome.table.to_dict(orient="records"):
        psnr_db = np.vectorize(to_db)(np.asarray(outcome.errors[row["codec"], row["esno_db"]]))
        figures = (f"{psnr_db.mean():.3f}", f"{psnr_db.std(ddof=1):.3f}")
        writer.writerow([codec, names[row["codec"]], f"{row['esno_db']:g}", *figures, images])
    return text.getvalue()
