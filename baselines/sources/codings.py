"""The last source codings: the same image is sent at many an Es/N0, and an adaptive link tries many a budget."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from semlink.baselines.sources.kept import Kept
from semlink.baselines.sources.ladder import error_against
from semlink.baselines.sources.resolution import Resolutions
from semlink.baselines.sources.source import Pixels, SourceCoder, content_of, grey_image

_OVERHEAD = 900  # of an entry, beside the coding itself


class Coding:
    """An image in at most so many bytes.

    Attributes:
        data: the coding; empty when none fits.
    """

    def __init__(self, source: SourceCoder, pixels: Pixels, budget: int) -> None:
        self._source = source
        self._mse: float | None = None
        if isinstance(source, Resolutions):
            best = source.best(pixels, budget)
            # Nothing more of it is kept: it holds the image.
            self.data, self._mse = (b"", None) if best is None else (best.data, best.told)
        else:
            self.data = source.encode(pixels, budget) or b""

    def mse(self, pixels: Pixels) -> float:
        """Its mean squared error on 8-bit levels against the image; that of the fallback image when none fits."""
        if self._mse is None:
            h, w, c = pixels.shape
            decoded = self._source.decode(self.data, (h, w, c), complete=True) if self.data else None
            self._mse = error_against(pixels)(grey_image((h, w, c)) if decoded is None else decoded)
        return self._mse


def code_image(source: SourceCoder, pixels: Pixels, budget: int) -> Coding:
    """The coding of an image (h, w, c) to at most `budget` bytes; as `code_images`."""
    return code_images(source, [pixels], budget)[0]


def code_images(source: SourceCoder, images: Sequence[Pixels], budget: int) -> list[Coding]:
    """The codings of some images (h, w, c) to at most `budget` bytes each, every one made once.

    Threads that ask for the same images at the same time share the work: each makes those that no other has begun, and
    waits for the rest at the end.

    Raises:
        ValueError: an image that the format cannot hold.
    """
    return [future.result() for future in [_get(source, pixels, budget) for pixels in images]]


def _get(source: SourceCoder, pixels: Pixels, budget: int) -> Future[Coding]:
    """By content, not by array: `functools.lru_cache` would keep the images."""
    return _KEPT.get((source, content_of(pixels), pixels.shape, budget), partial(Coding, source, pixels, budget))


_KEPT: Kept[Coding] = Kept(1 << 27, lambda coding: len(coding.data) + _OVERHEAD)
