"""The settings of a coder for one image, from coarse to fine: the finest that fits a budget, and an estimate of it."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Protocol, runtime_checkable

import numpy as np

from semlink.baselines.sources.kept import Kept
from semlink.baselines.sources.source import Pixels, Shape, SourceCoder, content_of

SHORT = 1 << 11
"""Codings of up to so many bytes are kept with the lengths, longer ones as long as there is room."""

COARSE = 8
"""Bytes between one setting and the next from which on nearly what fits is taken for the best that does."""

Measure = Callable[[Pixels | None], float]
"""The mean squared error of what was decoded against the image, on 8-bit levels; of nothing, infinite."""


@dataclass
class Known:
    """What is known of one image's codings at one chroma subsampling, by setting.

    Attributes:
        lengths: in bytes.
        errors: mean squared errors on 8-bit levels.
        codings: those of at most `SHORT` bytes.
        key: what longer ones are kept by; None to keep none.
    """

    lengths: dict[int, int] = field(default_factory=dict)
    errors: dict[int, float] = field(default_factory=dict)
    codings: dict[int, bytes] = field(default_factory=dict)
    key: Hashable = None


@dataclass(frozen=True)
class Key:
    """All that codings and their errors hang on, but for setting and chroma: what `Known` is kept by.

    Attributes:
        coder: with its options.
        content: of the image that was meant (`content_of`).
        shape: of it.
        size: (h, w) at which it is coded.
    """

    coder: SourceCoder
    content: bytes
    shape: Shape
    size: tuple[int, int]


def key_of(coder: SourceCoder, image: Pixels) -> Key:
    """The key of an image (h, w, c) that is coded as it is."""
    h, w, c = image.shape
    return Key(coder, content_of(image), (h, w, c), (h, w))


@lru_cache(maxsize=1 << 15)  # of a few kilobytes each
def known_of(key: Key, variant: str = "") -> Known:
    """What is known so far, empty at first; `variant` tells codings with other options apart.

    Many budgets are asked for the same image, and slow coders tried at the same settings. Kept for the last images.
    """
    return Known(key=(key, variant))


@runtime_checkable
class ChromaCoding(Protocol):
    """A coding of one image at a setting, at 4:2:0 or 4:4:4."""

    def __call__(self, setting: int, *, full_chroma: bool = False) -> bytes: ...


LIKELY = 1.03
"""4:2:0 and 4:4:4 are both tried where the estimated error of neither is more than so many times the other's."""


@dataclass(frozen=True)
class Rough:
    """How to estimate what a budget gives, from few and fast codings.

    Attributes:
        settings: rising, the first the coarsest of the coder.
        coding_at: a coding at a setting; None where that is the coder's own.
        length: what a length is to be multiplied by to stand for that of the coder itself, by setting.
    """

    settings: Sequence[int]
    coding_at: ChromaCoding | None = None
    length: Callable[[int], float] = lambda _: 1.0


@dataclass(frozen=True)
class Best:
    """The finest coding that fits.

    Attributes:
        data: the coding.
        measured: gives its mean squared error on 8-bit levels, for which it is decoded.
    """

    data: bytes
    measured: Callable[[], float]

    @cached_property
    def error(self) -> float:
        """Its mean squared error on 8-bit levels."""
        return self.measured()

    @property
    def told(self) -> float | None:
        """The error where it was asked for already."""
        error: float | None = vars(self).get("error")
        return error


