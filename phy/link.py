"""The link, where a codec and a channel meet, and the contract of the two.

`Link` joins a `Codec` and a `Channel`, sets the Es/N0, checks the transmit power and keeps the ledger of channel uses.
Nothing else in the package knows both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from semlink.phy.bits import BitErrors, count_bit_errors
from semlink.phy.contract import (
    ERASED,
    REACH_DB,
    Channel,
    Codec,
    Decoded,
    Frame,
    InformedCodec,
    Power,
    Received,
    Rng,
    Sounding,
    Spatial,
    Spent,
    channel_uses,
    esno_to_n0,
    normalise_power,
)
from semlink.phy.papr import papr_db

__all__ = [
    "ERASED",
    "REACH_DB",
    "SLACK",
    "Channel",
    "Codec",
    "Decoded",
    "Frame",
    "InformedCodec",
    "Link",
    "Power",
    "Received",
    "Rng",
    "Sounding",
    "Spatial",
    "Spent",
    "Transmission",
    "channel_uses",
    "check_decoded",
    "check_frame",
    "check_image",
    "check_marks",
    "esno_to_n0",
    "normalise_power",
]

SLACK = 1e-3
"""By how much a decoded image may leave [0, 1]: a quarter of a level of 8 bits, which nobody sees."""


@dataclass(frozen=True)
class Transmission:
    """The outcome of `Link`: the images, which failed, and what was spent.

    Attributes:
        image: received images, (b, c, h, w) in [0, 1].
        failed: which images were marked failed, (b,).
        uses: the ledger: channel uses of one image by purpose, the channel's pilots and padding included; the most
            that an image may take where the receiver's answers end it early.
        ratio: complex channel uses / (c·h·w), the mean of the images.
        esno_db: Es/N0 in dB at which it was sent.
        block_errors: code blocks in error of each image, (b,); None for a codec without code blocks.
        blocks: code blocks of each image, (b,).
        notes: the codec's and the channel's remarks on the accounting.
        bits: bits of each image by purpose, (b,); see `Frame`.
        modes: the transmission mode of each image; empty for a codec without any.
        papr_db: peak over mean power of each image's symbols in dB, (b,), as the codec handed them out.
        bit_errors: before and after decoding; None where codec or receiver tell no bits.
        block_sizes: (k, n) of each image's code blocks, as `Words` has them; empty for a codec without any.
        spent: channel uses that each image really took, (b,), its share of pilots and padding included; None where
            all take what `uses` says.
    """

    image: Float[Tensor, "b ..."]
    failed: Bool[Tensor, " b"]
    uses: Mapping[str, int]
    ratio: float
    esno_db: float
    block_errors: Int[Tensor, " b"] | None = None
    blocks: Int[Tensor, " b"] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    bits: Mapping[str, Int[Tensor, " b"]] = field(default_factory=dict)
    modes: Sequence[str] = ()
    papr_db: Float[Tensor, " b"] | None = None
    bit_errors: BitErrors | None = None
    block_sizes: Sequence[tuple[int, int]] = ()
    spent: Float[Tensor, " b"] | None = None

    def __repr__(self) -> str:
        """What was sent and spent, without the values: those of images fill pages."""
        failed = f"failed={int(self.failed.sum())} of {len(self.failed)}"
        uses = f"uses={dict(self.uses)}, ratio={self.ratio:.4g}"
        return f"Transmission(image={tuple(self.image.shape)}, esno_db={self.esno_db:g}, {failed}, {uses})"

    @property
    def ledger(self) -> dict[str, int | str]:
        """The whole account: channel uses of one image, the bits of all images by purpose, and the codec's remarks."""
        bits = {f"{purpose} bits": int(count.sum()) for purpose, count in self.bits.items()}
        return {**self.uses, **bits, **self.notes}


