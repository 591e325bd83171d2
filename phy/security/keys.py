"""Secret keys: where they come from, what is derived from them, and that nobody prints them."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

KEY_BYTES = 32
"""Of a key: 256 bits, as ChaCha20 and AES-256-GCM take."""


@dataclass(frozen=True)
class Key:
    """A secret of `KEY_BYTES` bytes. Neither `repr` nor an error shows it.

    Attributes:
        secret: its bytes.

    Raises:
        ValueError: another length.
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise ValueError(f"the key has {len(self.secret)} bytes; it must have {KEY_BYTES}, or {2 * KEY_BYTES} hex")

    def derive(self, purpose: str) -> Key:
        """The key for one purpose, by which those for others cannot be found: HMAC-SHA256 (RFC 5869, one block)."""
        return Key(hmac.new(self.secret, purpose.encode() + b"\x01", hashlib.sha256).digest())


def read_key(path: str | Path) -> Key:
    """The key in a file: 32 bytes as they are, or 64 hexadecimal digits, as `openssl rand -hex 32` writes.

    Raises:
        ValueError: no such file, or one that holds something else.
    """
    try:
        with Path(path).open("rb") as file:
            held = file.read(4 * KEY_BYTES)
    except OSError as error:
        raise ValueError(f"key file {path}: cannot be read ({error.strerror})") from None
    try:
        return _parse(held)
    except ValueError as error:
        raise ValueError(f"key file {path}: {error}") from None


def key_of_environment(name: str) -> Key:
    """The key in an environment variable, as 64 hexadecimal digits.

    Raises:
        ValueError: it is not set, or holds something else.
    """
    if name not in os.environ:
        raise ValueError(f"environment variable {name} is not set; it must hold a key of {2 * KEY_BYTES} hex digits")
    try:
        return _of_digits(os.environ[name].strip().encode("utf-8", "replace"))
    except ValueError as error:
        raise ValueError(f"environment variable {name}: {error}") from None


def _parse(held: bytes) -> Key:
    # 32 bytes that are all hex digits are half a key and no draw of 32 bytes, of which one in 10^34 is so.
    return _of_digits(held.strip()) if re.fullmatch(rb"[0-9a-fA-F]*", held.strip()) else Key(held)


def _of_digits(digits: bytes) -> Key:
    if not re.fullmatch(rb"[0-9a-fA-F]*", digits):
        raise ValueError(f"has {len(digits)} bytes; it must have {KEY_BYTES}, as {2 * KEY_BYTES} hex digits")
    if len(digits) != 2 * KEY_BYTES:
        raise ValueError(f"holds {len(digits)} hex digits; a key has {2 * KEY_BYTES}, or {KEY_BYTES} bytes")
    return Key(bytes.fromhex(digits.decode()))


def missing_library(error: ImportError) -> ValueError:
    """What to say where the cipher's library is not installed."""
    return ValueError(f"keys need {error.name or 'cryptography'}: pip install 'semlink[security]'")