@dataclass(frozen=True)
class Ladder:
    """A coder's settings for one image.

    The best coding is that of least squared error among the finest that fit at 4:2:0 and at 4:4:4. The latter is in
    question only where 4:2:0 reaches the setting `full_chroma_from`, about: below it, it is nearly never better. Where
    estimates leave no doubt which is, the other is not tried.

    Attributes:
        key: what the codings hang on.
        coding_at: a coding at a setting.
        decode: a whole coding back to pixels.
        measure: the error of what was decoded.
        low: the coarsest setting.
        high: the finest setting.
        growth: by how much the logarithm of the length rises with each setting, about.
        rough: for estimates.
        full_chroma_from: None where 4:4:4 is never tried.
        full_chroma_low: the coarsest setting at 4:4:4; None for `low`.
        close: share of the budget below which what is left unused is left: no finer setting is tried then.
        floor: no coding is shorter, in bytes: for less nothing is tried.
    """

    key: Key
    coding_at: ChromaCoding
    decode: Callable[[bytes], Pixels | None]
    measure: Measure
    low: int
    high: int
    growth: float
    rough: Rough
    full_chroma_from: int | None = None
    full_chroma_low: int | None = None
    close: float = 0.0
    floor: int = 0

    def best(self, budget: int) -> Best | None:
        """The best coding in at most `budget` bytes; None if not even the coarsest fits."""
        half, full = self._tracks
        found = None
        guesses = self._guesses(budget)
        if guesses[0] <= LIKELY * guesses[1]:  # or neither fits
            found = half.best(budget)
        if guesses[1] <= LIKELY * guesses[0] and guesses[1] < math.inf:
            other = full.best(budget)
            found = other if found is None or (other is not None and other.error < found.error) else found
        return half.best(budget) if found is None else found

    def estimate(self, budget: int) -> float:
        """About the error of `best`, from the nearest rough codings; infinite where not even the coarsest fits."""
        return min(self._guesses(budget))

    @cached_property
    def _tracks(self) -> tuple[_Track, _Track]:
        return _Track(self, full_chroma=False), _Track(self, full_chroma=True)

    def _guesses(self, budget: int) -> tuple[float, float]:
        """Estimates at 4:2:0 and 4:4:4, infinite where it is not in question."""
        half, full = self._tracks
        below, _ = half.bracket(budget)
        from_setting = self.full_chroma_from
        asked = from_setting is not None and below is not None and self.key.shape[2] > 1
        reached = asked and half.start(budget)[0] >= (from_setting or 0)
        return half.estimate(budget), full.estimate(budget) if reached else math.inf


@runtime_checkable
class Laddered(SourceCoder, Protocol):
    """A source coder that shows its settings and has first bytes to spare: what `Resolutions` needs."""

    @property
    def spare(self) -> range:
        """First bytes that no coding of its own begins with, none of them 0: one more than `Resolutions` has scales."""
        ...

    def ladder(self, image: Pixels, key: Key, measure: Measure) -> Ladder:
        """Its settings for an image; `key` is what its codings hang on, `measure` the error of what they decode to."""
        ...


def best_coding(coder: Laddered, image: Pixels, budget: int) -> bytes | None:
    """The best coding of an image on the coder's ladder in at most `budget` bytes; None if none fits.

    Raises:
        ValueError: an image that the format cannot hold.
    """
    best = coder.ladder(image, key_of(coder, image), error_against(image)).best(budget)
    return None if best is None else best.data


class _Track:
    """A ladder at one chroma subsampling."""

    def __init__(self, ladder: Ladder, *, full_chroma: bool) -> None:
        self.ladder, rough = ladder, ladder.rough
        self.low = ladder.low
        if full_chroma and ladder.full_chroma_low is not None:
            self.low = ladder.full_chroma_low
        self.settings = [self.low, *(one for one in rough.settings if one > self.low)]
        chroma = "4:4:4" if full_chroma else ""
        self.known = known_of(ladder.key, chroma)
        self._brackets: dict[int, tuple[int | None, int | None]] = {}
        self.coding_at = partial(ladder.coding_at, full_chroma=full_chroma)
        self.rough_known, self.rough_at = self.known, self.coding_at
        if rough.coding_at is not None:
            self.rough_known = known_of(ladder.key, f"rough {chroma}")
            self.rough_at = partial(rough.coding_at, full_chroma=full_chroma)

    def best(self, budget: int) -> Best | None:
        """The finest coding in at most `budget` bytes, and its error."""
        if budget < self.ladder.floor:
            return None
        ladder, (start, growth) = self.ladder, self.start(budget)
        found = best_within(
            budget,
            self.coding_at,
            low=self.low,
            high=ladder.high,
            start=start,
            growth=growth,
            known=self.known,
            close=ladder.close,
        )
        return found and Best(found[1], partial(self._error, found[0], self.known, self.coding_at))

    def estimate(self, budget: int) -> float:
        """About the error of `best`; infinite where not even the coarsest setting fits."""
        below, above = self.bracket(budget)
        if below is None:
            return math.inf
        errors = [self._error(one, self.rough_known, self.rough_at) for one in (below, above) if one is not None]
        if above is None or (long := self._length(above)) <= (short := self._length(below)):
            return errors[0]
        share = math.log(budget / short) / math.log(long / short)
        coarse, fine = (max(error, 1e-3) for error in errors)
        return math.exp(math.log(coarse) + share * math.log(fine / coarse))

    def start(self, budget: int) -> tuple[int, float]:
        """Where the search for a budget starts, and the growth of lengths there."""
        below, above = self.bracket(budget)
        if below is None or above is None:
            return (self.low if below is None else self.ladder.high), self.ladder.growth
        short, long = self._length(below), self._length(above)
        growth = math.log(long / short) / (above - below) if long > short else self.ladder.growth
        return below + math.floor(math.log(max(1, budget) / short) / growth), growth

    def bracket(self, budget: int) -> tuple[int | None, int | None]:
        """The nearest rough settings: of which the coding fits, and of which it does not."""
        if budget not in self._brackets:  # it is asked for several times over
            at = 0 if budget < self.ladder.floor else bisect_right(self.settings, float(budget), key=self._length)
            below, above = self.settings[:at], self.settings[at:]
            self._brackets[budget] = (below[-1] if below else None), (above[0] if above else None)
        return self._brackets[budget]

    def _length(self, setting: int) -> float:
        known = self.rough_known.lengths
        length = known[setting] if setting in known else len(made(setting, self.rough_at, self.rough_known))
        return length * self.ladder.rough.length(setting)

    def _error(self, setting: int, known: Known, coding_at: Callable[[int], bytes]) -> float:
        if setting not in known.errors:
            known.errors[setting] = self.ladder.measure(self.ladder.decode(made(setting, coding_at, known)))
        return known.errors[setting]


