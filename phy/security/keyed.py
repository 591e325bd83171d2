"""A keyed transform of channel symbols, and what it takes to break it.

The symbols of an image are permuted and turned by quarter turns, both from the key stream of ChaCha20. It costs no
channel use and changes neither power nor the law of the symbols, so no codec, channel or receiver is touched by it.
Quarter turns and not any phase, because they are exact in floating point: what the legitimate receiver gets back is
what was sent, to the last bit.

What is security here, and what is obscurity: the stream is a cipher's, but the transform is linear and the same for
every image of one nonce, so who knows some images and has heard them sent finds it (`find_transform`), and who has not
still sees the power of every symbol, in another order. For what must stay secret, encrypt bits
(`semlink.baselines.sources.Sealed`); this is for analogue symbols, which no cipher takes, with a fresh nonce for each
image where it matters.

Source: D. J. Bernstein, "ChaCha, a variant of Salsa20", 2008; RFC 8439.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from semlink.phy.kept import kept
from semlink.phy.link import Codec, Decoded, Frame, InformedCodec, Received, Sounding
from semlink.phy.security.eavesdropper import is_closed_loop
from semlink.phy.security.keys import Key, missing_library

AnyCodec = Codec | InformedCodec
MAX_NONCE = 2**63 - 1
"""Of a keyed transform."""


@dataclass(frozen=True)
class Transform:
    """Symbol k of what goes on the air is symbol `order[k]` of the codec's, times i to the `turns[k]`.

    Attributes:
        order: a permutation, (n,).
        turns: quarter turns, 0 … 3, (n,).
    """

    order: Int[Tensor, " n"]
    turns: Int[Tensor, " n"]

    def hide(self, symbols: Complex[Tensor, "b n"]) -> Complex[Tensor, "b n"]:
        """From the codec's symbols to those on the air."""
        return _turned(symbols[:, self.order.to(symbols.device)], self.turns.to(symbols.device))

    def restore(self, received: Received) -> Received:
        """From a reception to what the codec's own would have been, noise variances and gains in their places."""
        back, order = torch.argsort(self.order).to(received.symbols.device), self.turns.to(received.symbols.device)
        symbols = _turned(received.symbols, -order % 4)[:, back]
        moved: dict[str, Any] = {"n0": received.n0.expand(symbols.shape)[:, back]}
        for name in ("gain", "bias"):
            if (value := getattr(received, name)) is not None:
                moved[name] = value.expand(symbols.shape)[:, back]
        # A joint detection would take the streams for those of the codec's order.
        return replace(received, symbols=symbols, spatial=None, **moved)


def make_transform(key: Key, n: int, *, nonce: int = 0) -> Transform:
    """The transform of n symbols that a key and a nonce stand for.

    Args:
        key: the secret.
        n: symbols of an image.
        nonce: a number that both ends know, another for what must not be found from the same known images.

    Raises:
        ValueError: a nonce out of range, or `cryptography` is not installed.
    """
    if not 0 <= nonce <= MAX_NONCE:
        raise ValueError(f"nonce={nonce} must be a whole number from 0 to {MAX_NONCE}")
    return _transform(key, n, nonce)


@kept(64)
def _transform(key: Key, n: int, nonce: int) -> Transform:
    stream = np.frombuffer(_keystream(key.derive("keyed symbols"), nonce, 9 * n), dtype=np.uint8)
    # Sorting 64-bit numbers permutes evenly, but for two that are equal, which 10⁶ symbols have once in 10⁷ keys.
    order = np.argsort(stream[: 8 * n].view("<u8"), kind="stable")
    return Transform(torch.from_numpy(order), torch.from_numpy((stream[8 * n :] & 3).astype(np.int64)))


