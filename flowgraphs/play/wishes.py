"""What a page may ask for, checked where it is read: it comes from a browser."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

from semlink.phy.documents import parse_json

LEVELS = "-5:25:0.5"
"""Es/N0 of the slider in dB, as --esno takes it."""
LONGEST = 300
"""Letters of a channel's or a codec's specification."""
MOST_CODECS = 8
MOST_SEED = 2**31 - 1
_LARGEST = 1e15  # of a number; neither NaN nor infinity is below it
_OF_FILES = re.compile(r"(?<![0-9])/|/(?![0-9])|\\|\.safetensors|\b(key|env|table)=")  # 2/3 is a code rate
_CEILING = re.compile(r"\w+-capacity(:.*)?")


@dataclass(frozen=True)
class Scene:
    """What all codecs that are shown have in common.

    Attributes:
        picture: by the name that `Pictures` gave it.
        channel: as --channel takes it.
        ratio: as --ratio takes it.
        seed: of noise and fading.
    """

    picture: str
    channel: str
    ratio: str
    seed: int


@dataclass(frozen=True)
class Wish:
    """One picture through one codec at one Es/N0 in dB."""

    scene: Scene
    codec: str
    esno_db: float


@dataclass(frozen=True)
class Stride:
    """The same at one step of a walk: the picture of number `step`, with `doppler` cycles from one to the next."""

    wish: Wish
    step: int
    doppler: float


@dataclass(frozen=True)
class Copy:
    """What is shown, to be told as a command and as Python."""

    scene: Scene
    codecs: tuple[str, ...]
    esno_db: float


class Asked:
    """A document of a request, read field by field.

    Args:
        body: JSON.
        told: names of codecs and channels that the command line gave: those alone may name files and modules.

    Raises:
        ValueError: here and below, whatever is missing, of another kind or out of range.
    """

    def __init__(self, body: bytes, told: Collection[str] = ()) -> None:
        found = parse_json(body)
        if not isinstance(found, Mapping):
            raise ValueError("a request must be a table of JSON")
        self._found, self._told = found, told

    def scene(self) -> Scene:
        """What all codecs share."""
        channel, seed = self.name("channel"), self._number("seed")
        if not (seed.is_integer() and 0 <= seed <= MOST_SEED):
            raise ValueError(f"seed={seed:g} must be a whole number from 0 to {MOST_SEED}")
        return Scene(self.text("picture"), channel, self.text("ratio"), int(seed))

    def wish(self) -> Wish:
        """A picture to be sent."""
        return Wish(self.scene(), self.name("codec"), self._esno())

    def judged(self) -> bool:
        """Whether the SSIM is wanted; it is where nothing else is said."""
        value = self._found.get("judged", True)
        if not isinstance(value, bool):
            raise ValueError("judged: must be true or false")
        return value

    def stride(self) -> Stride:
        """A step of a walk."""
        step, doppler = self._number("step"), self._number("doppler")
        if not (step.is_integer() and step >= 0):
            raise ValueError(f"step={step:g} must be a whole number from 0")
        return Stride(self.wish(), int(step), doppler)

    def copy(self) -> Copy:
        """What is to be told."""
        codecs = self._found.get("codecs")
        if not isinstance(codecs, list) or not 1 <= len(codecs) <= MOST_CODECS:
            raise ValueError(f"codecs: must be a list of 1 to {MOST_CODECS} names")
        return Copy(self.scene(), tuple(self._allowed("codec", one) for one in codecs), self._esno())

    def name(self, key: str) -> str:
        """The specification of a codec or a channel, of which no file is read and no module is imported."""
        return self._allowed(key, self._found.get(key))

    def _allowed(self, key: str, value: object) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
            raise ValueError(f"{key}: must be a text of 1 to {LONGEST} letters")
        ours = names_channel if key == "channel" else names_codec
        if value not in self._told and (_OF_FILES.search(value) or not ours(value)):
            raise ValueError(
                f"{key} {value!r} is none that shows pictures here; files and modules are taken from the command line "
                f"alone, by --{key}: see `semlink {key}s`"
            )
        return value

    def text(self, key: str) -> str:
        """A text that names something."""
        value = self._found.get(key)
        if not isinstance(value, str) or len(value) > LONGEST:
            raise ValueError(f"{key}: must be a text of at most {LONGEST} letters")
        return value

    def _number(self, key: str) -> float:
        value = self._found.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _LARGEST:
            raise ValueError(f"{key}: must be a number")
        return float(value)

    def _esno(self) -> float:
        value = self._number("esno_db")
        if not -100 <= value <= 100:
            raise ValueError(f"esno_db={value:g} must be from -100 to 100 dB")
        return value


@lru_cache(maxsize=256)
def names_channel(text: str) -> bool:
    """Whether a text is of a channel of the catalogue or of an installed package, and so imports no other module."""
    from semlink.flowgraphs.specs import own_names
    from semlink.phy.channels import CHANNELS

    return text.partition("+")[0].partition(":")[0] in CHANNELS or text in own_names("channels")


@lru_cache(maxsize=256)
def names_codec(text: str) -> bool:
    """The same of a codec that shows pictures, receivers behind it and eavesdroppers included."""
    from semlink.flowgraphs.specs import CLASSIFY, own_names, split_listener
    from semlink.neural import zoo

    codec, heard = split_listener(text)
    first, *receivers = codec.split("+")
    digital = _names_digital(first) or _CEILING.fullmatch(first) is not None
    # Nothing behind these: `swin:Mine` is a module swin of the working folder.
    known = digital or first in {*zoo.names(), *zoo.cards(), "prompt-analogue", *own_names("codecs")}
    shows = not any(one.startswith(CLASSIFY) for one in receivers)
    return known and shows and (heard is None or names_channel(heard))


def _names_digital(text: str) -> bool:
    """Whether a text is of a digital link of which no part is MODULE:NAME; of an installed package it may be."""
    from semlink.flowgraphs.specs import parse_digital, register_sources

    register_sources()
    digital = parse_digital(text)
    return digital is not None and not any(":" in name for name, _ in digital.parts)
