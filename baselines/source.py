"""What a source coder is to the separate chain: an image to at most so many bytes, and back from what arrived."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

Shape = tuple[int, int, int]
"""(h, w, c) of an image as NumPy and Pillow lay it out."""

GREY = 128
"""The fallback of whatever did not arrive: mid-grey, 128/255, which is also what a JPEG decoder makes of no data."""


@runtime_checkable
class SourceCoder(Protocol):
    """A lossy image coder with a byte budget. Stateless, and hashable so that its output can be cached."""

    def encode(self, image: UInt8[np.ndarray, "h w c"], budget: int) -> bytes | None:
        """The best coding in at most `budget` bytes, not all of them zero; None when even the coarsest does not fit."""
        ...

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> UInt8[np.ndarray, "h w c"]:
        """The image, from all of the coding (and any zeros after it) or from the first part; the rest is mid-grey.

        Never raises for the content of `data`.
        """
        ...

    def note(self, shape: Shape) -> str:
        """One sentence: which bytes are counted, and what the receiver is taken to know, for an image of this size."""
        ...


def grey_image(shape: Shape) -> UInt8[np.ndarray, "h w c"]:
    """The fallback image."""
    return np.full(shape, GREY, dtype=np.uint8)
