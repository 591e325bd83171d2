"""An eavesdropper: what a link sends, received over another channel by somebody who may lack the key."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from semlink.phy.link import (
    Channel,
    Codec,
    Decoded,
    Frame,
    InformedCodec,
    Link,
    Received,
    Rng,
    Transmission,
)
from semlink.phy.rng import spawn

AnyCodec = Codec | InformedCodec


@dataclass(frozen=True)
class Eavesdropper:
    """Eve: her own channel, fades, noise and CSI, independent of the receiver's, and every burst header.

    Es/N0 means for her what it means for anybody: average energy of a transmitted symbol over her N0, at her antenna.
    A transmission at an Es/N0 of the link reaches her at that plus `offset_db`. The transmitter knows nothing of her.

    Attributes:
        channel: hers.
        offset_db: Es/N0 at her antenna beyond that at the receiver's.
        knows_key: whether she has what the legitimate receiver has; if not, codecs decode as `without_key` says.

    Raises:
        ValueError: `offset_db` beyond ±100.
    """

    channel: Channel
    offset_db: float = 0.0
    knows_key: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset_db) and abs(self.offset_db) <= 100):
            raise ValueError(f"esno={self.offset_db!r} must be from -100 to 100 dB")

    def decoder(self, codec: AnyCodec) -> AnyCodec:
        """The receiver that she has of a codec's kind."""
        return codec if self.knows_key else without_key(codec)


class Overheard:
    """A codec as an eavesdropper hears it: encoded for the receiver, decoded by her. `link_of` sends it.

    Args:
        codec: the link's; one whose transmitter knows the fades is refused, for whose fades would it be told?
        eavesdropper: who listens.

    Raises:
        ValueError: an `InformedCodec`, or a codec of which the receiver's answers end a frame early.
    """

    def __init__(self, codec: AnyCodec, eavesdropper: Eavesdropper) -> None:
        if not isinstance(codec, Codec) or isinstance(codec, InformedCodec):
            raise ValueError("a genie's codec cannot be overheard: it is fitted to the fades; give adaptive or outage")
        if is_closed_loop(codec):
            raise ValueError("a codec with harq cannot be overheard: what is sent depends on the receiver's answers")
        self.codec, self.eavesdropper = codec, eavesdropper
        self.listener = eavesdropper.decoder(codec)
        self.ignores_n0 = bool(getattr(codec, "ignores_n0", False))
        self.classes: int | None = getattr(codec, "classes", None)

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """What the link's own transmitter sends, for the noise variance of its own receiver."""
        return self.codec.encode(image, n0)

    def decode(self, received: Received) -> Decoded | Tensor:
        """What the eavesdropper makes of her reception."""
        return self.listener.decode(received)


@dataclass(frozen=True)
class TappedLink(Link):
    """A `Link` whose reception is the eavesdropper's: `codec` is `Overheard`, `channel` the receiver's own.

    Her draws are independent of those of the link on the same generators.
    """

    def carry(self, frame: Frame, image_shape: Sequence[int], esno_db: float, *, rng: Rng) -> Transmission:
        """Have a frame that was sent at an Es/N0 of the link arrive at the eavesdropper's.

        Raises:
            ValueError: as `Link`.
        """
        assert isinstance(self.codec, Overheard)
        eve, own = self.codec.eavesdropper, spawn(rng, len(frame.symbols))
        heard = Link(self.codec, eve.channel, self.clips).carry(frame, image_shape, esno_db + eve.offset_db, rng=own)
        return replace(heard, esno_db=esno_db)


def link_of(codec: AnyCodec, channel: Channel, *, clips: bool = False) -> Link:
    """The link that sends a codec over a channel, to its receiver or, if it is `Overheard`, to the eavesdropper."""
    return (TappedLink if isinstance(codec, Overheard) else Link)(codec, channel, clips)


def channel_of(codec: AnyCodec, channel: Channel) -> Channel:
    """The channel to whoever receives: the eavesdropper's of an `Overheard` codec, else the one given."""
    return codec.eavesdropper.channel if isinstance(codec, Overheard) else channel


def is_closed_loop(codec: object) -> bool:
    """Whether a receiver's answers end a codec's frames early: its `closed_loop`, or that of what it wraps."""
    inner = getattr(codec, "codec", None)
    return bool(getattr(codec, "closed_loop", False)) or (inner is not None and is_closed_loop(inner))


def without_key(codec: AnyCodec) -> AnyCodec:
    """The codec as somebody would decode it who knows all of it but the key; of a codec without one, itself.

    What has a key has a method `without_key`. What wraps it, in an attribute `codec` (a receiver) or `source` (a
    digital link), is copied around what that gives.
    """
    stripped: AnyCodec = _stripped(codec)
    return stripped


def _stripped(part: Any) -> Any:  # noqa: ANN401 - a codec or a part of it
    if hasattr(part, "without_key"):
        return part.without_key()
    for name in ("codec", "source"):
        inner = getattr(part, name, None)
        bare = None if inner is None else _stripped(inner)
        if bare is not inner:
            copied = copy.copy(part)
            setattr(copied, name, bare)
            return copied
    return part
