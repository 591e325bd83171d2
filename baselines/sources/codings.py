"""The last source codings: the same image is sent at many an Es/N0, and an adaptive link tries many a budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from semlink.baselines.sources.source import Pixels, Shape, SourceCoder, content_of, grey_image

_BYTES = 1 << 27
_OVERHEAD = 900  # of an entry, beside the coding itself


class Coding:
    """An image in at most so many bytes.

    Attributes:
        data: the coding; empty when none fits.
    """

    def __init__(self, source: SourceCoder, pixels: Pixels, budget: int) -> None:
        self.data = source.encode(pixels, budget) or b""
        self._source = source
        self._mse: float | None = None

    def mse(self, pixels: Pixels) -> float:
        """Its mean squared error on 8-bit levels against the image; that of the fallback image when none fits."""
        if self._mse is None:
            h, w, c = pixels.shape
            decoded = self._source.decode(self.data, (h, w, c), complete=True) if self.data else None
            error = pixels.astype(np.float32) - (grey_image((h, w, c)) if decoded is None else decoded)
            self._mse = float(np.mean(error * error))
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
    return [future.result() for future in [_KEPT.get(source, pixels, budget) for pixels in images]]


Key = tuple[SourceCoder, bytes, Shape, int]


class _Codings:
    """By content, not by array: `functools.lru_cache` would keep the images."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Future[Coding]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, source: SourceCoder, pixels: Pixels, budget: int) -> Future[Coding]:
        """A coding that is made, or is being made by another thread."""
        h, w, c = pixels.shape
        key = (source, content_of(pixels), (h, w, c), budget)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            coding = self._kept[key] = Future()
        try:
            coding.set_result(Coding(source, pixels, budget))
        except BaseException as error:
            with self._lock:
                del self._kept[key]
            coding.set_exception(error)
            raise
        self._trim(coding.result())
        return coding

    def _trim(self, added: Coding) -> None:
        with self._lock:
            self._bytes += len(added.data) + _OVERHEAD
            while self._bytes > _BYTES and next(iter(self._kept.values())).done():
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.result().data) + _OVERHEAD


_KEPT = _Codings()
