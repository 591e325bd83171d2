"""What a study is: images, codecs, channels, Es/N0 and ratios, and when a point of the grid is known well enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from math import isnan
from typing import Any, NamedTuple, Self, TypeGuard, cast

from semlink.flowgraphs.specs import expand, own_names, parse_esno, parse_ratio
from semlink.phy.channels import CHANNELS, parse_channel
from semlink.phy.documents import short
from semlink.phy.metrics import METRICS, to_db
from semlink.phy.named import FORM
from semlink.phy.plain import plain

MAX_POINTS = 2_000_000
MAX_SEED = 2**63 - 1
"""Of a table's column of whole numbers."""
MAX_COUNT = 1_000_000_000
"""Of realisations, errors and pictures: far beyond what a machine gets through."""
MAX_NUMBER = 1e300
FEW = 10


class Point(NamedTuple):
    """One place of the grid, which becomes one row of the table."""

    codec: str
    channel: str
    ratio: float
    esno_db: float

    @property
    def key(self) -> str:
        """Names it in a results folder."""
        return f"{self.codec}|{self.channel}|{self.ratio:.9g}|{self.esno_db:.9g}"

    @property
    def curve(self) -> Curve:
        """The curve over Es/N0 that it belongs to."""
        return Curve(self.codec, self.channel, self.ratio)


class Curve(NamedTuple):
    """The points of one codec at one ratio on one channel."""

    codec: str
    channel: str
    ratio: float


@dataclass(frozen=True)
class Stop:
    """When a point is known well enough. A rule of 0 is none; without one, `Plan.realisations` are sent.

    Attributes:
        psnr_ci_db: half the width of the 95 % interval of the PSNR in dB, and of what outages that were not seen yet
            could make of it.
        block_errors: code blocks in error.
        most: realisations at most.
        accuracy_ci: half the width of the exact 95 % interval of the accuracy, as a share.
    """

    psnr_ci_db: float = 0.0
    block_errors: int = 0
    most: int = 100
    accuracy_ci: float = 0.0

    def __post_init__(self) -> None:
        _make_plain(self)
        if not _is_number(self.psnr_ci_db) or self.psnr_ci_db < 0:
            raise ValueError(f"stop.psnr_ci_db={self.psnr_ci_db!r} must be a number of dB from 0")
        if not _is_number(self.accuracy_ci) or not 0 <= self.accuracy_ci < 1:
            raise ValueError(f"stop.accuracy_ci={self.accuracy_ci!r} must be a share from 0 to below 1")
        _check_count("stop.block_errors", self.block_errors, 0)
        _check_count("stop.most", self.most, 1)

    @property
    def is_set(self) -> bool:
        """Whether there is a rule at all."""
        return self.psnr_ci_db > 0 or self.block_errors > 0 or self.accuracy_ci > 0

    def is_met(self, row: Mapping[str, Any], *, lost: float = 1.0) -> bool:
        """Whether one of the rules holds for a row of the table.

        An interval of a few transmissions is now and then narrow by luck, and stopping there would keep just those: it
        counts from `FEW` degrees of freedom on, which are images times realisations less one, and where what was not
        seen may make no more of a difference. Where images arrive or are lost and none did the other, noise leaves no
        interval, and what was not seen decides. `lost`: mean squared error of an image of which nothing arrives.
        """
        width = (row["psnr_db_high"] - row["psnr_db_low"]) / 2
        if isnan(width) and row.get("blocks") and row["failed"] in (0, row["images"] * row["realisations"]):
            width = 0.0  # of what was seen nothing varies
        enough = row["images"] * max(1, row["realisations"] - 1) >= FEW
        narrow = self.psnr_ci_db > 0 and enough and width <= self.psnr_ci_db  # never of an unknown (NaN) interval
        narrow = narrow and unseen_db(row, lost) <= self.psnr_ci_db
        sure = self.accuracy_ci > 0 and (row["accuracy_high"] - row["accuracy_low"]) / 2 <= self.accuracy_ci
        return bool(narrow or sure or 0 < self.block_errors <= row["block_errors"])


def unseen_db(row: Mapping[str, Any], lost: float) -> float:
    """How far the PSNR of a row may be off in dB, on average over both sides, by what was not seen in it at all.

    Where all images arrived, or none did, or no error differed from realisation to realisation, the interval of the
    mean tells nothing of the other outcome. That of m transmissions none went otherwise bounds its share by 3/m (the
    95 % "rule of three"; Hanley and Lippman-Hand, JAMA 249, 1983). An image that is lost has a squared error of `lost`,
    one that arrives has 0 at least. 0 where both were seen, of codecs that spread and have no code blocks to lose, and
    of any without code blocks on AWGN, where no fade is waited for.
    """
    if row.get("channel") == "awgn" and not row.get("blocks"):
        return 0.0
    sent = row["images"] * row["realisations"]
    varies = row["psnr_db_high"] > row["psnr_db_low"]
    if varies and (not row.get("blocks") or 0 < row["failed"] < sent):
        return 0.0
    share, error = min(1.0, 3 / sent), 10 ** (-row["psnr_db"] / 10)
    best = error * (1 - share)
    return (to_db(best) - to_db(min(1.0, best + share * max(lost, error)))) / 2