@dataclass(frozen=True)
class Link:
    """A codec over a channel: `Link(codec, channel)(image, esno_db, rng=…)`.

    Attributes:
        codec: any.
        channel: any.
        clips: whether images that leave [0, 1] are clipped and not refused: a decoder that does not clip may be far
            beyond it in the noise.
    """

    codec: Codec | InformedCodec
    channel: Channel
    clips: bool = False

    def __repr__(self) -> str:
        """The codec by its class alone: PyTorch has a page for a network."""
        return f"Link({type(self.codec).__name__}, {self.channel!r}{', clips=True' if self.clips else ''})"

    def __call__(self, image: Float[Tensor, "b c h w"], esno_db: float, *, rng: Rng) -> Transmission:
        """Send a batch of images of one size at an average Es/N0 of `esno_db` dB.

        With one generator, the images draw from it one after another, so a batch gives what its images give one by
        one; with a sequence of generators, one an image, the order of the images does not matter either.

        Raises:
            ValueError: image out of shape or range, Es/N0 not finite, symbols off in power, a ledger that does not
                add up, or a decoder that returns no images in [0, 1] of the shape that was sent, NaN say.
        """
        return self.carry(self.encode(image, esno_db, rng=rng), image.shape[1:], esno_db, rng=rng)

    def encode(self, image: Float[Tensor, "b c h w"], esno_db: float, *, rng: Rng) -> Frame:
        """What the codec sends of a batch of images at an Es/N0 in dB, power and ledger checked.

        From `rng` nothing is drawn; a codec that knows the fades is shown what `carry` will draw from it.

        Raises:
            ValueError: as for the whole.
        """
        check_image(image)
        frame = self._encode(image, esno_to_n0(esno_db), rng)
        check_frame(frame, image.shape[0])
        return frame

    def carry(self, frame: Frame, image_shape: Sequence[int], esno_db: float, *, rng: Rng) -> Transmission:
        """Send a frame of images of shape (c, h, w) and decode what arrives: the second half of the whole.

        Raises:
            ValueError: as for the whole.
        """
        received = self.channel(frame.symbols, esno_to_n0(esno_db), rng=rng)
        if received.symbols.shape != frame.symbols.shape:
            raise ValueError(
                f"channel returned symbols of shape {tuple(received.symbols.shape)}, sent {tuple(frame.symbols.shape)}"
            )
        c, h, w = image_shape
        uses = _account(frame, received)
        decoded = self.codec.decode(replace(received, image_shape=(c, h, w), header=frame.header))
        decoded = Decoded(decoded) if isinstance(decoded, Tensor) else Decoded(*decoded)
        check_decoded(decoded.image)
        if self.clips and decoded.image.ndim == 4 and decoded.image.is_floating_point():
            decoded = decoded._replace(image=decoded.image.clamp(0, 1))
        check_decoded(decoded.image, (len(frame.symbols), c, h, w))
        check_marks(decoded, len(frame.symbols))
        failed = decoded.failed if decoded.failed is not None else torch.zeros(len(frame.symbols), dtype=torch.bool)
        spent = _spent(decoded.spent, frame, uses)
        mean = sum(uses.values()) if spent is None else float(spent.mean())
        return Transmission(
            image=decoded.image,
            failed=failed,
            uses=uses,
            ratio=mean / (c * h * w),
            esno_db=esno_db,
            block_errors=decoded.block_errors,
            blocks=torch.as_tensor(decoded.blocks).expand(len(frame.symbols)),
            notes={**frame.notes, **getattr(self.channel, "notes", {})},
            bits={**frame.bits, **(decoded.spent.bits if decoded.spent else {})},
            modes=tuple(frame.modes),
            papr_db=papr_db(frame.symbols.detach()),
            bit_errors=count_bit_errors(frame.words, decoded.bits),
            block_sizes=() if frame.words is None else frame.words.block_sizes,
            spent=spent,
        )

    def _encode(self, image: Float[Tensor, "b c h w"], n0: float, rng: Rng) -> Frame:
        if not isinstance(self.codec, InformedCodec):
            return self.codec.encode(image, n0)
        return self.codec.encode_informed(image, n0, lambda symbols: self.channel(symbols, n0, rng=_twin(rng)))


def _account(frame: Frame, received: Received) -> dict[str, int]:
    """The codec's channel uses and the channel's; where symbols share a use, the codec's purposes become one."""
    if received.uses is None:
        return dict(frame.uses)
    added = {purpose: count for purpose, count in received.uses.items() if purpose != "payload"}
    payload = received.uses["payload"]
    own = dict(frame.uses) if payload == frame.symbols.shape[1] else {"payload": payload}
    return {**own, **{purpose: own.get(purpose, 0) + count for purpose, count in added.items()}}


def _spent(spent: Spent | None, frame: Frame, uses: Mapping[str, int]) -> Float[Tensor, " b"] | None:
    """Channel uses of each image: of what the channel adds, or where symbols share a use, its symbols' share."""
    return None if spent is None else spent.symbols.double() * (sum(uses.values()) / frame.symbols.shape[1])


def _twin(rng: Rng) -> Rng:
    """Generators that will draw what these will draw."""
    if isinstance(rng, torch.Generator):
        return torch.Generator(device=rng.device).set_state(rng.get_state())
    return [torch.Generator(device=one.device).set_state(one.get_state()) for one in rng]


