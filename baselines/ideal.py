"""Ceilings of the separate chain: a source coder on a channel code that loses nothing at capacity."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.baselines.capacity import constrained
from semlink.baselines.fading_ceilings import ergodic_rayleigh, outage_capacity_rayleigh
from semlink.baselines.separate import sounded_esno, to_uint8
from semlink.baselines.sources import SourceCoder, code_image, grey_image, link_source
from semlink.phy.link import Decoded, Frame, Received, Sounding
from semlink.phy.rng import probe

BOUNDS = ("ergodic", "outage=SHARE", "4qam", "16qam", "64qam", "256qam")
"""Other rates than the capacity of the very fades: see `CapacityCodec`."""


class CapacityCodec:
    """The ideal separate link: as many source bits as a channel code at capacity would carry, and none of them lost.

    Without `bound` the bits are the floor of the sum of log2(1 + Es/N0) over the symbols that an image may use, each
    with the Es/N0 its fade will give it: on AWGN n·C, on fast fading nearly n times the ergodic capacity, on block
    fading the capacity of that very block, as if a genie told it to the transmitter. No separate chain with this source
    coder can do better, whatever its code and modulation; power is not shifted between symbols.

    The coding goes to the receiver beside the channel, in the header, and the symbols sent are a constant: what is
    measured is the source coder alone, within the same budget of channel uses as the others.

    Args:
        source: as of `SeparateCodec`.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        bound: None; an order, "16qam", for the capacity constrained to equiprobable points; "ergodic" for n times the
            ergodic capacity of Rayleigh fading at the average Es/N0, whatever the fades; "outage=0.1" for n times the
            capacity that block Rayleigh fading falls short of in a tenth of the images, which are then lost.

    Raises:
        ValueError: unknown source or bound, or a ratio that is not positive.
    """

    def __init__(self, *, source: str | SourceCoder = "jpeg", ratio: float = 1 / 6, bound: str | None = None) -> None:
        if not (math.isfinite(ratio) and ratio > 0):
            raise ValueError(f"ratio={ratio} must be a positive number of channel uses per c·h·w")
        self.source = link_source(source)
        self.ratio = ratio
        self.bound = bound
        self._rate = _rate_of(bound)

    def encode_informed(self, image: Float[Tensor, "b c h w"], n0: float, sound: Sounding) -> Frame:
        """Images in [0, 1] to floor(ratio·c·h·w) Gaussian symbols each, which carry nothing, and codings in the header.

        Raises:
            ValueError: the images have other than 1 or 3 channels.
        """
        esno = sounded_esno(sound, image, self.ratio)
        bits = self._rate(esno, -10 * math.log10(n0))
        budgets, lost = np.floor(np.abs(bits) / 8 + 1e-9).astype(int), (bits < 0).tolist()
        pairs = zip(to_uint8(image), budgets, strict=True)
        codings = [code_image(self.source, pixels, int(budget)).data for pixels, budget in pairs]
        _, c, h, w = image.shape
        what = f"capacity ({self.bound or 'of Gaussian symbols over these very fades'}), no CRC, no padding"
        notes = {"source": self.source.note((h, w, c)), "channel code": what}
        symbols = probe(*esno.shape).to(image.device)
        source_bits = torch.tensor([8 * len(coding) for coding in codings])
        header = [b"" if gone else coding for gone, coding in zip(lost, codings, strict=True)]
        return Frame(symbols, {"payload": esno.shape[1]}, notes=notes, header=header, bits={"source": source_bits})

    def decode(self, received: Received) -> Decoded:
        """The images of the codings, (b, c, h, w); one that fitted at no quality is mid-grey and marked failed.

        Raises:
            ValueError: no header.
        """
        if received.header is None:
            raise ValueError("header=None: an ideal link has its codings in the burst header")
        c, h, w = received.shape_for(self.ratio)
        images = [self._image(cast(bytes, data), (h, w, c)) for data in received.header]
        pixels = np.stack([grey_image((h, w, c)) if image is None else image for image in images])
        device = received.symbols.device
        failed = torch.tensor([image is None for image in images], device=device)
        return Decoded(torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).to(device), failed)

    def _image(self, data: bytes, shape: tuple[int, int, int]) -> np.ndarray | None:
        return self.source.decode(data, shape, complete=True) if data else None


Rate = Callable[[Float[np.ndarray, "b n"], float], Float[np.ndarray, " b"]]
"""Bits of each image, from the Es/N0 of its symbols, linear, and the average Es/N0 in dB; below 0 those of one that is
sent and lost."""


def _rate_of(bound: str | None) -> Rate:
    if bound is None:
        return lambda esno, _: np.log2(1 + esno).sum(axis=1)
    if bound == "ergodic":
        return lambda esno, esno_db: np.full(len(esno), esno.shape[1] * float(ergodic_rayleigh(esno_db)))
    if match := re.fullmatch(r"(4|16|64|256)qam", bound):
        return partial(_constrained_bits, int(match[1]))
    if match := re.fullmatch(r"outage=(0?\.\d+)", bound, flags=re.ASCII):
        share = float(match[1])
        if 0 < share < 1:
            return partial(_outage_bits, share)
    raise ValueError(f"bound={bound!r} must be one of: {', '.join(BOUNDS)}, SHARE between 0 and 1")


def _constrained_bits(order: int, esno: Float[np.ndarray, "b n"], _: float) -> Float[np.ndarray, " b"]:
    levels_db, bits = _constrained_table(order)
    each: np.ndarray = np.interp(10 * np.log10(np.maximum(esno, 1e-9)), levels_db, bits)
    total: np.ndarray = each.sum(axis=1)
    return total


@lru_cache(maxsize=4)
def _constrained_table(order: int) -> tuple[Float[np.ndarray, " levels"], Float[np.ndarray, " levels"]]:
    levels_db = np.arange(-60.0, 60.0, 0.1)
    return levels_db, constrained(order, levels_db)


def _outage_bits(share: float, esno: Float[np.ndarray, "b n"], esno_db: float) -> Float[np.ndarray, " b"]:
    sent = esno.shape[1] * float(outage_capacity_rayleigh(esno_db, share))
    bits: np.ndarray = np.where(np.log2(1 + esno).sum(axis=1) >= sent * (1 - 1e-9), sent, -sent)
    return bits
