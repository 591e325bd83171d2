"""Ceilings of the separate chain: a source coder on a channel code that loses nothing at capacity."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from semlink.baselines.capacity import shannon
from semlink.baselines.coders import find_source
from semlink.baselines.codings import code_image
from semlink.baselines.separate import sounded_esno, to_uint8
from semlink.baselines.source import grey_image
from semlink.phy.link import Decoded, Frame, Received, Sounding

DIMENSIONS = "Shannon capacity of Gaussian symbols, no CRC, no padding, nothing lost"


class CapacityCodec:
    """The ideal separate link: as many source bits as the channel's capacity over the symbols of an image.

    The bits are the floor of the sum of log2(1 + Es/N0) over the symbols that an image may use, each with the Es/N0
    its fade will give it: on AWGN n·C, on fast fading nearly n times the ergodic capacity, on block fading the capacity
    of that very block, as if a genie told it to the transmitter. No separate chain with this source coder can do
    better, whatever its code and modulation; power is not shifted between symbols.

    The coding goes to the receiver beside the channel, in the header, and the symbols sent are a constant: what is
    measured is the source coder alone, within the same budget of channel uses as the others.

    Args:
        source: as of `SeparateCodec`.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).

    Raises:
        ValueError: unknown source, or a ratio that is not positive.
    """

    def __init__(self, *, source: str = "jpeg", ratio: float = 1 / 6) -> None:
        if not (math.isfinite(ratio) and ratio > 0):
            raise ValueError(f"ratio={ratio} must be a positive number of channel uses per c·h·w")
        self.source = find_source(source)
        self.ratio = ratio

    def encode_informed(self, image: Float[Tensor, "b c h w"], n0: float, sound: Sounding) -> Frame:  # noqa: ARG002
        """Images in [0, 1] to floor(ratio·c·h·w) constant symbols each, their codings in the header.

        Raises:
            ValueError: the images have other than 1 or 3 channels.
        """
        esno = sounded_esno(sound, image, self.ratio)
        bits = shannon(10 * np.log10(np.maximum(esno, 1e-30))).sum(axis=1)
        budgets = np.floor(bits / 8 + 1e-9).astype(int)
        pairs = zip(to_uint8(image), budgets, strict=True)
        codings = [code_image(self.source, pixels, int(budget)).data for pixels, budget in pairs]
        _, c, h, w = image.shape
        notes = {"source": self.source.note((h, w, c)), "channel code": DIMENSIONS}
        symbols = torch.ones(esno.shape, dtype=torch.complex64, device=image.device)
        source_bits = torch.tensor([8 * len(coding) for coding in codings])
        return Frame(symbols, {"payload": esno.shape[1]}, notes=notes, header=codings, bits={"source": source_bits})

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
