"""One batch through the chain: source coding, channel coding and mapping by the plan of each image, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int, UInt8
from torch import Tensor

from semlink.baselines.blocks import Plan, channel_decode, channel_encode
from semlink.baselines.budget import what_would_fit
from semlink.baselines.doors import QAM_NAME, mapper
from semlink.baselines.mcs import MCS
from semlink.baselines.sources import Pixels, Shape, SourceCoder, code_images, grey_image
from semlink.phy.bits import Decisions, Words
from semlink.phy.fec import descramble_llr, scramble
from semlink.phy.link import Decoded, Frame, Received, Spatial
from semlink.phy.mimo import kbest_llr

C_INIT = 1 << 15
"""Scrambling seed of TS 38.211 clause 7.3.1.1 for n_RNTI = 1, q = 0, n_ID = 0; known at the receiver."""


@dataclass(frozen=True)
class Sent:
    """Symbols of some images, with the account of their bits."""

    symbols: Complex[Tensor, "b n"]
    plans: Sequence[Plan]
    source_bits: Int[Tensor, " b"]
    unfit: str | None
    overhead: Mapping[str, int]  # bytes of what the source coder hands out, by purpose
    words: Words

    def to_frame(
        self,
        device: torch.device,
        notes: dict[str, str],
        header: Sequence[int] | None = None,
        header_bits: int = 0,
    ) -> Frame:
        """The frame, with what is noted and what a header of so many bits tells."""
        info, crc_bits, coded = (
            torch.tensor([getattr(plan, name) for plan in self.plans])
            for name in ("info_bits", "crc_bits", "coded_bits")
        )
        beside = {purpose: 8 * count * (self.source_bits > 0).long() for purpose, count in self.overhead.items()}
        bits = {
            "source": self.source_bits - torch.stack([torch.zeros_like(info), *beside.values()]).sum(dim=0),
            **beside,
            "padding": info - self.source_bits,
            "crc": crc_bits,
            "parity": coded - info - crc_bits,
        }
        if header is not None:
            bits["header"] = torch.full_like(info, header_bits)
        if self.unfit is not None:
            notes = {**notes, "budget": self.unfit}
        uses = {"payload": self.symbols.shape[1]}
        modes = [str(plan.mcs) for plan in self.plans]
        return Frame(
            self.symbols.to(device),
            uses,
            power="constellation",
            notes=notes,
            header=header,
            bits=bits,
            modes=modes,
            words=self.words,
        )


def modulate(pixels: UInt8[np.ndarray, "b h w c"], plans: Sequence[Plan], source: SourceCoder) -> Sent:
    """Source coding, channel coding and mapping of each image by its plan."""
    symbols = torch.empty(len(pixels), plans[0].symbols, dtype=torch.complex64)
    source_bits, unfit = torch.empty(len(pixels), dtype=torch.int64), None
    information: dict[int, Tensor] = {}  # by row
    coded: dict[int, Tensor] = {}
    for plan, rows in by_plan(plans):
        codings = [coding.data for coding in code_images(source, list(pixels[rows]), plan.payload_bytes)]
        bits = torch.from_numpy(np.stack([to_bits(coding, plan.info_bits) for coding in codings]))
        sent = scramble(channel_encode(bits, plan), C_INIT)
        symbols[rows] = mapper(plan.mcs).map(sent)
        information |= dict(zip(rows, bits.bool(), strict=True))
        coded |= dict(zip(rows, sent.bool(), strict=True))
        source_bits[rows] = torch.tensor([8 * len(coding) for coding in codings])
        if b"" in codings:
            unfit = unfit or what_would_fit(source, pixels[rows[codings.index(b"")]], plan)
    words = Words(in_order(information), in_order(coded), [plan.block_size for plan in plans])
    return Sent(symbols, plans, source_bits, unfit, getattr(source, "overhead", {}), words)


def demap(received: Received, rows: list[int], mcs: MCS) -> Float[Tensor, "b n_bits"]:
    """LLRs of some images, of QAM jointly over a channel use's streams where what the antennas received is known."""
    if received.spatial is None or mcs.constellation != QAM_NAME:
        return mapper(mcs).llr(received.symbols[rows], received.n0[rows])
    seen = received.spatial
    part = Spatial(seen.observed[rows], seen.h[rows], seen.n0[rows], seen.width)
    return kbest_llr(part, mcs.order, symbols=received.symbols.shape[1])


