"""Unequal protection: the first bytes of a source coding in a scheme of half the rate, so that they outlive the rest.

For source coders whose every beginning is an image, and whose first bytes are worth most. The link is then graceful: it
loses the refinements first, and the image last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from semlink.baselines.adaptation import HOPELESS, SURE, average_failures, outage_failures
from semlink.baselines.blocks import Plan, channel_decode, channel_encode, plan_blocks
from semlink.baselines.budget import has_block, too_small
from semlink.baselines.chain import C_INIT, to_bits
from semlink.baselines.doors import QAM_NAME
from semlink.baselines.mcs import MCS, NR_SCHEMES, parse_mcs
from semlink.baselines.separate import HEADER_BITS, AdaptiveCodec, SeparateCodec, scheme_of, separate_codec, to_uint8
from semlink.baselines.sources import Pixels, SourceCoder, code_image, find_source, grey_image, link_source
from semlink.phy.constellation import QAM
from semlink.phy.fec import descramble_llr, scramble
from semlink.phy.link import Channel, Decoded, Frame, Received, channel_uses

WORTH = 0.01
"""Share of the expected squared error that no further coding is made for: of prompts one takes long."""
FAR = 1.25
"""By what factor the expected squared error must rise for the search not to go on in its direction."""
SHARE = 4
"""One in so many channel uses is of the first bytes."""


class LayeredCodec:
    """A digital link in two layers with a fixed scheme: see the module; else as `SeparateCodec`.

    Args:
        source: a source coder of which every beginning is an image, such as "prompt".
        mcs: the scheme of the second layer; that of the first is the best of 5G NR of at most half its rate.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).

    Raises:
        ValueError: unknown source or scheme, or a ratio that is not positive.
    """

    ignores_n0 = True

    def __init__(self, *, source: str | SourceCoder, mcs: str = "16qam-1/2", ratio: float = 1 / 6) -> None:
        if not (math.isfinite(ratio) and ratio > 0):
            raise ValueError(f"ratio={ratio} must be a positive number of channel uses per c·h·w")
        self.source, self.mcs, self.ratio = link_source(source), parse_mcs(mcs), ratio

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:  # noqa: ARG002
        """Images in [0, 1] to floor(ratio·c·h·w) symbols each, (b, n); a fixed scheme makes no use of `n0`.

        Raises:
            ValueError: the budget carries no code block, or the images have other than 1 or 3 channels.
        """
        return self.send(image, [self.mcs] * len(image))

    def decode(self, received: Received) -> Decoded:
        """Images (b, c, h, w) in [0, 1], which failed, and how many code blocks of each did, (b,).

        An image is made of all that came before the first block that is lost, and then counts as failed.

        Raises:
            ValueError: the reception has another number of symbols than this codec sends.
        """
        return self.receive(received, [self.mcs] * len(received.symbols))

    def send(
        self, image: Float[Tensor, "b c h w"], schemes: Sequence[MCS], header: Sequence[int] | None = None
    ) -> Frame:
        """A frame of images, each by its scheme."""
        plans = [self._layers(image.shape[1:], mcs) for mcs in schemes]
        pixels = to_uint8(image)
        codings = [
            code_image(self.source, one, sum(plan.payload_bytes for plan in layers)).data
            for one, layers in zip(pixels, plans, strict=True)
        ]
        symbols = torch.stack([_sent(data, layers) for data, layers in zip(codings, plans, strict=True)])
        info, crc, coded = (
            torch.tensor([sum(getattr(plan, name) for plan in layers) for layers in plans])
            for name in ("info_bits", "crc_bits", "coded_bits")
        )
        source = torch.tensor([8 * len(data) for data in codings])
        bits = {"source": source, "padding": info - source, "crc": crc, "parity": coded - info - crc}
        if header is not None:
            bits["header"] = torch.full_like(info, HEADER_BITS)
        c, h, w = image.shape[1:]
        told = "knows the image size, the scheme and the ratio"
        if header is not None:
            told = f"knows the image size and the ratio; the header, {HEADER_BITS} bits, tells the scheme"
        notes = {
            "source": self.source.note((h, w, c)),
            "protection": f"the first bytes in 1/{SHARE} of the channel uses, in a scheme of at most half the rate",
            "receiver": told,
        }
        uses, modes = {"payload": symbols.shape[1]}, [str(mcs) for mcs in schemes]
        sent = symbols.to(image.device)
        return Frame(sent, uses, power="constellation", notes=notes, header=header, bits=bits, modes=modes)

    def receive(self, received: Received, schemes: Sequence[MCS]) -> Decoded:
        """The images of a reception, each by its scheme."""
        received, shape = received.unbiased(), received.shape_for(self.ratio)
        if received.symbols.shape[1] != (expected := channel_uses(shape, self.ratio)):
            raise ValueError(f"received has {received.symbols.shape[1]} symbols; such an image is sent in {expected}")
        rows = [self._receive_one(received, i, self._layers(shape, mcs), shape) for i, mcs in enumerate(schemes)]
        images, failed, errors, blocks = zip(*rows, strict=True)
        device = received.symbols.device
        told = [torch.tensor(one, device=device) for one in (failed, errors, blocks)]
        return Decoded(torch.stack(images).to(device), told[0], told[1], told[2])

    def _receive_one(
        self, received: Received, row: int, layers: Sequence[Plan], shape: tuple[int, int, int]
    ) -> tuple[Tensor, bool, int, int]:
        """One image, whether it failed, its blocks in error and all its blocks."""
        data, errors, at, broken = b"", 0, 0, False
        for plan in layers:
            part = slice(at, at + plan.symbols)
            llr = QAM(plan.mcs.order).llr(received.symbols[row : row + 1, part], received.n0[row : row + 1, part])
            bits, ok = channel_decode(descramble_llr(llr, C_INIT).cpu(), plan)
            arrived = plan.bits_of(int(ok[0].cumprod(dim=0).sum())) // 8
            if not broken:
                data += np.packbits(bits[0].to(torch.uint8).numpy()).tobytes()[: min(arrived, plan.payload_bytes)]
            at, errors, broken = at + plan.symbols, errors + int((~ok).sum()), broken or not bool(ok.all())
        c, h, w = shape
        pixels = self.source.decode(data, (h, w, c), complete=not broken) if data.strip(b"\0") else None
        shown = grey_image((h, w, c)) if pixels is None else pixels
        image = torch.from_numpy(shown).permute(2, 0, 1).float() / 255
        return image, broken or pixels is None, errors, sum(plan.blocks for plan in layers)

    def _layers(self, shape: Sequence[int], mcs: MCS) -> list[Plan]:
        c, h, w = shape
        symbols = channel_uses((c, h, w), self.ratio)
        try:
            return plan_layers(symbols, mcs)
        except ValueError as error:
            raise ValueError(too_small((1, c, h, w), self.ratio, symbols, error, "ldpc")) from None


class AdaptiveLayeredCodec(LayeredCodec):
    """The same with the scheme of least expected squared error for each image, as `AdaptiveCodec`.

    Where the second layer is lost the image of the first one counts. The losses are taken to be nested: what loses the
    first layer loses the second.

    Args:
        source: as of `LayeredCodec`.
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        fading: the channel whose fading statistics are known; None for AWGN.
    """

    ignores_n0 = False

    def __init__(self, *, source: str | SourceCoder, ratio: float = 1 / 6, fading: Channel | None = None) -> None:
        super().__init__(source=source, ratio=ratio)
        self.fading = fading
        self._failures: dict[tuple[int, float], Float[np.ndarray, " schemes"]] = {}

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """Images in [0, 1] to floor(ratio·c·h·w) symbols each, (b, n), for an average noise variance `n0`.

        Raises:
            ValueError: the budget carries no code block, or the images have other than 1 or 3 channels.
        """
        schemes = [self._best(pixels, -10 * math.log10(n0)) for pixels in to_uint8(image)]
        frame = self.send(image, schemes, header=[NR_SCHEMES.index(mcs) for mcs in schemes])
        knows = "the average Es/N0" + (" and the fading statistics" if self.fading is not None else "")
        return replace(
            frame, notes={**frame.notes, "transmitter": f"knows {knows}, and picks the scheme of each image"}
        )

    def decode(self, received: Received) -> Decoded:
        """As `LayeredCodec.decode`, each image by the scheme its header tells.

        Raises:
            ValueError: no header, one of no scheme, or another number of symbols than this codec sends.
        """
        if received.header is None:
            raise ValueError("header=None: an adaptive link needs the burst header that tells the scheme")
        return self.receive(received, [scheme_of(index, "ldpc") for index in received.header])

    def _best(self, pixels: Pixels, esno_db: float) -> MCS:
        """The scheme of least expected squared error, found as `semlink.baselines.adaptation.best_scheme` finds it."""
        h, w, c = pixels.shape
        symbols = channel_uses((c, h, w), self.ratio)
        fails = self._fails(symbols - symbols // SHARE, esno_db)
        hopeful = [i for i, share in enumerate(fails) if share <= HOPELESS]
        if not hopeful:  # the most robust of those that have a block; where none has, `send` says what is too small
            return next((mcs for mcs in NR_SCHEMES if has_block(symbols, mcs, "ldpc")), NR_SCHEMES[-1])
        first = max((i for i in hopeful if fails[i] <= SURE), default=min(hopeful, key=fails.__getitem__))
        best, (least, error) = first, self._errors(pixels, symbols, first, esno_db)
        for i in [one for one in hopeful if one > first]:
            expected, _ = self._errors(pixels, symbols, i, esno_db)
            if expected > FAR * least:
                break
            best, least = (i, expected) if expected < least else (best, least)
        for i in [one for one in reversed(hopeful) if one < first]:
            if least - error < WORTH * least:
                break
            expected, error = self._errors(pixels, symbols, i, esno_db)
            if expected > FAR * least:
                break
            best, least = (i, expected) if expected < least else (best, least)
        return NR_SCHEMES[best]

    def _errors(self, pixels: Pixels, symbols: int, index: int, esno_db: float) -> tuple[float, float]:
        """Expected squared error with a scheme, and that of its coding."""
        layers = plan_layers(symbols, NR_SCHEMES[index])
        coding = code_image(self.source, pixels, sum(plan.payload_bytes for plan in layers))
        lost = [self._fails(plan.symbols, esno_db)[NR_SCHEMES.index(plan.mcs)] for plan in layers]
        error = coding.mse(pixels)
        begun = self._begun(pixels, coding.data[: layers[0].payload_bytes])
        nothing = float(np.mean((pixels.astype(np.float32) - grey_image(_shape(pixels))) ** 2))
        worst, rest = lost[0], max(lost[-1], lost[0])
        return worst * nothing + (rest - worst) * begun + (1 - rest) * error, error

    def _begun(self, pixels: Pixels, data: bytes) -> float:
        shown = self.source.decode(data, _shape(pixels), complete=False)
        image = grey_image(_shape(pixels)) if shown is None else shown
        return float(np.mean((pixels.astype(np.float32) - image) ** 2))

    def _fails(self, symbols: int, esno_db: float) -> Float[np.ndarray, " schemes"]:
        key = symbols, round(esno_db, 9)
        if self.fading is None:
            return average_failures(*key)
        if key not in self._failures:
            self._failures[key] = outage_failures(*key, self.fading)
        return self._failures[key]


def digital_codec(
    *,
    source: str | SourceCoder = "jpeg",
    mcs: str = "16qam-1/2",
    ratio: float = 1 / 6,
    code: str = "ldpc",
    fading: Channel | None = None,
    constellation: str = QAM_NAME,
) -> SeparateCodec | AdaptiveCodec | LayeredCodec:
    """`separate_codec`, in two layers where the source coder says by an attribute `layered` that it gains by it.

    Not with other codes than "ldpc" or points than QAM's, nor for a genie, who knows what will arrive.

    Raises:
        ValueError: as `separate_codec`.
    """
    plain = (code, constellation) != ("ldpc", QAM_NAME) or mcs == "genie"
    if plain or not getattr(find_source(source), "layered", False):
        return separate_codec(
            source=source, mcs=mcs, ratio=ratio, code=code, fading=fading, constellation=constellation
        )
    if mcs not in ("adaptive", "outage"):
        return LayeredCodec(source=source, mcs=mcs, ratio=ratio)
    if mcs == "outage" and fading is None:
        raise ValueError("mcs='outage' needs `fading`, the channel whose statistics are known")
    return AdaptiveLayeredCodec(source=source, ratio=ratio, fading=fading if mcs == "outage" else None)


def plan_layers(symbols: int, mcs: MCS) -> list[Plan]:
    """The blocks of the first bytes, then those of the rest; one layer where the first would be too short for a block.

    Raises:
        ValueError: too few channel uses for any block.
    """
    half = mcs.bits_per_symbol * mcs.rate / 2
    robust = [one for one in NR_SCHEMES if one.bits_per_symbol * one.rate <= half]
    try:
        first = plan_blocks(symbols // SHARE, max(robust, key=lambda one: one.bits_per_symbol * one.rate))
        return [first, plan_blocks(symbols - symbols // SHARE, mcs)]
    except ValueError:  # too short, or no scheme is so robust
        return [plan_blocks(symbols, mcs)]


def _sent(data: bytes, layers: Sequence[Plan]) -> Complex[Tensor, " n"]:
    symbols, at = [], 0
    for plan in layers:
        part = data[at : at + plan.payload_bytes]
        bits = torch.from_numpy(to_bits(part, plan.info_bits))[None]
        symbols.append(QAM(plan.mcs.order).map(scramble(channel_encode(bits, plan), C_INIT))[0])
        at += plan.payload_bytes
    return torch.cat(symbols)


def _shape(pixels: Pixels) -> tuple[int, int, int]:
    h, w, c = pixels.shape
    return h, w, c