def check_image(image: Tensor) -> None:
    """Raise ValueError unless `image` is a non-empty float (b, c, h, w) within [0, 1]."""
    if not isinstance(image, Tensor):
        said = "torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 makes one of 8-bit pixels (h, w, c)"
        kind = f"{type(image).__module__}.{type(image).__name__}".removeprefix("builtins.")
        raise ValueError(f"image is a {kind}; it must be a tensor of floats in [0, 1], (b, c, h, w): {said}")
    if image.ndim != 4 or 0 in image.shape:
        raise ValueError(f"image has shape {tuple(image.shape)}; it must be (b, c, h, w), none of them 0")
    if not image.is_floating_point():
        raise ValueError(f"image has dtype {image.dtype}; it must be floating point in [0, 1]")
    low, high = float(image.min()), float(image.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"image spans [{low:g}, {high:g}]; it must lie in [0, 1]")


def check_decoded(image: Tensor, shape: tuple[int, int, int, int] | None = None) -> None:
    """Raise ValueError unless what a decoder returned, images or logits, is finite: NaN is no image, however bad.

    With the `shape` (b, c, h, w) of what was sent, images must have that and lie in [0, 1], but for `SLACK`, and logits
    must have a row an image.
    """
    if not isinstance(image, Tensor):
        raise ValueError(f"decoded image is a {type(image).__name__}; a decoder must return a tensor, or Decoded")
    if shape is not None and tuple(image.shape) != shape and (image.ndim in (0, 4) or len(image) != shape[0]):
        raise ValueError(
            f"decoded image has shape {tuple(image.shape)}; it must be {shape}, as sent, or logits of {shape[0]} rows"
        )
    wrong = ~image.detach().isfinite()
    if bool(wrong.any()):
        rows = wrong.flatten(1).any(dim=1) if wrong.ndim > 1 else wrong
        raise ValueError(
            f"decoded image holds values that are not finite ({int(rows.sum())} of {len(rows)} images); a decoder must "
            "return numbers, for an image in [0, 1]"
        )
    if shape is not None and image.ndim == 4:
        low, high = float(image.min()), float(image.max())
        if not (low >= -SLACK and high <= 1 + SLACK):
            raise ValueError(f"decoded image spans [{low:g}, {high:g}]; it must lie in [0, 1]")


def check_marks(decoded: Decoded, images: int) -> None:
    """Raise ValueError unless failures and code blocks in error, where they are told, have an entry an image."""
    for name in ("failed", "block_errors"):
        given = getattr(decoded, name)
        if given is not None and (not isinstance(given, Tensor) or tuple(given.shape) != (images,)):
            told = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
            raise ValueError(f"decoded {name} is {told}; it must be a tensor of {images}, one entry an image, or None")
    if decoded.failed is not None and decoded.failed.dtype != torch.bool:
        raise ValueError(f"decoded failed has dtype {decoded.failed.dtype}; it must be torch.bool")
    if decoded.spent is not None and tuple(decoded.spent.symbols.shape) != (images,):
        told = tuple(decoded.spent.symbols.shape)
        raise ValueError(f"decoded spent has symbols of shape {told}; they must be ({images},), one entry an image")


def check_frame(frame: Frame, images: int) -> None:
    """Raise ValueError unless there is a row an image, unit energy within its kind's allowance, and a true ledger.

    An "exact" frame may be off by 1e-3. The mean energy of n drawn points of a square QAM has a standard deviation of
    at most sqrt(0.4 / n) (kurtosis below 1.4), of which six are allowed.
    """
    symbols = frame.symbols
    if symbols.ndim != 2 or symbols.shape[0] != images or symbols.shape[1] == 0 or not symbols.is_complex():
        raise ValueError(
            f"frame has symbols {symbols.dtype} {tuple(symbols.shape)}; they must be complex ({images}, n)"
        )
    n = symbols.shape[1]
    if any(count < 0 for count in frame.uses.values()) or sum(frame.uses.values()) != n:
        raise ValueError(f"uses={dict(frame.uses)} add up to {sum(frame.uses.values())}; the frame has {n} symbols")
    for name, given in (("header", frame.header), ("modes", frame.modes or None)):
        if given is not None and len(given) != images:
            raise ValueError(f"frame has {len(given)} entries in {name}; it must have one for each of {images} images")
    allowed = 1e-3 if frame.power == "exact" else 6.0 * math.sqrt(0.4 / n)
    energy = symbols.detach().abs().square().mean(dim=1)
    worst = energy[(energy - 1).abs().argmax()].item()  # argmax picks a NaN where there is one
    if not abs(worst - 1.0) <= allowed:
        raise ValueError(
            f"mean symbol energy {worst:.4g} of an image is off; Es must be 1 ± {allowed:.2g} ({frame.power})"
        )