def demodulate(received: Received, plans: Sequence[Plan], source: SourceCoder, ratio: float) -> Decoded:
    """Demapping, channel decoding and source decoding of each image by its plan."""
    received, shape = received.unbiased(), received.shape_for(ratio)
    _check_symbols(received, plans[0].symbols, shape, ratio)
    images = torch.empty(len(plans), *shape)
    failed, errors = torch.zeros(len(plans), dtype=torch.bool), torch.zeros(len(plans), dtype=torch.int64)
    information: dict[int, Tensor] = {}  # by row
    coded: dict[int, Tensor] = {}
    for plan, rows in by_plan(plans):
        llr = demap(received, rows, plan.mcs)
        bits, ok = channel_decode(descramble_llr(llr, C_INIT).cpu(), plan)
        information |= dict(zip(rows, bits.bool(), strict=True))
        coded |= dict(zip(rows, (llr < 0).cpu(), strict=True))
        data = np.packbits(bits.to(torch.uint8).numpy(), axis=1)
        arrived = ok.cumprod(dim=1).sum(dim=1).tolist()  # blocks before the first that failed
        pairs = zip(data, map(plan.bits_of, arrived), strict=True)
        results = [image_of(source, one, count, plan, _hwc(shape)) for one, count in pairs]
        pixels = torch.from_numpy(np.stack([pixels for pixels, _ in results])).permute(0, 3, 1, 2)
        images[rows] = pixels.float() / 255
        failed[rows] = torch.tensor([not whole for _, whole in results]) | ~ok.all(dim=1)
        errors[rows] = (~ok).sum(dim=1)
    blocks = torch.tensor([plan.blocks for plan in plans])
    device = received.symbols.device
    decisions = Decisions(in_order(information), in_order(coded))
    return Decoded(images.to(device), failed.to(device), errors.to(device), blocks.to(device), decisions)


def by_plan(plans: Sequence[Plan]) -> list[tuple[Plan, list[int]]]:
    """Each plan with the rows that it is of."""
    rows: dict[Plan, list[int]] = {}
    for row, plan in enumerate(plans):
        rows.setdefault(plan, []).append(row)
    return list(rows.items())


def in_order(by_row: Mapping[int, Bool[Tensor, " _"]]) -> list[Bool[Tensor, " _"]]:
    """Bits of each image from those by row."""
    return [by_row[row] for row in sorted(by_row)]


def image_of(
    source: SourceCoder, packed: UInt8[np.ndarray, " bytes"], count: int, plan: Plan, shape: Shape
) -> tuple[Pixels, bool]:
    """The image of the first `count` bits, and whether the source decoder made anything of them."""
    data = packed[: count // 8].tobytes()
    if not data.strip(b"\0"):
        return grey_image(shape), False
    pixels = source.decode(data, shape, complete=count == plan.info_bits)
    return (grey_image(shape), False) if pixels is None else (pixels, True)


def to_bits(data: bytes, length: int) -> UInt8[np.ndarray, " length"]:
    """A coding's bits, and zeros up to a length."""
    bits = np.zeros(length, dtype=np.uint8)
    bits[: len(data) * 8] = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    return bits


def source_notes(source: SourceCoder, shape: Sequence[int]) -> dict[str, str]:
    """What the source coder has to say of images (b, c, h, w)."""
    return {"source": source.note(_hwc(shape[1:]))}


def _hwc(shape: Sequence[int]) -> Shape:
    c, h, w = shape
    return h, w, c


def _check_symbols(received: Received, symbols: int, shape: tuple[int, int, int], ratio: float) -> None:
    if received.symbols.shape[1] != symbols:
        c, h, w = shape
        raise ValueError(
            f"received has {received.symbols.shape[1]} symbols; an image of {w}×{h}×{c} at ratio {ratio:g} "
            f"is sent in {symbols}"
        )
