"""Resolution as a choice: an image is coded as it is, or reduced where that leaves the least squared error."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from semlink.baselines.sources.coders import find_source
from semlink.baselines.sources.kept import Kept
from semlink.baselines.sources.ladder import LIKELY, Best, Key, Ladder, Laddered, error_against, key_of
from semlink.baselines.sources.source import Pixels, Shape, SourceCoder, is_small, to_picture

SCALES = tuple(
    Fraction(above, below)
    for above, below in [
        (3, 4), (1, 2), (3, 8), (1, 4), (3, 16), (1, 8), (3, 32), (1, 16), (3, 64), (1, 32),
        (1, 64), (1, 128), (1, 256),
    ]
)  # fmt: skip
"""Of each side, rounded up; the first byte of a reduced coding tells which. Steps between
cost more time than they gain."""

KERNEL = Image.Resampling.LANCZOS
"""Down and up: a sinc windowed by a sinc, of three lobes; in Pillow's integers, so the same on every machine."""

FLAT_BYTES = {1: 2, 3: 3}
"""Of a mean colour, the last resort, by channels: the first byte, then a level of 8 bits, or 5, 6 and 5 bits of red,
green and blue."""

FULL = {True: 1.06, False: 1.02}
"""Full resolution is tried where its estimated error is at most so many times the least, by whether an image is small:
there a coding more or less makes a step. Reduced ones are tried up to `LIKELY`, or as much if that is less."""

CLEARLY = 0.8
"""A mean colour is out of the question where something else has an estimated error of less than so much of its own."""

_BLOCK = 8
_BITS = (5, 6, 5)


@dataclass
class Reduced:
    """An image made smaller.

    Attributes:
        pixels: (p, q, c).
        error: mean squared error, on 8-bit levels, of what it becomes when it is enlarged again: what no coding of it
            goes below, but for luck.
    """

    pixels: Pixels
    error: float


@dataclass(frozen=True)
class Resolutions:
    """A source coder that reduces an image where its error is less for it, and so has something for every budget.

    A coding at full resolution is that of the coder, byte by byte: the choice costs nothing there. A reduced one begins
    with a byte that no coding of the coder begins with, and tells the scale. The image is reduced and enlarged by
    `KERNEL`. Where nothing fits the mean colour is sent, in `FLAT_BYTES`.

    Which resolutions are worth trying is estimated from a few rough codings of each; those of the least estimated error
    are made, and the best of them by its measured error is taken. A scale is passed over that leaves as many blocks of
    8×8 pixels as the one before.

    Args:
        source: codes the image, reduced or not.
    """

    source: Laddered

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """The coding of least squared error in at most `budget` bytes; None if not even a mean colour fits.

        Raises:
            ValueError: an image that the format cannot hold.
        """
        best = self.best(image, budget)
        return None if best is None else best.data

    def best(self, image: Pixels, budget: int) -> Best | None:
        """As `encode`, with the error."""
        return self._view(image).best(budget)

    def estimate(self, image: Pixels, budget: int) -> float:
        """About the mean squared error, on 8-bit levels, of the coding in so many bytes, in a fraction of its time."""
        return self._view(image).estimate(budget)

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """As the coder's; of a reduced coding, enlarged to the image (h, w, c)."""
        if not data or data[0] not in self.source.spare:
            return self.source.decode(data, shape, complete=complete)
        index = self.source.spare.index(data[0])
        if index == 0:
            return _flat(data, shape)
        if index > len(SCALES):
            return None
        h, w = reduced_size(shape, SCALES[index - 1])
        pixels = self.source.decode(data[1:], (h, w, shape[2]), complete=complete)
        return None if pixels is None else resized(pixels, (shape[0], shape[1]))

    def _view(self, image: Pixels) -> _View:
        key = key_of(self.source, image)
        return _VIEWS.get(key, lambda: _View(self.source, image.copy(), key)).result()

    def note(self, shape: Shape) -> str:
        """Of the coder, and how an image is reduced."""
        reduced = f"or of the image reduced to {SCALES[0]} … {SCALES[-1]} a side (Lanczos), told by a first byte"
        return f"{self.source.note(shape)}; {reduced}; at the least a mean colour"


def link_source(name: str | SourceCoder) -> SourceCoder:
    """The source coder of a link: one that was named chooses the resolution where it can, an object is left as it is.

    Raises:
        ValueError: there is none of this name, or what it needs is not installed.
    """
    source = find_source(name)
    return Resolutions(source) if isinstance(name, str) and isinstance(source, Laddered) else source


def reduced_size(shape: Shape, scale: Fraction) -> tuple[int, int]:
    """(h, w) of an image (h, w, c) at a scale of `SCALES`."""
    return math.ceil(shape[0] * scale), math.ceil(shape[1] * scale)


def resized(image: Pixels, size: tuple[int, int]) -> UInt8[np.ndarray, "new_h new_w c"]:
    """An image brought to another size (h, w) by `KERNEL`."""
    found = np.asarray(to_picture(image).resize((size[1], size[0]), KERNEL))
    return found.reshape(*size, image.shape[2])


