"""What a training run leaves to look at: a log in CSV, PSNR of the validation images, and pictures of some of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from semlink.neural.models import Network
from semlink.phy.channels import AWGN
from semlink.phy.link import Link
from semlink.phy.metrics import squared_error, to_db, to_levels

ESNO_DB = (0, 5, 10, 15, 20)
SHOWN = 8  # validation images in a picture


class Log:
    """`log.csv`: step, mean loss since the row before, and PSNR in dB at each of `ESNO_DB` where it was measured."""

    columns = ("step", "loss", *(f"psnr_db_at_{level}_db" for level in ESNO_DB))

    def __init__(self, path: Path, step: int) -> None:
        """Open or begin it; rows of steps after `step`, which a killed run had logged and not kept, are dropped."""
        self.path = path
        rows = list(csv.reader(path.read_text().splitlines()))[1:] if path.is_file() else []
        kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= step]
        text = io.StringIO()
        csv.writer(text).writerows([self.columns, *kept])
        path.write_text(text.getvalue())

    def add(self, step: int, loss: float, psnr_db: Mapping[int, float]) -> None:
        """Append a row."""
        measured = [f"{psnr_db[level]:.3f}" if level in psnr_db else "" for level in ESNO_DB]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([step, f"{loss:.6f}", *measured])


def validate(model: Network, images: UInt8[Tensor, "v 3 h w"]) -> dict[int, float]:
    """PSNR in dB over AWGN, from the mean squared error over the images, by Es/N0 in dB."""
    return {level: to_db(sum(_errors(model, images, level)) / len(images)) for level in ESNO_DB}


def save_pictures(model: Network, images: UInt8[Tensor, "v 3 h w"], path: Path) -> None:
    """A picture of the first images as sent (top row) and as received at each of `ESNO_DB`."""
    shown = images[:SHOWN].float() / 255
    rows = [shown, *(_received(model, shown, level) for level in ESNO_DB)]
    tiles = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1)  # (3, rows·h, columns·w)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_levels(tiles).to("cpu", torch.uint8).permute(1, 2, 0).numpy().astype(np.uint8)).save(path)


def _errors(model: Network, images: UInt8[Tensor, "v 3 h w"], esno_db: float) -> list[float]:
    parts = (part.float() / 255 for part in torch.split(images, 250))
    return [error for part in parts for error in squared_error(_received(model, part, esno_db), part).tolist()]


def _received(model: Network, image: Float[Tensor, "b 3 h w"], esno_db: float) -> Float[Tensor, "b 3 h w"]:
    return Link(model, AWGN())(image, esno_db, rng=torch.Generator().manual_seed(0)).image
