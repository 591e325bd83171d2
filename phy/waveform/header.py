"""What a burst says of itself ahead of its payload: fields, CRC-24 and a Golay code over BPSK. NumPy alone.

144 bits of fields, highest bit first and in the order of `FIELDS`, and the CRC-24A of TS 38.212 clause 5.1 are fourteen
words of the extended Golay code (24, 12). Bit j of word i is symbol 14 j + i, so that a short fade is shared between
the words. 0 is sent as +1 and 1 as -1, turned by a pseudo-random sequence of the waveform's.

Headers of version 1 had no number of the transmission: 12 words, 288 symbols. With it a burst of 4096 symbols is
1.1 % longer: 4824 channel uses on a single carrier, 4772 before; 4940 of OFDM, 4888 before. Version 1 is recognised and
refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semlink.phy.waveform import golay

VERSION = 2
"""Of the headers that are sent, and the only one that is read."""
FIELDS = {
    "version": 4,
    "codec": 6,
    "mcs": 6,
    "height": 14,
    "width": 14,
    "sender": 8,
    "transmission": 24,
    "sequence": 8,
    "segment": 12,
    "segments": 12,
    "symbols": 24,
    "scale": 12,
}
"""Bits of each field; the last is two's complement in steps of 1/32 dB."""
HEADER_SYMBOLS = 336
"""Channel uses of a header."""

CHECKSUM = "checksum"
"""Why a header is refused: its CRC fails, from noise, interference, clipping, or because it is none."""
IMPOSSIBLE = "impossible field"
"""Why a header is refused: its CRC holds, and a field has a value that none may have."""

_WORDS = 14
_OLD_WORDS = {1: 12}
"""Of headers of earlier versions, whose symbols are the first of those that are looked at."""
_CRC_BITS = 24
_CRC_POLYNOMIAL = 0x864CFB
_STEPS_PER_DB = 32


@dataclass(frozen=True)
class BurstHeader:
    """The header of one burst, which carries one segment of a frame.

    Attributes:
        codec: number of the codec, 0 to 63; what it stands for is agreed on elsewhere.
        mcs: modulation and coding scheme, 0 to 63, for a codec that has any.
        height: of the image in pixels, 1 to 16383.
        width: of the image in pixels, 1 to 16383.
        sender: tells transmitters apart that share a carrier, 0 to 255.
        transmission: tells the frames of one transmission from those of any other that number theirs alike, 0 to
            2^24 - 1; 0 where none was given. Drawn by `draw_transmission`.
        sequence: number of the frame within the transmission, 0 to 255, then again from 0.
        segment: which segment of the frame this is, from 0.
        segments: into how many the frame is split, 1 to 4095.
        symbols: of the whole frame, 0 to 2^24 - 1; those of this segment follow from it (`segment_bounds`).
        scale_db: by how many dB the codec scaled its symbols for unit energy, -64 to 63.97 dB; rounded to 1/32 dB, and
            a codec that needs it scales by the rounded value.

    Raises:
        ValueError: a field out of range.
    """

    codec: int = 0
    mcs: int = 0
    height: int = 1
    width: int = 1
    sender: int = 0
    transmission: int = 0
    sequence: int = 0
    segment: int = 0
    segments: int = 1
    symbols: int = 0
    scale_db: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, name = getattr(self, field.name), field.name
            if name == "scale_db":
                continue
            low, high = int(name in ("height", "width", "segments")), (1 << FIELDS[name]) - 1
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"{name}={value!r} must be a whole number from {low} to {high}")
        if self.segment >= self.segments:
            raise ValueError(f"segment={self.segment} must be from 0 to {self.segments - 1}: segments={self.segments}")
        limit = 1 << (FIELDS["scale"] - 1)
        if not -limit <= self.scale_db * _STEPS_PER_DB < limit - 0.5:
            raise ValueError(f"scale_db={self.scale_db!r} must be from {-limit / 32:g} to {(limit - 1) / 32:g} dB")
        object.__setattr__(self, "scale_db", round(self.scale_db * _STEPS_PER_DB) / _STEPS_PER_DB)

    @property
    def mark(self) -> int:
        """A number that two bursts on the air at once hardly share, 0 to 65535; by it their pilots differ."""
        numbers = self.sender * 40_503 + self.transmission * 25_717 + self.sequence * 257 + self.segment * 7_919
        return numbers % (1 << 16)

    @property
    def count(self) -> int:
        """Symbols of this segment."""
        start, stop = segment_bounds(self.symbols, self.segments, self.segment)
        return stop - start


