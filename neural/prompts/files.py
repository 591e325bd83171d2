"""Prompts as files: a head, then parts, each with its own check.

| bytes | what they say |
|---|---|
| 3, 1 | "SLP"; version, plus 16, 32, 64 and 128 for each of C, T, N and X that is in the file |
| parts | each: its letter; the number of its bytes; these; CRC-16 of letter and bytes |

Numbers are in base 128, seven bits to a byte, the lowest first, the eighth bit set where more follow. The parts, of
which the head comes first and the others are there or not: H, the head (16 bits that name the model; width, height and
seed as numbers); C, a code (`semlink.neural.prompts.codes`); T, a thumbnail (coder, rendering with shrink, spread, then
the coder's bytes); N, the beginning of x_T (`semlink.neural.prompts.noise`); X, text in UTF-8.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field

from semlink.neural.prompts.coder import MOST_PIXELS
from semlink.neural.prompts.codes import HEAD, SHRINKS

MAGIC, VERSION = b"SLP", 1
PARTS = {"C": 16, "T": 32, "N": 64, "X": 128}
"""What each part adds to the byte of the version, so that a file that was cut between two parts is seen to be cut."""
MOST_BYTES = 1 << 24
"""Of a prompt: longer ones are not read."""
THUMBNAILS = {1: "webp", 2: "avif", 3: "jpeg"}
"""Source coders of thumbnails by number."""
MOST_SIDE = 1 << 16
MOST_SEED = 1 << 32


class PromptError(ValueError):
    """A file that is no prompt, or of which too little is left; the message says why in one line."""


@dataclass(frozen=True)
class Thumbnail:
    """A part of a prompt: the image made smaller, by a source coder.

    Attributes:
        coder: one of `THUMBNAILS`.
        shrink: binary logarithm of how much smaller.
        noise: number of the rendering.
        spread: number of the spread of what it lacks.
        data: the coder's bytes.
        whole: whether they all arrived.
    """

    coder: str
    shrink: int
    noise: int
    spread: int
    data: bytes
    whole: bool = True


@dataclass(frozen=True)
class Prompt:
    """What a file holds.

    Attributes:
        mark: 16 bits that name the model.
        width: of the image.
        height: of the image.
        seed: of the noise, and of samples the first one.
        code: bytes of a code; empty for none.
        code_whole: whether they all arrived.
        thumbnail: None for none.
        noise: bytes of a beginning of x_T; empty for none.
        text: empty for none.
        sizes: bytes in the file by part, frame included.
        damage: what is wrong, part by part.
    """

    mark: int
    width: int
    height: int
    seed: int = 0
    code: bytes = b""
    code_whole: bool = True
    thumbnail: Thumbnail | None = None
    noise: bytes = b""
    text: str = ""
    sizes: dict[str, int] = field(default_factory=dict, compare=False)
    damage: tuple[str, ...] = ()


def write_prompt(prompt: Prompt) -> bytes:
    """The bytes of a prompt.

    Raises:
        ValueError: a size or seed that no file can tell.
    """
    if not 0 < prompt.width * prompt.height <= MOST_PIXELS or max(prompt.width, prompt.height) >= MOST_SIDE:
        raise ValueError(
            f"image of {prompt.width}x{prompt.height} must have up to 2^24 pixels, sides below {MOST_SIDE}"
        )
    if not 0 <= prompt.seed < MOST_SEED:
        raise ValueError(f"seed={prompt.seed} must be from 0 to below 2^32")
    head = prompt.mark.to_bytes(2, "big") + b"".join(map(_number, (prompt.width, prompt.height, prompt.seed)))
    parts = {b"H": head, b"C": prompt.code, b"N": prompt.noise, b"X": prompt.text.encode()}
    if (small := prompt.thumbnail) is not None:
        number = next(number for number, name in THUMBNAILS.items() if name == small.coder)
        parts[b"T"] = bytes([number, small.noise * 16 + small.shrink, small.spread]) + small.data
    order = [letter for letter in (b"H", b"C", b"T", b"N", b"X") if parts.get(letter)]
    start = VERSION + sum(PARTS.get(letter.decode(), 0) for letter in order)
    return MAGIC + bytes([start]) + b"".join(_part(letter, parts[letter]) for letter in order)


def read_prompt(data: bytes) -> Prompt:
    """The prompt in bytes; of a damaged one what is left, with what is wrong.

    Raises:
        PromptError: no prompt, of another version, or its head is damaged.
    """
    if len(data) > MOST_BYTES:
        raise PromptError(f"{len(data)} bytes: a prompt has at most {MOST_BYTES}")
    if data[:3] != MAGIC:
        raise PromptError("no prompt: it does not begin with SLP")
    if len(data) < 4 or data[3] % 16 != VERSION:
        told = data[3] % 16 if len(data) > 3 else "missing"
        raise PromptError(f"version {told}: this program reads version {VERSION}")
    parts, damage = _parts(data)
    head, intact = parts.get("H", (b"", False))
    if not intact:
        raise PromptError("the head is damaged: model and image size are not known")
    prompt = _head(head)
    code, code_whole = parts.get("C", (b"", True))
    noise, noise_whole = parts.get("N", (b"", True))
    text, text_whole = parts.get("X", (b"", True))
    return Prompt(
        *prompt,
        code=code,
        code_whole=code_whole,
        thumbnail=_thumbnail(*parts["T"]) if "T" in parts else None,
        noise=noise if noise_whole else b"",
        text=text.decode(errors="replace") if text_whole else "",
        sizes={"start": 4, **{letter: _framed(len(part)) for letter, (part, _) in parts.items()}},
        damage=damage,
    )


def room_for_part(prompt: Prompt, budget: int) -> int:
    """Bytes that one more part may have in a file of at most `budget` bytes; the longer it is, the longer its frame."""
    left = budget - len(write_prompt(prompt)) - _framed(0) + 1
    return left - len(_number(max(0, left)))


def least_budget(prompt: Prompt) -> int:
    """The fewest bytes of a file that shows more than a mean image: four of code beyond its head."""
    return len(write_prompt(prompt)) + _framed(0) + 1 + HEAD + 4


def _parts(data: bytes) -> tuple[dict[str, tuple[bytes, bool]], tuple[str, ...]]:
    """Parts by letter, each with whether it is intact, and what is wrong."""
    parts: dict[str, tuple[bytes, bool]] = {}
    damage: list[str] = []
    at = 4
    while at < len(data):
        letter, (length, start) = data[at : at + 1], _read_number(data, at + 1)
        name = letter.decode("latin-1")
        if length is None or name not in "HCTNX" or name in parts:
            damage.append(f"from byte {at} on it is damaged")
            break
        body, check = data[start : start + length], data[start + length : start + length + 2]
        if len(check) < 2:
            damage.append(f"part {name} is cut short: {len(body)} of {length} bytes")
            parts[name] = body, False
            break
        intact = check == _crc(letter + body)
        if not intact:
            damage.append(f"part {name} is damaged")
        if intact or name == "H":
            parts[name] = body, intact
        at = start + length + 2
    there = sum(PARTS.get(name, 0) for name in parts)
    if not damage and there != data[3] - VERSION:
        damage.append(f"of the parts {_letters(data[3] - VERSION)} it has {_letters(there)}")
    return parts, tuple(damage)


def _letters(marks: int) -> str:
    return "".join(letter for letter, mark in PARTS.items() if marks & mark) or "none"


def _head(head: bytes) -> tuple[int, int, int, int]:
    width, at = _read_number(head, 2)
    height, at = _read_number(head, at)
    seed, at = _read_number(head, at)
    if width is None or height is None or seed is None or at != len(head) or seed >= MOST_SEED:
        raise PromptError("the head is damaged: its numbers do not fit")
    if not 0 < width * height <= MOST_PIXELS or max(width, height) >= MOST_SIDE:
        raise PromptError(f"an image of {width}x{height}: a prompt has up to 2^24 pixels")
    return int.from_bytes(head[:2], "big"), width, height, seed


def _thumbnail(part: bytes, whole: bool) -> Thumbnail | None:
    if len(part) < 4 or part[0] not in THUMBNAILS or part[1] >= 64 or part[1] % 16 >= SHRINKS or part[2] >= 64:
        return None
    return Thumbnail(THUMBNAILS[part[0]], part[1] % 16, part[1] // 16, part[2], part[3:], whole)


def _part(letter: bytes, body: bytes) -> bytes:
    return letter + _number(len(body)) + body + _crc(letter + body)


def _framed(length: int) -> int:
    return 1 + len(_number(length)) + length + 2


def _crc(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big")


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def _read_number(data: bytes, at: int) -> tuple[int | None, int]:
    """A number of up to five bytes, and where it ends; None for none."""
    value = 0
    for i in range(5):
        if at + i >= len(data):
            return None, at
        value += (data[at + i] & 127) << (7 * i)
        if data[at + i] < 128:
            return value, at + i + 1
    return None, at
