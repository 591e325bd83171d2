"""What a source coder is to the separate chain: an image to at most so many bytes, and back from what arrived."""

from __future__ import annotations

import hashlib
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


@runtime_checkable
class Estimating(Protocol):
    """A source coder that can say about what a budget gives, in less time than the coding takes."""

    def estimate(self, image: Pixels, budget: int) -> float | None:
        """About the mean squared error, on 8-bit levels, of the coding in so many bytes; None where it cannot say."""
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


def to_picture(image: Pixels) -> Image.Image:
    """An image (h, w, c) as Pillow has it, in mode L or RGB."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