@dataclass(frozen=True)
class Refused:
    """A header that was not believed.

    Attributes:
        why: `CHECKSUM`, `IMPOSSIBLE`, or "version " and the number of a version that is not read.
    """

    why: str


def draw_transmission(rng: np.random.Generator) -> int:
    """A number for a transmission, 1 to 2^24 - 1.

    Of n transmissions two share theirs with a probability of at most n·(n - 1)/2 / (2^24 - 1), the birthday bound:
    6.0e-8 of two, 3.0e-4 of a hundred. It does harm only where their frames also agree in all else that headers say,
    within the few that a receiver remembers.
    """
    return int(rng.integers(1, 1 << FIELDS["transmission"]))


def segment_bounds(symbols: int, segments: int, segment: int) -> tuple[int, int]:
    """First symbol of a segment and the one after its last: lengths differ by one at most, the longer come first."""
    size, longer = divmod(symbols, segments)
    return segment * size + min(segment, longer), (segment + 1) * size + min(segment + 1, longer)


def encode_header(header: BurstHeader) -> NDArray[np.float32]:
    """The header as +1 and -1, (336,)."""
    values = [VERSION, *(getattr(header, name) for name in list(FIELDS)[1:-1])]
    values.append(round(header.scale_db * _STEPS_PER_DB) % (1 << FIELDS["scale"]))
    bits = np.concatenate([_to_bits(int(value), width) for value, width in zip(values, FIELDS.values(), strict=True)])
    words = np.concatenate([bits, _crc(bits)]).reshape(_WORDS, golay.DIMENSION)
    return (1 - 2 * golay.encode(words).T.ravel()).astype(np.float32)


def read_header(soft: NDArray[Any]) -> BurstHeader | Refused:
    """The header most likely sent, or why it is not believed.

    Args:
        soft: (336,), proportional to log P(+1)/P(-1).
    """
    bits = _decode(soft, _WORDS)
    if _crc(bits).any():  # a codeword of a cyclic code leaves no rest
        return Refused(next((f"version {old}" for old in _OLD_WORDS if _is_of_version(old, soft)), CHECKSUM))
    ends = np.cumsum(list(FIELDS.values()))
    found = {name: _to_int(part) for name, part in zip(FIELDS, np.split(bits, ends), strict=False)}
    half = 1 << (FIELDS["scale"] - 1)
    scale_db = ((found.pop("scale") + half) % (2 * half) - half) / _STEPS_PER_DB
    version = found.pop("version")
    if version != VERSION:
        return Refused(f"version {version}")
    try:
        return BurstHeader(**found, scale_db=scale_db)
    except ValueError:
        return Refused(IMPOSSIBLE)


def likely_symbols(soft: NDArray[Any]) -> NDArray[np.float32]:
    """The codewords most likely sent as +1 and -1, (336,), whether their CRC holds or not; `soft` as above."""
    bits = _decode(soft, _WORDS).reshape(_WORDS, golay.DIMENSION)
    return (1 - 2 * golay.encode(bits).T.ravel()).astype(np.float32)


def _is_of_version(old: int, soft: NDArray[Any]) -> bool:
    """Whether the first symbols are a header of an earlier version."""
    bits = _decode(soft[: _OLD_WORDS[old] * golay.LENGTH], _OLD_WORDS[old])
    return not _crc(bits).any() and _to_int(bits[: FIELDS["version"]]) == old


def _decode(soft: NDArray[Any], words: int) -> NDArray[np.int8]:
    """Fields and CRC most likely sent, (12·words,), of soft symbols (24·words,)."""
    return golay.decode(np.asarray(soft).reshape(golay.LENGTH, words).T).ravel()


def _to_int(bits: NDArray[np.int8]) -> int:
    return int("".join(map(str, bits)), 2)


def _to_bits(value: int, width: int) -> NDArray[np.int8]:
    return (value >> np.arange(width - 1, -1, -1) & 1).astype(np.int8)


def _crc(bits: NDArray[np.int8]) -> NDArray[np.int8]:
    """The rest of bits · x^24, (24,)."""
    rest: NDArray[np.int8] = (bits.astype(np.int64) @ _crc_matrix(len(bits)) & 1).astype(np.int8)
    return rest


@lru_cache(maxsize=4)
def _crc_matrix(length: int) -> NDArray[np.int64]:
    """Row i: the rest that bit i of so many leaves, (length, 24)."""
    rest, rows = _CRC_POLYNOMIAL, []
    for _ in range(length):
        rows.append(_to_bits(rest, _CRC_BITS))
        rest = rest << 1 ^ (rest >> 23 & 1) * (1 << _CRC_BITS | _CRC_POLYNOMIAL)
    return np.array(rows[::-1], dtype=np.int64)