def best_within(
    budget: int,
    coding_at: Callable[[int], bytes],
    *,
    low: int,
    high: int,
    start: int,
    growth: float,
    known: Known | None = None,
    close: float = 0.0,
) -> tuple[int, bytes] | None:
    """The finest setting in low … high whose coding fits, and that coding; None if not even `low` does.

    Bisection that aims: the first try is `start`, and the next are where the length would be met if it rose by the
    ratio exp(`growth`) with each setting, or as between the two nearest ones tried. Every third try halves what is
    left. The length is taken to rise with the setting; where it does not quite, the result still fits, and a finer
    setting that fits as well may be missed. One that leaves less than the share `close` of the budget unused ends it,
    where a setting is worth more than `COARSE` bytes: where it is worth fewer, several have the same length.

    `known` has lengths and short codings by setting, and gets those that are found. It spares codings, but has no say
    in what is tried next: the result depends on nothing that was asked before.
    """
    known = Known() if known is None else known
    best: bytes | None = None
    below, above = low - 1, high + 1  # `below` fits, `above` does not, or they are out of range
    lengths: dict[int, int] = {}
    middle = start
    while above - below > 1:
        middle = min(max(middle, below + 1), above - 1)
        coding = None if middle in known.lengths else made(middle, coding_at, known)
        length = known.lengths[middle]
        lengths[middle] = max(1, length)
        if length <= budget:
            below, best = middle, coding
            if length > (1 - close) * budget and growth * budget > COARSE:
                break
        else:
            above = middle
        middle = (below + above) // 2 if len(lengths) % 3 == 0 else _aim(budget, lengths, below, above, growth)
    if below < low:
        return None
    return below, made(below, coding_at, known) if best is None else best


def made(setting: int, coding_at: Callable[[int], bytes], known: Known) -> bytes:
    """The coding at a setting, made once while there is room for it."""
    if setting in known.codings:
        return known.codings[setting]
    long = known.key is not None and known.lengths.get(setting, 0) > SHORT
    coding = _LONG.get((known.key, setting), partial(coding_at, setting)).result() if long else coding_at(setting)
    if len(coding) <= SHORT:
        known.codings[setting] = coding
    elif known.key is not None and not long:
        _LONG.get((known.key, setting), lambda: coding)
    known.lengths[setting] = len(coding)
    return coding


def _aim(budget: int, lengths: dict[int, int], below: int, above: int, growth: float) -> int:
    """The setting at which the coding is expected to just fit; the nearest tried are `below` and `above`."""
    known = below if below in lengths else above
    if below in lengths and above in lengths and lengths[above] > lengths[below]:
        growth = math.log(lengths[above] / lengths[below]) / (above - below)
    return known + math.floor(math.log(max(1, budget) / lengths[known]) / growth + 0.5)


def error_against(image: Pixels) -> Measure:
    """The mean squared error against an image."""

    def measure(decoded: Pixels | None) -> float:
        if decoded is None:
            return math.inf
        difference = np.subtract(image, decoded, dtype=np.int16)
        return float(np.square(difference, dtype=np.int32).sum(dtype=np.int64)) / image.size

    return measure


_LONG: Kept[bytes] = Kept(1 << 26, len)
