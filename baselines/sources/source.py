"""What a source coder is to the separate chain: an image to at most so many bytes, and back from what arrived."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Pixels = UInt8[np.ndarray, "h w c"]
"""An image as NumPy and Pillow lay it out: one channel (grey) or three (RGB)."""

Shape = tuple[int, int, int]
"""(h, w, c) of such an image."""

GREY = 128
"""The fallback of whatever did not arrive: mid-grey, 128/255, which is also what a JPEG decoder makes of no data."""

SMALL_SIDE = 64
"""Up to this height and width headers would take most of the budget: what the receiver can rebuild is not sent."""


@runtime_checkable
class SourceCoder(Protocol):
    """A lossy image coder with a byte budget. Stateless, and hashable so that its output can be cached."""

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The best coding (least squared error) in at most `budget` bytes, not all of them zero; None if none fits.

        Raises:
            ValueError: an image that the format cannot hold.
        """
        ...

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image (h, w, c), from all of the coding (and any zeros after it) or from the first part.

        None when nothing useful comes out: too little arrived, or the data are damaged and the decoder notices. The
        caller shows `grey_image` and counts the image as failed. Damage that the decoder does not notice gives a wrong
        image. Never raises for the content of `data`.
        """
        ...

    def __hash__(self) -> int: ...

    def note(self, shape: Shape) -> str:
        """One sentence: which bytes are counted, and what the receiver is taken to know, for an image of this size."""
        ...


def grey_image(shape: Shape) -> Pixels:
    """The fallback image."""
    return np.full(shape, GREY, dtype=np.uint8)


def is_small(shape: Shape) -> bool:
    """Whether what the receiver can rebuild of the headers is left out for an image (h, w, c)."""
    return max(shape[0], shape[1]) <= SMALL_SIDE


def check_image(image: Pixels, *, name: str, max_side: int) -> Shape:
    """The shape (h, w, c) of an image that a format can hold.

    Raises:
        ValueError: other than 1 or 3 channels, an empty image, or a side over `max_side` pixels.
    """
    if image.ndim != 3 or image.shape[2] not in (1, 3) or not 1 <= min(image.shape) <= max(image.shape) <= max_side:
        raise ValueError(f"image has shape {image.shape}; {name} takes (h, w, c), sides up to {max_side}, c of 1 or 3")
    return image.shape


def content_of(image: Pixels) -> bytes:
    """What stands for the content of an image in a cache, but for its shape."""
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()


def known_lengths(coder: SourceCoder, image: Pixels, *, full_chroma: bool = False) -> dict[int, int]:
    """The lengths of an image's codings by setting, as far as searches have come across them; for `best_within`.

    Many budgets are asked for the same image, and slow coders tried at the same settings. Kept for the last images.
    """
    h, w, c = image.shape
    return _lengths(coder, content_of(image), (h, w, c), full_chroma)


@lru_cache(maxsize=1 << 13)  # of some kilobytes each
def _lengths(coder: SourceCoder, content: bytes, shape: Shape, full_chroma: bool) -> dict[int, int]:  # noqa: ARG001
    return {}


def best_within(
    budget: int,
    coding_at: Callable[[int], bytes],
    *,
    low: int,
    high: int,
    start: int,
    growth: float,
    known: dict[int, int] | None = None,
) -> tuple[int, bytes] | None:
    """The finest setting in low … high whose coding fits, and that coding; None if not even `low` does.

    Bisection that aims: the first try is `start`, and the next are where the length would be met if it rose by the
    ratio exp(`growth`) with each setting, or as between the two nearest ones tried. Every third try halves what is
    left. The length is taken to rise with the setting; where it does not quite, the result still fits, and a finer
    setting that fits as well may be missed.

    `known` has lengths by setting, and gets those that are found. It spares codings, but has no say in what is tried
    next: the result depends on nothing that was asked before. A `start` that is the same for all budgets spares most.
    """
    known = {} if known is None else known
    best: bytes | None = None
    below, above = low - 1, high + 1  # `below` fits, `above` does not, or they are out of range
    lengths: dict[int, int] = {}
    middle = start
    while above - below > 1:
        middle = min(max(middle, below + 1), above - 1)
        coding = None if middle in known else coding_at(middle)
        if coding is not None:
            known[middle] = len(coding)
        lengths[middle] = max(1, known[middle])
        if known[middle] <= budget:
            below, best = middle, coding
        else:
            above = middle
        middle = (below + above) // 2 if len(lengths) % 3 == 0 else _aim(budget, lengths, below, above, growth)
    if below < low:
        return None
    return below, coding_at(below) if best is None else best


def _aim(budget: int, lengths: dict[int, int], below: int, above: int, growth: float) -> int:
    """The setting at which the coding is expected to just fit; the nearest tried are `below` and `above`."""
    known = below if below in lengths else above
    if below in lengths and above in lengths and lengths[above] > lengths[below]:
        growth = math.log(lengths[above] / lengths[below]) / (above - below)
    return known + math.floor(math.log(max(1, budget) / lengths[known]) / growth + 0.5)


@runtime_checkable
class ChromaCoding(Protocol):
    """A coding of one image at a setting, at 4:2:0 or 4:4:4."""

    def __call__(self, setting: int, *, full_chroma: bool = False) -> bytes: ...


def best_chroma(
    coder: SourceCoder,
    image: Pixels,
    budget: int,
    coding_at: ChromaCoding,
    *,
    low: int,
    high: int,
    start: int,
    growth: float,
    lead: int,
    full_chroma_from: int,
) -> bytes | None:
    """The coding of least squared error among the finest that fit at 4:2:0 and at 4:4:4; None if not even `low` fits.

    The search is that of `best_within`. 4:4:4 is tried only for colour, and only when 4:2:0 reaches the setting
    `full_chroma_from`: below it 4:2:0 is nearly always better, and trying both takes twice as long. Its search starts
    `lead` settings lower.
    """
    known = known_lengths(coder, image)
    half = best_within(budget, coding_at, low=low, high=high, start=start, growth=growth, known=known)
    if half is None or image.shape[2] == 1 or half[0] < full_chroma_from:
        return half and half[1]
    setting, coding = half
    at_full, known = partial(coding_at, full_chroma=True), known_lengths(coder, image, full_chroma=True)
    full = best_within(budget, at_full, low=low, high=setting, start=setting - lead, growth=growth, known=known)
    if full is None:
        return coding
    h, w, c = image.shape
    decode = partial(coder.decode, shape=(h, w, c), complete=True)
    return min(coding, full[1], key=lambda one: _squared_error(image, decode(one)))


def to_picture(image: Pixels) -> Image.Image:
    """An image (h, w, c) as Pillow has it, in mode L or RGB."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def _squared_error(image: Pixels, decoded: Pixels | None) -> float:
    if decoded is None:
        return np.inf
    difference = (image.astype(np.int32) - decoded).ravel()
    return float(difference @ difference)