@dataclass(frozen=True)
class Refine:
    """Where further Es/N0 are placed: in the middle between two at which a curve differs by more than it should.

    By PSNR and failed images alone: accuracy is not heeded.

    Attributes:
        psnr_db: a difference of PSNR in dB that is too much; 0 for no further points.
        failed: a difference of the share of failed images that is too much.
        finest_db: no two Es/N0 become closer than so many dB.
    """

    psnr_db: float = 0.0
    failed: float = 0.25
    finest_db: float = 0.25

    def __post_init__(self) -> None:
        _make_plain(self)
        for name, low in (("psnr_db", 0.0), ("failed", 0.0), ("finest_db", 1e-3)):
            value = getattr(self, name)
            if not _is_number(value) or value < low:
                raise ValueError(f"refine.{name}={value!r} must be a number from {low:g}")

    def further(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """The Es/N0 in dB to add to a curve, given all its rows so far; none when it is smooth enough."""
        if not self.psnr_db:
            return []
        added = []
        for one, other in pairwise(sorted(rows, key=lambda row: row["esno_db"])):
            width = other["esno_db"] - one["esno_db"]
            known = not (one["error"] or other["error"])
            if known and width / 2 >= self.finest_db - 1e-9 and self._differ(one, other):
                added.append(round((one["esno_db"] + other["esno_db"]) / 2, 6))
        return added

    def _differ(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        failed = [row["failed"] / (row["images"] * row["realisations"]) for row in (one, other)]
        return bool(abs(other["psnr_db"] - one["psnr_db"]) > self.psnr_db or abs(failed[1] - failed[0]) > self.failed)


@dataclass(frozen=True)
class Plan:
    """A grid of transmissions: every codec, on every channel, at every ratio and every Es/N0.

    All that a study is but for running it, which `semlink.flowgraphs.studies.Study` adds.

    Attributes:
        images: files, folders and sets, as `semlink compare` takes them.
        codecs: as `--codec` takes them.
        channels: as `--channel` takes them.
        esno_db: in dB; also as text, "START:STOP:STEP".
        ratios: bandwidth ratios, complex channel uses / (c·h·w); also as text, "1/6".
        mcs: scheme of the digital codecs without one of their own.
        realisations: of noise and fading, for each image; with a stopping rule, at least. None for as many as
            `semlink compare` sends without being told: at least 6 receptions over AWGN, 30 where the channel fades.
        stop: when a point is known well enough.
        refine: where further Es/N0 are placed.
        metrics: perceptual metrics, "st-lpips" or "lpips".
        pictures: of how many images the receptions are kept, of the first realisation.
        seed: of noise and fading.
        name: for titles.

    Raises:
        ValueError: an empty grid, or a value that is refused.
    """

    images: Sequence[str] = ("samples",)
    codecs: Sequence[str] = ("jpeg-ldpc-qam", "jpeg-ldpc-qam:adaptive", "deepjscc", "swin")
    channels: Sequence[str] = ("awgn",)
    esno_db: Sequence[float] | str = "0:20:2"
    ratios: Sequence[float | str] = (1 / 6,)
    mcs: str = "16qam-1/2"
    realisations: int | None = None
    stop: Stop = field(default_factory=Stop)
    refine: Refine = field(default_factory=Refine)
    metrics: Sequence[str] = ()
    pictures: int = 3
    seed: int = 0
    name: str = "study"

    def __post_init__(self) -> None:
        for name, kind in (("stop", Stop), ("refine", Refine)):
            if not isinstance(value := getattr(self, name), kind):
                object.__setattr__(self, name, _table(kind, name, value))
        _make_plain(self)
        for name in ("images", "codecs", "channels", "metrics"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        object.__setattr__(self, "codecs", tuple(expand(self.codecs)))
        object.__setattr__(self, "esno_db", _levels(self.esno_db))
        object.__setattr__(self, "ratios", _ratios(self.ratios))
        for name in ("images", "codecs", "channels", "esno_db", "ratios"):
            values = getattr(self, name)
            if not values:
                raise ValueError(f"{name} is empty; give at least one")
            if len(set(values)) < len(values):
                raise ValueError(f"{name}={list(values)!r} has a value twice")
        for name in ("mcs", "name"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name}={getattr(self, name)!r} must be a text")
        if self.realisations is not None:
            _check_count("realisations", self.realisations, 1)
        _check_count("pictures", self.pictures, 0)
        _check_count("seed", self.seed, 0, MAX_SEED)
        if self.stop.is_set and self.stop.most < (self.realisations or 1):
            raise ValueError(f"stop.most={self.stop.most} must be at least realisations={self.realisations}")
        for name in self.metrics:  # whether their weights are there is asked when they are needed
            if name not in METRICS:
                raise ValueError(f"metrics: {name!r} must be one of: {', '.join(METRICS)}")
        for channel in self.channels:
            if not self._may_be_own(channel):
                parse_channel(channel)
        if self.size > MAX_POINTS:
            raise ValueError(f"{self.size} points are more than {MAX_POINTS}; make several studies of it")

    @staticmethod
    def _may_be_own(channel: str) -> bool:
        """Whether a channel may be one of somebody's own, by its form: what it names is not looked for.

        A plan may be read from results of a stranger, and looking for a module imports the packages about it.
        """
        first = channel.partition(":")[0]
        return first not in CHANNELS and (FORM.fullmatch(channel) is not None or channel in own_names("channels"))

    @property
    def size(self) -> int:
        """Points of the grid, without those that `refine` adds."""
        return len(self.codecs) * len(self.channels) * len(self.esno_db) * len(self.ratios)

    def points(self) -> list[Point]:
        """The grid, in the order of the table."""
        return [
            Point(codec, channel, float(ratio), float(level))
            for channel in self.channels
            for ratio in self.ratios
            for codec in self.codecs
            for level in self.esno_db
        ]

    def realisations_of(self, usual: int) -> tuple[int, int]:
        """The fewest and the most of a point on a channel where `usual` are sent unless the study says otherwise."""
        asked = self.realisations or usual
        return (min(asked, self.stop.most), self.stop.most) if self.stop.is_set else (asked, asked)

    def to_dict(self) -> dict[str, Any]:
        """All that decides the table, for JSON."""
        values = asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A study from the values of a TOML or JSON file.

        Raises:
            ValueError: an unknown field, or a value that is refused.
        """
        return cast(Self, _table(cls, "", values))


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """In words, where two studies (`Plan.to_dict`) differ: "seed was 0, is 1"."""
    found = []
    for key in sorted({*one, *other}):
        was, now = one.get(key), other.get(key)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            found += differences(was, now, f"{prefix}{key}.")
        elif was != now:
            found.append(f"{prefix}{key} was {short(was)}, is {short(now)}")
    return found


def _table(kind: Any, name: str, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whichever class is asked for
    allowed = [one.name for one in fields(kind)]
    if not isinstance(values, Mapping):
        raise ValueError(f"{name or 'study'}={short(values)} must be a table of: {', '.join(allowed)}")
    unknown = [f"{name}.{key}" if name else str(key) for key in values if key not in allowed]
    if unknown:
        raise ValueError(f"{', '.join(unknown)} must be among: {', '.join(allowed)}")
    return kind(**values)


def _names(name: str, values: object) -> tuple[str, ...]:
    given = [values] if isinstance(values, str) else values
    if not isinstance(given, Sequence) or not all(isinstance(one, str) and one for one in given):
        raise ValueError(f"{name}={values!r} must be a list of texts")
    return tuple(given)


def _levels(values: object) -> tuple[float, ...]:
    if isinstance(values, str):
        return tuple(parse_esno(values))
    given = [values] if _is_number(values) else values
    if not isinstance(given, Sequence) or not all(_is_number(one) and -100 <= one <= 100 for one in given):
        raise ValueError(f"esno_db={values!r} must be numbers of dB from -100 to 100, or START:STOP:STEP")
    return tuple(sorted(float(one) for one in given))


def _ratios(values: object) -> tuple[float, ...]:
    given = values if isinstance(values, Sequence) and not isinstance(values, str) else [values]
    ratios = []
    for one in given:
        if not isinstance(one, str) and not _is_number(one):
            raise ValueError(f"ratios={values!r} must be numbers, or texts such as 1/6")
        ratios.append(parse_ratio(one if isinstance(one, str) else repr(float(one))))
    return tuple(ratios)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def _check_count(name: str, value: object, least: int, most: int = MAX_COUNT) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name}={short(value)} must be a whole number from {least} to {most}")


def _make_plain(given: Stop | Refine | Plan) -> None:
    """Have Python's own numbers, texts and lists in place of NumPy's, paths and the like."""
    for one in fields(given):
        value = getattr(given, one.name)
        if not isinstance(value, Stop | Refine):
            object.__setattr__(given, one.name, plain(value))
