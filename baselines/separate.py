"""The separate (digital) chain: source coder, CRC, 5G LDPC, scrambling and QAM, within a budget of channel uses."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict

import numpy as np
import torch
from jaxtyping import Float, Num, UInt8
from torch import Tensor

from semlink.baselines.blocks import Plan, channel_decode, channel_encode, plan_blocks
from semlink.baselines.jpeg import JPEG
from semlink.baselines.mcs import parse_mcs
from semlink.baselines.source import Shape, SourceCoder, grey_image
from semlink.phy.constellation import QAM
from semlink.phy.link import Decoded, Frame, Received, channel_uses
from semlink.phy.metrics import to_levels
from semlink.phy.scrambling import descramble_llr, scramble

SOURCES: dict[str, SourceCoder] = {"jpeg": JPEG()}
"""Source coders by name."""

C_INIT = 1 << 15
"""Scrambling seed of TS 38.211 clause 7.3.1.1 for n_RNTI = 1, q = 0, n_ID = 0; known at the receiver."""


class SeparateCodec:
    """An image by source coding, then channel coding: the classical link, which either arrives or falls off a cliff.

    The source coding fills at most the information bits of the budget. These are cut into the fewest code blocks of at
    most 8448 bits, as even as whole symbols allow; each gets a CRC-24A (TS 38.212 clause 5.1), a 5G LDPC code
    rate-matched to its symbols (clauses 5.3.2 and 5.4.2), Gold-sequence scrambling (TS 38.211 clause 7.3.1.1) and
    Gray QAM (clause 5.1). What the source leaves unused is padded with zeros: every symbol of the budget is sent.

    The receiver knows the image size, the scheme and the ratio. It decodes the source from the blocks before the first
    whose CRC fails, fills the rest with mid-grey (128/255), and marks the image as failed. An image that fits at no
    quality is sent as all zeros, which no coding is: it is received as mid-grey and marked as failed.

    Args:
        source: "jpeg".
        mcs: a scheme of `semlink.baselines.mcs`, by name, such as "16qam-1/2".
        ratio: bandwidth ratio, complex channel uses / (c·h·w).

    Raises:
        ValueError: unknown source or scheme, or a ratio that is not positive.
    """

    def __init__(self, *, source: str = "jpeg", mcs: str = "16qam-1/2", ratio: float = 1 / 6) -> None:
        if source not in SOURCES:
            raise ValueError(f"source={source!r} must be one of: {', '.join(SOURCES)}")
        if not (math.isfinite(ratio) and ratio > 0):
            raise ValueError(f"ratio={ratio} must be a positive number of channel uses per c·h·w")
        self.source = SOURCES[source]
        self.mcs = parse_mcs(mcs)
        self.ratio = ratio
        self._qam = QAM(self.mcs.order)

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:  # noqa: ARG002
        """Images in [0, 1] to floor(ratio·c·h·w) symbols each, (b, n); a fixed scheme makes no use of `n0`.

        Raises:
            ValueError: the budget carries no code block, or the images have other than 1 or 3 channels.
        """
        plan = self._plan(tuple(image.shape[1:]))
        pixels = to_uint8(image)
        payloads = [self._payload(one, plan.payload_bytes) for one in pixels]
        bits = torch.from_numpy(np.stack([_to_bits(one, plan.info_bits) for one in payloads]))
        symbols = self._qam.map(scramble(channel_encode(bits, plan), C_INIT)).to(image.device)
        notes = {
            "source": self.source.note(_hwc(tuple(image.shape[1:]))),
            "receiver": "knows the image size, the modulation-and-coding scheme and the ratio",
        }
        return Frame(symbols, {"payload": plan.symbols}, power="constellation", notes=notes)

    def decode(self, received: Received) -> Decoded:
        """Images (b, c, h, w) in [0, 1], which failed, and how many code blocks of each did, (b,).

        Raises:
            ValueError: the reception has another number of symbols than this codec sends.
        """
        received = received.unbiased()
        shape = received.shape_for(self.ratio)
        plan = self._plan(shape)
        if received.symbols.shape[1] != plan.symbols:
            c, h, w = shape
            raise ValueError(
                f"received has {received.symbols.shape[1]} symbols; an image of {w}×{h}×{c} at ratio {self.ratio:g} "
                f"is sent in {plan.symbols}"
            )
        llr = descramble_llr(self._qam.llr(received.symbols, received.n0), C_INIT).cpu()
        bits, ok = channel_decode(llr, plan)
        arrived = ok.cumprod(dim=1).sum(dim=1)  # blocks before the first failed one
        results = [self._image(one, plan.bits_of(int(n)), _hwc(shape)) for one, n in zip(bits, arrived, strict=True)]
        images = torch.from_numpy(np.stack([pixels for pixels, _ in results])).permute(0, 3, 1, 2)
        failed = torch.tensor([not whole for _, whole in results]) | ~ok.all(dim=1)
        device = received.symbols.device
        return Decoded(
            (images.float() / 255).contiguous().to(device), failed.to(device), (~ok).sum(dim=1).to(device), plan.blocks
        )

    def _plan(self, shape: tuple[int, ...]) -> Plan:
        c, h, w = shape
        try:
            return plan_blocks(channel_uses((c, h, w), self.ratio), self.mcs)
        except ValueError as error:
            raise ValueError(f"ratio={self.ratio:g} is too small for an image of {w}×{h}×{c}: {error}") from None

    def _payload(self, pixels: UInt8[np.ndarray, "h w c"], budget: int) -> bytes:
        """The source coding, or nothing when none fits; the same image is sent at many an Es/N0, so it is kept."""
        content = hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()
        return _CODINGS.get(self.source, pixels, content, budget)

    def _image(self, bits: Num[Tensor, " k"], count: int, shape: Shape) -> tuple[UInt8[np.ndarray, "h w c"], bool]:
        """The image of the first `count` of the bits, and whether there is anything in them."""
        data = np.packbits(bits[: count // 8 * 8].numpy().astype(np.uint8)).tobytes()
        if not data.strip(b"\0"):
            return grey_image(shape), False
        return self.source.decode(data, shape, complete=count == bits.shape[0]), True


def to_uint8(image: Float[Tensor, "b c h w"]) -> UInt8[np.ndarray, "b h w c"]:
    """Images in [0, 1] as 8-bit pixels, rounded, channels last."""
    pixels: np.ndarray = to_levels(image.detach()).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


class _Codings:
    """The last source codings by content: `functools.lru_cache` would keep the images too."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[SourceCoder, bytes, Shape, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, source: SourceCoder, pixels: UInt8[np.ndarray, "h w c"], content: bytes, budget: int) -> bytes:
        h, w, c = pixels.shape
        key = (source, content, (h, w, c), budget)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        coding = source.encode(pixels, budget) or b""
        with self._lock:
            self._kept[key] = coding
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return coding


_CODINGS = _Codings(size=2048)


def _to_bits(data: bytes, length: int) -> UInt8[np.ndarray, " length"]:
    bits = np.zeros(length, dtype=np.uint8)
    bits[: len(data) * 8] = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    return bits


def _hwc(shape: tuple[int, ...]) -> Shape:
    c, h, w = shape
    return h, w, c