class Keyed:
    """A codec whose symbols are hidden by a keyed transform: the same codec to who has the key.

    Args:
        codec: any; put receivers of its symbols inside (`swin+cddm-swin+keyed:…`), for they know its order.
        key: of both ends.
        nonce: of this use of the key; see `make_transform`.

    Raises:
        ValueError: as `make_transform`, or a codec of which the receiver's answers end a frame early.
    """

    def __init__(self, codec: AnyCodec, key: Key, *, nonce: int = 0) -> None:
        if is_closed_loop(codec):
            raise ValueError("keyed: permutes a whole frame, and with harq it is not known how much of it is sent")
        self.codec, self.key, self.nonce = codec, key, nonce
        self.ignores_n0 = bool(getattr(codec, "ignores_n0", False))
        self.classes: int | None = getattr(codec, "classes", None)
        self.check_image: Callable[[Tensor], None] = getattr(codec, "check_image", lambda image: None)  # noqa: ARG005
        make_transform(key, 1, nonce=nonce)
        if isinstance(codec, InformedCodec):
            self.encode_informed = self._encode_informed

    @property
    def ratio(self) -> float:
        """Complex channel uses / (c·h·w) of the codec."""
        return float(self.codec.ratio)  # type: ignore[union-attr]

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """What the codec sends, hidden."""
        assert isinstance(self.codec, Codec)
        return self._hidden(self.codec.encode(image, n0))

    def decode(self, received: Received) -> Decoded | Tensor:
        """What the codec decodes of the restored reception."""
        return self.codec.decode(self._transform(received.symbols.shape[1]).restore(received))

    def without_key(self) -> AnyCodec:
        """The codec as it is: it decodes what is on the air as if nothing were hidden."""
        return self.codec

    def _encode_informed(self, image: Float[Tensor, "b c h w"], n0: float, sound: Sounding) -> Frame:
        assert isinstance(self.codec, InformedCodec)

        def hidden_sound(symbols: Complex[Tensor, "b n"]) -> Received:
            transform = self._transform(symbols.shape[1])
            return transform.restore(sound(transform.hide(symbols)))

        return self._hidden(self.codec.encode_informed(image, n0, hidden_sound))

    def _hidden(self, frame: Frame) -> Frame:
        said = {"key": "symbols permuted and turned by a key that the receiver has: obscurity, once images are known"}
        symbols = self._transform(frame.symbols.shape[1]).hide(frame.symbols)
        return replace(frame, symbols=symbols, notes={**frame.notes, **said})

    def _transform(self, n: int) -> Transform:
        return make_transform(self.key, n, nonce=self.nonce)


def find_transform(sent: Complex[Tensor, "m n"], heard: Complex[Tensor, "m n"]) -> Transform:
    """What an eavesdropper finds who knows the codec's symbols of m images and has heard them, noise and all.

    For each place on the air, the symbol and the quarter turn that fit best over the images, least squares and so
    maximum likelihood in white noise. Two places may be given the same symbol where images are too few; `order` is then
    no permutation, and what nothing was given to is left at 0 by `guess`.

    Raises:
        ValueError: other shapes, or no image.
    """
    if sent.shape != heard.shape or sent.ndim != 2 or 0 in sent.shape:
        raise ValueError(f"sent {tuple(sent.shape)} and heard {tuple(heard.shape)} must be alike, (images, symbols)")
    match = heard.T @ sent.conj()  # (on the air, of the codec)
    fit = torch.stack([match.real, match.imag, -match.real, -match.imag])  # by quarter turns
    # |y - i^t x|² summed, without |y|², which is the same for all: |x|² - 2 Re(y conj(i^t x)).
    error = sent.abs().square().sum(dim=0) - 2 * fit
    best, turns = error.min(dim=0)
    order = best.argmin(dim=1)
    return Transform(order, turns[torch.arange(len(order)), order])


def guess(transform: Transform, heard: Complex[Tensor, "b n"]) -> Complex[Tensor, "b n"]:
    """The codec's symbols that a transform found by `find_transform` makes of what was heard: means where several."""
    back = _turned(heard, -transform.turns % 4)
    total, count = torch.zeros_like(heard), torch.zeros(heard.shape[1], device=heard.device)
    total.index_add_(1, transform.order, back)
    count.index_add_(0, transform.order, torch.ones_like(count))
    return total / count.clamp_min(1)


def _turned(symbols: Complex[Tensor, "b n"], turns: Int[Tensor, " n"]) -> Complex[Tensor, "b n"]:
    """Times i^turns, exactly: parts are swapped and negated, never multiplied."""
    real, imag = symbols.real, symbols.imag
    odd, minus_real, minus_imag = turns % 2 == 1, (turns == 1) | (turns == 2), turns >= 2
    real, imag = torch.where(odd, imag, real), torch.where(odd, real, imag)
    return torch.complex(torch.where(minus_real, -real, real), torch.where(minus_imag, -imag, imag))


def _keystream(key: Key, nonce: int, count: int) -> bytes:
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
    except ImportError as error:
        raise missing_library(error) from error
    # Counter 0, then the nonce, as RFC 8439 lays the sixteen bytes out.
    start = bytes(4) + nonce.to_bytes(12, "little")
    return Cipher(algorithms.ChaCha20(key.secret, start), mode=None).encryptor().update(bytes(count))
