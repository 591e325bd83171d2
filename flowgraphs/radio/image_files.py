"""Images as files, and how far one is from another. NumPy and Pillow alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from semlink.phy.documents import for_json, written_whole
from semlink.phy.pictures import find_images, read_levels

SAMPLES = "samples"
"""In place of a path: the three photographs that come with the package."""


def find_pictures(words: str) -> list[Path]:
    """Files, and those in folders, by name. A warning names the pictures of a folder that are left out.

    Args:
        words: paths between semicolons; or "samples".

    Raises:
        ValueError: a path that is not there, or no image at all.
    """
    found: list[Path] = []
    for word in filter(None, (part.strip() for part in words.split(";"))):
        path = Path(str(resources.files("semlink.phy.samples"))) if word == SAMPLES else Path(word)
        if not path.exists():
            raise ValueError(f"image {path}: no such file or folder")
        found += find_images(path) if path.is_dir() else [path]
    if not found:
        raise ValueError(f"images={words!r} must name a file, or a folder with images, or {SAMPLES}")
    return found


def parse_size(text: str) -> tuple[int, int] | None:
    """ "WIDTHxHEIGHT" in pixels; None of "".

    Raises:
        ValueError: something else.
    """
    if not text:
        return None
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        width = height = 0
    if not (1 <= width <= 16383 and 1 <= height <= 16383):
        raise ValueError(f"size={text!r} must be WIDTHxHEIGHT in pixels, such as 256x256")
    return width, height


def load_picture(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """An image (h, w, 3) as `semlink.phy.pictures` reads it; of `size` (w, h) where given: its middle, scaled.

    Raises:
        ValueError: not a readable image, or one that is too large.
    """
    levels = read_levels(path)
    if size is None or levels.shape[1::-1] == size:
        return levels
    return np.asarray(ImageOps.fit(Image.fromarray(levels), size, Image.Resampling.LANCZOS))


def save_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an image (h, w, 3), whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        Image.fromarray(image).save(partial)


def file_name(number: int, name: str, transmission: int) -> str:
    """Of a received image: what is received of another transmission into the same folder never has the same."""
    words = [f"{number:04d}", name, f"{transmission:06x}" if transmission else ""]
    return "-".join(filter(None, words)) + ".png"


def squared_error(image: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Mean squared error of 8-bit values, in units of the full range, squared; of different sizes, infinite."""
    if image.shape != reference.shape:
        return math.inf
    return float(np.mean((image.astype(np.float64) - reference) ** 2)) / 255**2


def to_psnr_db(error: float) -> float:
    """Of a mean squared error; infinite for none."""
    return -10 * math.log10(error) if error else math.inf


def to_json(told: Mapping[str, Any]) -> str:
    """An image as a line of JSON: what is unknown (NaN), such as the PSNR without a reference, is null.

    What is infinite, such as the PSNR of a picture without an error, is "Infinity", as `semlink compare --json` has it.
    """
    return json.dumps({name: for_json(one) for name, one in told.items()}, allow_nan=False)


def describe(told: Mapping[str, Any]) -> str:
    """An image in one line: what it is, its size, its quality, and what went wrong on its way."""
    words = [f"{told['label']}: {told['name'] or 'image'} {told.get('sequence', '')}".strip()]
    words.append(f"{told['width']}x{told['height']}")
    words += [str(told["codec"])] if "codec" in told else []
    words += [f"PSNR {told['psnr_db']:.2f} dB".replace("inf", "∞")] if told["psnr_db"] == told["psnr_db"] else []
    words += [f"Es/N0 {told['esno_db']:.1f} dB"] if "esno_db" in told else []
    words += [f"{told['lost']} of {told['segments']} segments lost"] if told.get("lost") else []
    words += ["failed"] if told.get("failed") else []
    words += [f"transmission {told['transmission']:06x}"] if told.get("transmission") else []
    return ", ".join(words)
