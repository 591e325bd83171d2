"""The one contract: what a codec and a channel are, and what they hand to each other.

A `Codec` turns images into complex channel symbols and back, a `Channel` carries symbols. They meet in `link.py`, from
which all of these names are imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from semlink.phy.bits import Decisions, Words

Rng = torch.Generator | Sequence[torch.Generator]
"""One generator, from which the images of a batch draw one after another, or one generator an image."""

Power = Literal["exact", "constellation"]

ERASED = 1e9
"""The noise variance of a symbol that was not sent or of which nothing arrived: finite, so that nothing spreads."""


@dataclass(frozen=True)
class Frame:
    """What a codec hands to the link: one row of channel symbols for every image.

    Attributes:
        symbols: complex symbols of mean energy Es = 1, (b, n).
        uses: channel uses of one image by purpose ("payload", "pilot", "side", …); they add up to n.
        power: "exact" when every image is normalised to unit mean energy (analogue symbols), "constellation" when
            the points have unit mean energy over the alphabet and the drawn ones differ from it by chance.
        notes: what a reader must know to compare fairly, by topic, such as what the receiver is assumed to know.
        header: for each image, what the burst header tells the receiver; it arrives without error, its bits are in
            `bits` and not in `uses`. None when the receiver needs to be told nothing.
        bits: bits of each image by purpose, (b,): for a digital codec "source", "padding", "crc" and "parity" add up
            to the coded bits that the symbols carry, and "header" counts what the header costs beside them.
        modes: the transmission mode of each image, such as its modulation and coding; empty for a codec without any.
        words: the bits themselves, for counting errors; None where there are none. No receiver is shown them.
    """

    symbols: Complex[Tensor, "b n"]
    uses: Mapping[str, int]
    power: Power = "exact"
    notes: Mapping[str, str] = field(default_factory=dict)
    header: Sequence[object] | None = None
    bits: Mapping[str, Int[Tensor, " b"]] = field(default_factory=dict)
    modes: Sequence[str] = ()
    words: Words | None = None


@dataclass(frozen=True)
class Spatial:
    """What several antennas received, before their streams are told apart: `observed = h @ sent + CN(0, n0 I)`.

    For a receiver that knows its constellation and detects the streams of a channel use jointly. Stream j of use i
    carries symbol i·streams + j of the frame, or padding beyond its end.

    Attributes:
        observed: (b, m, rx).
        h: (b, m, rx, streams), the scale of the sent symbols included.
        n0: noise variance of each antenna, (b, m).
        width: how many candidates a K-best search keeps.
    """

    observed: Complex[Tensor, "b m rx"]
    h: Complex[Tensor, "b m rx s"]
    n0: Float[Tensor, "b m"]
    width: int = 16


@dataclass(frozen=True)
class Received:
    """What a channel hands to the decoder: `symbols = bias * sent + CN(0, n0)`, per symbol.

    Attributes:
        symbols: received symbols after equalisation, (b, n).
        n0: noise variance of each symbol after equalisation, (b, n), linear (Es = 1).
        gain: fading gain h of each symbol as far as the receiver knows it, (b, n); None when it knows none.
        bias: real positive factor an MMSE equaliser leaves on the sent symbol, (b, n); None means 1.
        image_shape: (c, h, w) of the images, as a burst header would tell; set by `Link`.
        header: what the codec put into the burst header, one entry an image; set by `Link`.
        uses: channel uses of one image by purpose, where the channel's system has an account of its own: "payload" for
            the codec's symbols (fewer than n where several share a channel use), "pilot", "padding". None stands for
            one use a symbol and no more.
        spatial: what the antennas received, for joint detection by a codec that knows its constellation; None for none.
    """

    symbols: Complex[Tensor, "b n"]
    n0: Float[Tensor, "b n"]
    gain: Complex[Tensor, "b n"] | None = None
    bias: Float[Tensor, "b n"] | None = None
    image_shape: tuple[int, int, int] | None = None
    header: Sequence[object] | None = None
    uses: Mapping[str, int] | None = None
    spatial: Spatial | None = None

    def unbiased(self) -> Received:
        """The same reception scaled to `symbols = sent + CN(0, n0)`, as a demapper wants it."""
        if self.bias is None:
            return self
        return replace(self, symbols=self.symbols / self.bias, n0=self.n0 / self.bias.square(), bias=None)

    def shape_for(self, ratio: float) -> tuple[int, int, int]:
        """(c, h, w) of the images: the one told, else that of the square RGB image that fills n symbols at `ratio`.

        Raises:
            ValueError: no shape was told and no square RGB image fits.
        """
        if self.image_shape is not None:
            return self.image_shape
        n = self.symbols.shape[1]
        side = round(math.sqrt(n / ratio / 3))
        if side < 1 or channel_uses((3, side, side), ratio) != n:
            raise ValueError(
                f"image_shape=None: {n} symbols at ratio {ratio:g} fill no square RGB image; set image_shape"
            )
        return 3, side, side


class Spent(NamedTuple):
    """What was really sent of each image, where a receiver's answers end a transmission early.

    Attributes:
        symbols: symbols of the frame that had to be sent, (b,).
        bits: of the frame's bits those that were, by purpose, (b,); purposes that are not named stay as they are.
    """

    symbols: Int[Tensor, " b"]
    bits: Mapping[str, Int[Tensor, " b"]]


class Decoded(NamedTuple):
    """What a codec makes of a reception.

    Attributes:
        image: (b, c, h, w) in [0, 1], or logits for a task codec.
        failed: which images are a fallback, wholly or in part, (b,); None means none.
        block_errors: code blocks in error of each image, (b,); None for a codec without code blocks.
        blocks: code blocks of each image, (b,), or of every one.
        bits: what was decided of `Frame.words`; None for a receiver that does not tell.
        spent: what of the frame had to be sent; None for all of it.
    """

    image: Float[Tensor, "b ..."]
    failed: Bool[Tensor, " b"] | None = None
    block_errors: Int[Tensor, " b"] | None = None
    blocks: Int[Tensor, " b"] | int = 0
    bits: Decisions | None = None
    spent: Spent | None = None


Sounding = Callable[[Complex[Tensor, "b n"]], Received]
"""Sends symbols over the very channel, fades and noise, that the frame is about to meet."""


@runtime_checkable
class Codec(Protocol):
    """Images to channel symbols and back. Owns no channel, no noise and no sweep."""

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """Encode images in [0, 1]; `n0` is the average noise variance, all the transmitter knows of the channel.

        A codec that makes no use of it may say so by an attribute `ignores_n0` of True: a study then encodes once.
        """
        ...

    def decode(self, received: Received) -> Decoded | Tensor:
        """Decode a reception; a bare image tensor means that nothing failed."""
        ...


@runtime_checkable
class InformedCodec(Protocol):
    """A codec whose transmitter knows the fades that each image is about to meet: a genie, or an upper bound.

    `Link` calls `encode_informed` instead of `encode`. That the channel may be sounded says nothing about how such
    knowledge would be had, so a codec that does it must say so in its notes.
    """

    def encode_informed(self, image: Float[Tensor, "b c h w"], n0: float, sound: Sounding) -> Frame:
        """Encode images in [0, 1], given a way to sound the channel; its noise must not be made use of."""
        ...

    def decode(self, received: Received) -> Decoded | Tensor:
        """Decode a reception; a bare image tensor means that nothing failed."""
        ...


@runtime_checkable
class Channel(Protocol):
    """Carries symbols of unit mean energy and adds noise of variance `n0` (N0/2 per real axis).

    What is drawn from `rng` depends on the shape of the symbols alone, never on their values.
    """

    def __call__(self, symbols: Complex[Tensor, "b n"], n0: float, *, rng: Rng) -> Received:
        """Return what arrives. Row i draws from `rng[i]`, or all rows in turn from the one generator."""
        ...


REACH_DB = 300.0
"""Beyond ±300 dB single precision tells no difference: one of symbol and noise is lost in the rounding of the other."""


def esno_to_n0(esno_db: float) -> float:
    """N0 (linear, Es = 1) at an Es/N0 in dB; beyond ±`REACH_DB` that of the nearer end, of which squares stay finite.

    Raises:
        ValueError: `esno_db` is not a finite number.
    """
    try:
        finite = math.isfinite(esno_db)
    except (TypeError, ValueError, RuntimeError):  # text, a list, several values of NumPy or PyTorch
        raise ValueError(f"esno_db is a {type(esno_db).__name__}; it must be one number of dB") from None
    if not finite:
        raise ValueError(f"esno_db={esno_db} is not a finite number of dB")
    return float(10.0 ** (-min(max(esno_db, -REACH_DB), REACH_DB) / 10.0))


def channel_uses(image_shape: tuple[int, int, int], ratio: float) -> int:
    """Complex channel uses that an image (c, h, w) may spend at a bandwidth ratio: the floor of ratio·c·h·w."""
    # The tolerance keeps 3072 / 6 at 512 whatever the rounding of 1/6.
    return math.floor(ratio * math.prod(image_shape) + 1e-6)


def normalise_power(symbols: Complex[Tensor, "b n"]) -> Complex[Tensor, "b n"]:
    """Scale each image's symbols to mean energy 1: per image, never per batch."""
    energy = symbols.abs().square().mean(dim=1, keepdim=True)
    return symbols * energy.clamp_min(1e-12).rsqrt()