@lru_cache(maxsize=256)
def sizes(shape: Shape) -> list[tuple[int, tuple[int, int]]]:
    """Index into `SCALES` and (h, w) of the resolutions that are worth trying for an image, below its own."""
    found, blocks = [], _blocks(shape[:2])
    for index, scale in enumerate(SCALES):
        size = reduced_size(shape, scale)
        if _blocks(size) < blocks:
            blocks = _blocks(size)
            found.append((index, size))
    return found


def _blocks(size: tuple[int, ...]) -> int:
    return math.prod(-(-side // _BLOCK) for side in size)


class _View:
    """One image as one coder may code it, at every resolution; kept while there is room."""

    def __init__(self, source: Laddered, image: Pixels, key: Key) -> None:
        self.source, self.image, self.key = source, image, key
        self.sizes = sizes(key.shape)
        self._against = error_against(image)
        self._reduced: dict[int, Reduced] = {}
        self._ladders: dict[int | None, Ladder] = {None: source.ladder(image, key, self._against)}
        self._known: dict[int, dict[int | None, float]] = {}
        self._flat: Best | None = None

    def best(self, budget: int) -> Best | None:
        """The coding of least squared error; None if not even a mean colour fits."""
        estimates = self._estimates(budget)
        least = min(estimates.values())
        full = FULL[is_small(self.key.shape)]
        most = {index: least * (full if index is None else min(full, LIKELY)) for index in estimates}
        likely = [index for index, error in estimates.items() if math.isfinite(error) and error <= most[index]]
        found = [one for index in likely if (one := self._coded(index, budget)) is not None]
        if not found:  # estimates are of other codings: one that should have fitted may not
            every = (None, *(index for index, _ in self.sizes))
            found = [one for index in every if (one := self._coded(index, budget)) is not None]
        flat = self._mean_colour(budget)
        if len(found) == 1 and (flat is None or least < CLEARLY * flat.error):
            return found[0]
        return min([*found, *([] if flat is None else [flat])], key=lambda one: one.error, default=None)

    def estimate(self, budget: int) -> float:
        """About the error of the best."""
        least, flat = min(self._estimates(budget).values()), self._mean_colour(budget)
        return least if flat is None else min(least, flat.error)

    def _estimates(self, budget: int) -> dict[int | None, float]:
        """The estimated error by index of the scale; None for full resolution."""
        if budget not in self._known:
            found: dict[int | None, float] = {None: self._ladders[None].estimate(budget)}
            least = found[None]
            for index, size in self.sizes:
                if self._reduce(index, size).error >= least:
                    break
                found[index] = self._ladder(index).estimate(budget - 1)
                least = min(least, found[index])
            self._known[budget] = found
        return self._known[budget]

    def _coded(self, index: int | None, budget: int) -> Best | None:
        if index is None:
            return self._ladders[None].best(budget)
        best = self._ladder(index).best(budget - 1)
        return best and Best(bytes([self.source.spare[index + 1]]) + best.data, lambda: best.error)

    def _ladder(self, index: int) -> Ladder:
        if index not in self._ladders:
            h, w, _ = self.key.shape
            size = reduced_size(self.key.shape, SCALES[index])

            def measure(decoded: Pixels | None) -> float:
                return self._against(None if decoded is None else resized(decoded, (h, w)))

            pixels = self._reduce(index, size).pixels
            self._ladders[index] = self.source.ladder(pixels, replace(self.key, size=size), measure)
        return self._ladders[index]

    def _reduce(self, index: int, size: tuple[int, int]) -> Reduced:
        if index not in self._reduced:
            small = resized(self.image, size)
            h, w, _ = self.key.shape
            self._reduced[index] = Reduced(small, self._against(resized(small, (h, w))))
        return self._reduced[index]

    def _mean_colour(self, budget: int) -> Best | None:
        channels = self.key.shape[2]
        if budget < FLAT_BYTES[channels]:
            return None
        if self._flat is None:
            mean = self.image.reshape(-1, channels).mean(axis=0)
            data = bytes([self.source.spare[0]]) + _told(mean)
            self._flat = Best(data, partial(self._against, _flat(data, self.key.shape)))
        return self._flat


def _told(mean: Float[np.ndarray, " c"]) -> bytes:
    """A mean colour in bits."""
    if len(mean) == 1:
        return int(np.rint(mean[0])).to_bytes(1)
    red, green, blue = (int(np.rint(level / 255 * (2**bits - 1))) for level, bits in zip(mean, _BITS, strict=True))
    return (red << 11 | green << 5 | blue).to_bytes(2)


def _flat(data: bytes, shape: Shape) -> Pixels | None:
    """The image of a mean colour."""
    if len(data) < FLAT_BYTES[shape[2]]:
        return None
    if shape[2] == 1:
        return np.full(shape, data[1], dtype=np.uint8)
    told = int.from_bytes(data[1:3])
    levels = [told >> 11, told >> 5 & 63, told & 31]
    colour = [round(level * 255 / (2**bits - 1)) for level, bits in zip(levels, _BITS, strict=True)]
    return np.broadcast_to(np.array(colour, dtype=np.uint8), shape).copy()


def _size(view: _View) -> int:
    """Of an image, of what it is reduced to and of what is known of it, about; Pillow has four bytes a pixel."""
    return 4 * view.image.nbytes + 6000


_VIEWS: Kept[_View] = Kept(1 << 28, _size)
