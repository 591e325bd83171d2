"""Authenticated encryption of a source coding: who lacks the key reads nothing, and nobody can change it unnoticed."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from semlink.baselines.sources.source import Estimating, Pixels, Shape, SourceCoder
from semlink.phy.security import Key, missing_library

NONCE_BYTES = 12
"""Of AES-GCM, sent before the text."""
TAG_BYTES = 16
"""Of AES-GCM, sent after it."""


@dataclass(frozen=True)
class Sealed:
    """A source coder whose coding is sent as nonce, AES-256-GCM text and tag; they take 28 bytes of the budget.

    The coding is filled up with zeros before, so that its length tells nothing of the image. A reception whose tag does
    not verify, of which a part was lost, or for which the key is another one decodes to nothing: the image is failed,
    and no part of it is shown.

    The nonce is a keyed hash of what is encrypted: the same image gives the same text, which tells that it is the same
    and nothing else, and a repeated experiment the same symbols. Two different texts share a nonce with a probability
    of 2^-96; of 2^32 images, the most for which SP 800-38D (clause 8.3) allows one key, any two with one of 2^-33.

    Args:
        source: codes the image.
        key: of both ends.

    Raises:
        ValueError: `cryptography` is not installed.

    Source: NIST SP 800-38D; the nonce as in P. Rogaway and T. Shrimpton, "A provable-security treatment of the
    key-wrap problem", EUROCRYPT 2006.
    """

    source: SourceCoder
    key: Key

    def __post_init__(self) -> None:
        _cipher(self.key)

    @property
    def overhead(self) -> dict[str, int]:
        """Bytes of the budget beside the coding, by purpose."""
        return {"nonce": NONCE_BYTES, "tag": TAG_BYTES}

    def encode(self, image: Pixels, budget: int) -> bytes | None:
        """Exactly `budget` bytes; None where the coding does not fit beside nonce and tag."""
        room = budget - NONCE_BYTES - TAG_BYTES
        coding = self.source.encode(image, room) if room > 0 else None
        if coding is None:
            return None
        text = coding.ljust(room, b"\0")
        nonce = hmac.new(self.key.derive("nonce").secret, text, hashlib.sha256).digest()[:NONCE_BYTES]
        return nonce + bytes(_cipher(self.key).encrypt(nonce, text, None))

    def estimate(self, image: Pixels, budget: int) -> float | None:
        """As the coder's, where it has one (`semlink.baselines.sources.Resolutions`)."""
        room = budget - NONCE_BYTES - TAG_BYTES
        return self.source.estimate(image, room) if isinstance(self.source, Estimating) else None

    def decode(self, data: bytes, shape: Shape, *, complete: bool) -> Pixels | None:
        """The image; None where a part is missing or the tag does not verify."""
        text = self._opened(data) if complete else None
        return None if text is None else self.source.decode(text, shape, complete=True)

    def note(self, shape: Shape) -> str:
        """Of the coder, and what encryption adds."""
        sealed = f"nonce ({NONCE_BYTES} bytes) and tag ({TAG_BYTES}) of AES-256-GCM are counted; an image whose tag "
        return f"{self.source.note(shape)}; {sealed}does not verify is failed and no part of it is shown"

    def without_key(self) -> Sealed:
        """The same in the hands of somebody with another key."""
        return Sealed(self.source, self.key.derive("not the key"))

    def _opened(self, data: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        if len(data) < NONCE_BYTES + TAG_BYTES:
            return None
        try:
            return bytes(_cipher(self.key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], None))
        except InvalidTag:
            return None


def _cipher(key: Key) -> Any:  # noqa: ANN401 - of a library that may be absent
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise missing_library(error) from error
    return AESGCM(key.derive("AES-256-GCM").secret)
