"""The pictures of a page: samples, those of the command line, and those that were dropped on it."""

from __future__ import annotations

import io
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from semlink.flowgraphs.comparison import Pixels, digest_of, pixels
from semlink.flowgraphs.specs import load_images
from semlink.phy.pictures import levels_of
from semlink.phy.sources import SAMPLES

SIDES = (256, 512, 1024)
"""Longest sides in pixels that a picture is made smaller to, if it is larger."""
LEAST_SIDE = 8
MOST_DROPPED = 24
"""Dropped pictures that are kept; of more, the one that was not asked for the longest goes."""


@dataclass(frozen=True)
class Picture:
    """A picture as it is sent.

    Attributes:
        levels: 8-bit levels, (h, w, 3).
        image: the same in [0, 1], (1, 3, h, w).
        word: by which `semlink compare` has it: a set, a path, or the file that the page saves.
    """

    levels: Pixels
    image: Float[Tensor, "1 3 h w"]
    word: str


class Pictures:
    """Pictures by name. Several threads may ask.

    Args:
        words: files, folders and sets of the command line, before the samples.

    Raises:
        ValueError: a word that is none of these, or an image that cannot be read.
    """

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._lock = threading.Lock()
        self._dropped: OrderedDict[str, Picture] = OrderedDict()
        given = load_images(words) if words else {}
        self._given = {name: _of_image(image, name) for name, image in given.items() if name not in SAMPLES}
        for name, image in load_images([]).items():
            self._given[name] = _of_image(image, f"samples:{name}")

    @property
    def names(self) -> list[str]:
        """Those that are there from the start."""
        return list(self._given)

    def find(self, name: str) -> Picture:
        """The picture of a name.

        Raises:
            ValueError: none that is kept.
        """
        if name in self._given:
            return self._given[name]
        with self._lock:
            if name not in self._dropped:
                raise ValueError(f"picture {name[:80]!r} is not kept any more: drop it again")
            self._dropped.move_to_end(name)
            return self._dropped[name]

    def drop(self, data: bytes, name: str, side: int) -> str:
        """Take the bytes of a picture file of any name; its own name from now on.

        Raises:
            ValueError: not one of `SIDES`, or what `semlink.phy.pictures` refuses: no picture, a damaged one, one
                beyond its bounds.
        """
        if side not in SIDES:
            raise ValueError(f"side={side} must be one of: {', '.join(map(str, SIDES))}")
        stem = re.sub(r"[^\w-]+", "-", PurePath(name).stem)[:40].strip("-") or "picture"
        levels = _fitted(levels_of(data, name), side)
        if min(levels.shape[:2]) < LEAST_SIDE:
            h, w = levels.shape[:2]
            raise ValueError(f"image {name}: {w}x{h}; each side must have {LEAST_SIDE} pixels at least")
        own = f"{stem}-{digest_of(levels)[:8]}.png"
        with self._lock:
            self._dropped[own] = _of_levels(levels, own)
            self._dropped.move_to_end(own)
            while len(self._dropped) > MOST_DROPPED:
                self._dropped.popitem(last=False)
        return own


def as_png(levels: Pixels) -> bytes:
    """A picture as a file, without loss."""
    packed = io.BytesIO()
    Image.fromarray(levels).save(packed, format="png")
    return packed.getvalue()


def _fitted(levels: Pixels, side: int) -> Pixels:
    h, w = levels.shape[:2]
    if max(h, w) <= side:
        return levels
    size = (max(1, round(w * side / max(h, w))), max(1, round(h * side / max(h, w))))
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.LANCZOS))


def _of_levels(levels: Pixels, word: str) -> Picture:
    values = np.ascontiguousarray(levels).astype(np.float32) / 255  # as `read_pixels` has it of the saved file
    return Picture(levels, torch.from_numpy(values).permute(2, 0, 1)[None].contiguous(), word)


def _of_image(image: Float[Tensor, "1 3 h w"], word: str) -> Picture:
    return Picture(pixels(image), image, word)
