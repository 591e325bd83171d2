"""Options of a channel's specification: what they take, and how their text is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from semlink.phy.impairments import Medium, Stage

UNITS: Mapping[str, Mapping[str, float]] = {
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "Hz": {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9},
    "m/s": {"m/s": 1.0, "km/h": 1 / 3.6},
    "dB": {"dB": 1.0},
    "degrees": {"deg": 1.0},
    "ppm": {"ppm": 1.0},
}
"""Units that a number may carry, by the one that it has without."""


@dataclass(frozen=True)
class Option:
    """An option of a channel or a stage.

    Attributes:
        help: what it sets, in a few words.
        kind: "number", "count", "antennas" (TXxRX), "coherence", "word" or "choice".
        unit: of a number, one of `UNITS`, or other words for what a bare number counts.
        words: those that a "word" or "choice" takes; a "word" may be given bare.
        default: as text; None where it must be given, "" where leaving it out means something of its own.
    """

    help: str
    kind: str = "number"
    unit: str = ""
    words: tuple[str, ...] = ()
    default: str | None = ""

    def read(self, name: str, text: str) -> Any:  # noqa: ANN401 - a number or a word, as the option has it
        """Its value.

        Raises:
            ValueError: not of this kind.
        """
        if self.words and text not in self.words:
            raise ValueError(f"{name}={text} must be one of: {', '.join(self.words)}")
        if self.words:
            return text
        if self.kind == "antennas":
            return _read_antennas(name, text)
        if self.kind == "coherence" and text in ("block", "fast"):
            return text
        if self.kind in ("count", "coherence"):
            return _read_count(name, text, "block, fast or " * (self.kind == "coherence"))
        return _read_number(name, text, self.unit)


@dataclass(frozen=True)
class Entry:
    """A channel or a stage: what it is, in a line, its options by name, and what makes it of their values."""

    help: str
    options: Mapping[str, Option]
    make: Callable[..., Medium | Stage]

    def as_table(self) -> dict[str, Any]:
        """The help and the options in plain values, for JSON."""
        return {"help": self.help, "options": {key: asdict(option) for key, option in self.options.items()}}


def assign(name: str, given: str, options: Mapping[str, Option]) -> tuple[dict[str, Any], list[str]]:
    """Values by option, and the options that are missing.

    Raises:
        ValueError: an option that does not exist, is given twice or has a value that it does not take.
    """
    values: dict[str, Any] = {}
    for item in given.split(",") if given else []:
        key, equals, text = item.strip().partition("=")
        if not equals:
            key, text = _bare(name, key, options), key
        if key not in options:
            raise ValueError(f"{name}: {key!r} is no option of it; it has: {', '.join(options) or 'none'}")
        if key in values:
            raise ValueError(f"{name}: {key} is given twice")
        try:
            values[key] = options[key].read(key, text)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return values, [key for key, option in options.items() if option.default is None and key not in values]


def _bare(name: str, word: str, options: Mapping[str, Option]) -> str:
    """The option that a bare word is for."""
    for key, option in options.items():
        fits = option.kind == "antennas" and re.fullmatch(r"\d+x\d+", word) is not None
        fits = fits or (option.kind == "coherence" and word in ("block", "fast"))
        if fits or (option.kind == "word" and word in option.words):
            return key
    words = [word for option in options.values() if option.kind == "word" for word in option.words]
    raise ValueError(
        f"{name}: {word!r} is neither key=value nor a word it knows; it has the options {', '.join(options) or 'none'}"
        + (f" and the words {', '.join(words)}" if words else "")
    )


def _read_number(name: str, text: str, unit: str) -> float:
    match = re.fullmatch(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z/]*)", text)
    known = UNITS.get(unit, {})
    if not match or (match[2] and match[2] not in known) or not math.isfinite(float(match[1])):
        units = f", in {', '.join(known)} (without a unit: {unit})" if known else ""
        raise ValueError(f"{name}={text} must be a number{units}")
    return float(match[1]) * known.get(match[2], 1.0)


def _read_count(name: str, text: str, also: str = "") -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{name}={text} must be {also}a whole number")
    return int(text)


def _read_antennas(name: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise ValueError(f"{name}={text} must be TXxRX, such as 4x4: transmit and receive antennas")
    return int(match[1]), int(match[2])
