"""What a training run leaves to look at: a log in CSV, PSNR of the validation images, and pictures of some of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from semlink.neural.training.receivers import Receive
from semlink.phy.documents import write_whole, written_whole
from semlink.phy.metrics import squared_error, to_db, to_levels

ESNO_DB = (0, 5, 10, 15, 20)
AT_ONCE = 250 * 32**2  # pixels
SHOWN = 8  # validation images in a picture


class Log:
    """`log.csv`: step, mean loss since the row before, and PSNR in dB at each of `levels` where it was measured.

    Over AWGN it is `psnr_db_at_…`, over fading `rayleigh_block_psnr_db_at_…`. Of a receiver there is also that of the
    codec alone, `codec_psnr_db_at_…`; of a task codec its accuracy instead. Of a model of prompts the levels are
    numbers of quantiser steps.
    """

    def __init__(
        self,
        path: Path,
        step: int,
        *,
        series: Sequence[str] = ("psnr_db",),
        levels: Sequence[float] = ESNO_DB,
        unit: str = "db",
    ) -> None:
        """Open or begin it; rows of steps after `step`, which a killed run had logged and not kept, are dropped."""
        self.path, self.series, self.levels = path, tuple(series), tuple(levels)
        self.columns = ("step", "loss", *(f"{name}_at_{level:g}_{unit}" for name in series for level in levels))
        rows = list(csv.reader(path.read_text().splitlines()))[1:] if path.is_file() else []
        kept = [row for row in rows if row and row[0].isdecimal() and int(row[0]) <= step]
        text = io.StringIO()
        csv.writer(text).writerows([self.columns, *kept])
        write_whole(path, text.getvalue())

    def add(self, step: int, loss: float, figures: Mapping[str, Mapping[float, float]]) -> None:
        """Append a row; `figures` by series and Es/N0 in dB, where there are any."""
        having = [figures.get(name, {}) for name in self.series]
        measured = [f"{one[level]:.3f}" if level in one else "" for one in having for level in self.levels]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([step, f"{loss:.6f}", *measured])


def validate(receive: Receive, images: UInt8[Tensor, "v 3 h w"]) -> dict[float, float]:
    """PSNR in dB, from the mean squared error over the images, by Es/N0 in dB."""
    return {level: to_db(sum(_errors(receive, images, level)) / len(images)) for level in ESNO_DB}


def save_pictures(receive: Receive, images: UInt8[Tensor, "v 3 h w"], path: Path) -> None:
    """A picture of the first images as sent (top row) and as received at each of `ESNO_DB`."""
    shown = images[:SHOWN].float() / 255
    rows = [shown, *(receive(shown, level) for level in ESNO_DB)]
    tiles = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)  # (3, rows·h, columns·w)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = to_levels(tiles).to("cpu", torch.uint8).permute(1, 2, 0).numpy().astype(np.uint8)
    with written_whole(path) as partial:
        Image.fromarray(picture).save(partial)


def _errors(receive: Receive, images: UInt8[Tensor, "v 3 h w"], esno_db: float) -> list[float]:
    count = max(1, AT_ONCE // (images.shape[2] * images.shape[3]))
    parts = (part.float() / 255 for part in torch.split(images, count))
    return [error for part in parts for error in squared_error(receive(part, esno_db), part).tolist()]
