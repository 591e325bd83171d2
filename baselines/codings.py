"""The last source codings: the same image is sent at many an Es/N0, and an adaptive link tries many a budget."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from semlink.baselines.source import Pixels, Shape, SourceCoder, grey_image

_BYTES = 1 << 27
_OVERHEAD = 600  # of an entry, beside the coding itself


@dataclass(frozen=True)
class Coding:
    """An image in at most so many bytes.

    Attributes:
        data: the coding; empty when none fits.
        mse: its mean squared error on 8-bit levels; that of the fallback image when none fits.
    """

    data: bytes
    mse: float


def code_image(source: SourceCoder, pixels: Pixels, budget: int) -> Coding:
    """The coding of an image (h, w, c) to at most `budget` bytes, made once.

    Raises:
        ValueError: an image that the format cannot hold.
    """
    content = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()
    h, w, c = pixels.shape
    return _KEPT.get((source, content, (h, w, c), budget), pixels)


Key = tuple[SourceCoder, bytes, Shape, int]


class _Codings:
    """By content, not by array: `functools.lru_cache` would keep the images. Two threads never make the same one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Future[Coding]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Key, pixels: Pixels) -> Coding:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found = self._kept[key]
            else:
                found = None
                made: Future[Coding] = Future()
                self._kept[key] = made
        return found.result() if found is not None else self._make(key, pixels, made)

    def _make(self, key: Key, pixels: Pixels, made: Future[Coding]) -> Coding:
        try:
            coding = _code(key[0], pixels, key[3])
        except BaseException as error:
            with self._lock:
                del self._kept[key]
            made.set_exception(error)
            raise
        made.set_result(coding)
        with self._lock:
            self._bytes += len(coding.data) + _OVERHEAD
            while self._bytes > _BYTES and next(iter(self._kept.values())).done():
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.result().data) + _OVERHEAD
        return coding


_KEPT = _Codings()


def _code(source: SourceCoder, pixels: Pixels, budget: int) -> Coding:
    h, w, c = pixels.shape
    data = source.encode(pixels, budget) or b""
    decoded = source.decode(data, (h, w, c), complete=True) if data else None
    error = pixels.astype(np.float32) - (grey_image((h, w, c)) if decoded is None else decoded)
    return Coding(data, float(np.mean(error * error)))
