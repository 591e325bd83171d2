"""Frames that were encoded, kept to be sent again over other noise."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import partial

import torch
from torch import Tensor

from semlink.phy.channels import AWGN
from semlink.phy.link import Codec, Frame, InformedCodec, esno_to_n0

FRAMES_BYTES = 256 << 20
"""Of symbols that are kept to be sent again."""


class Frames:
    """Frames by what they are of; the one that was not asked for the longest goes once they take too much.

    Several threads may ask; what one of them encodes the others wait for.
    """

    def __init__(self, limit: int = FRAMES_BYTES) -> None:
        self._limit, self._bytes = limit, 0
        self._kept: OrderedDict[Hashable, Frame] = OrderedDict()
        self._lock = threading.Lock()
        self._under_way: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, encode: Callable[[], Frame]) -> Frame:
        """The frame of a key, encoded if it is not there."""
        found = self._find(key)
        if found is None:
            with self._lock:
                own = self._under_way.setdefault(key, threading.Lock())
            with own:
                found = self._find(key)
                if found is None:
                    found = encode()
                    self._keep(key, found)
        return found

    def _find(self, key: Hashable) -> Frame | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: Hashable, frame: Frame) -> None:
        with self._lock:
            self._under_way.pop(key, None)  # whoever waits for it has it, and finds the frame
            self._kept[key] = frame
            self._bytes += _bytes_of(frame)
            while self._bytes > self._limit and self._kept:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= _bytes_of(dropped)


def _bytes_of(frame: Frame) -> int:
    words = () if frame.words is None else (*frame.words.information, *frame.words.coded)
    return frame.symbols.nbytes + sum(one.nbytes for one in words)


def frame_key(codec: Codec | InformedCodec, esno_db: float, what: Hashable) -> Hashable:
    """What a codec's frame of something depends on: a codec that ignores the Es/N0 sends the same at every one."""
    return id(codec), None if getattr(codec, "ignores_n0", False) else esno_to_n0(esno_db), what


def try_codecs(
    codecs: Mapping[str, Codec | InformedCodec],
    images: Mapping[str, Tensor],
    *,
    esno_db: float = 10.0,
    frames: Frames | None = None,
) -> dict[str, float]:
    """Encode one image of each size with every codec: a size or ratio that is refused shows before the long run.

    Args:
        codecs: which.
        images: (1, c, h, w) by name.
        esno_db: the Es/N0 that the transmitters are told.
        frames: keeps what was encoded, for a transmission of one of the images alone.

    Returns:
        by codec, about how many seconds of processor time it takes to encode all images once: those of one of each size
        times how many have it.

    Raises:
        ValueError: naming the image.
    """
    counts = Counter(tuple(image.shape) for image in images.values())
    taken = dict.fromkeys(codecs, 0.0)
    n0, kept = esno_to_n0(esno_db), Frames() if frames is None else frames
    first = {tuple(image.shape): name for name, image in reversed(list(images.items()))}
    for name in first.values():
        for label, codec in codecs.items():
            begin = time.process_time()
            try:
                if isinstance(codec, InformedCodec):
                    codec.encode_informed(images[name], n0, lambda symbols: AWGN()(symbols, n0, rng=torch.Generator()))
                else:
                    kept.get(frame_key(codec, esno_db, (name,)), partial(codec.encode, images[name], n0))
            except ValueError as error:
                raise ValueError(f"image {name}: {error}") from error
            taken[label] += (time.process_time() - begin) * counts[tuple(images[name].shape)]
    return taken
