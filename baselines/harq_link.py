"""The digital link with hybrid ARQ: all rounds in one frame, of which the receiver tells how much had to be sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int, Num
from torch import Tensor

from semlink.baselines.adaptation import best_schemes
from semlink.baselines.blocks import Plan, plan_blocks
from semlink.baselines.budget import too_small, what_would_fit
from semlink.baselines.chain import C_INIT, demap, image_of, in_order, source_notes, to_bits
from semlink.baselines.harq import MOST_SYMBOLS, Harq, rounds_by_scheme
from semlink.baselines.mcs import NR_SCHEMES, parse_mcs
from semlink.baselines.separate import HEADER_BITS, check_ratio, scheme_of, to_uint8
from semlink.baselines.sources import SourceCoder, code_images, link_source
from semlink.phy.bits import Decisions, Words
from semlink.phy.constellation import QAM
from semlink.phy.fec import descramble_llr, scramble
from semlink.phy.link import Channel, Decoded, Frame, Received, Spent, channel_uses

CHOICES = ("adaptive", "outage")
"""How a scheme may be chosen beside a fixed one: a genie, who knows the fades, would not ask for a second round."""
_FINE = 16.0  # of the noise's standard deviation: its digits beyond are even, and tell nothing of the rest


class HarqCodec:
    """A `SeparateCodec` in NR's transport blocks with hybrid ARQ: an image is sent again until it arrives.

    A frame holds all rounds an image may take, one after another and with the waiting for the feedback between them,
    so that each meets the fades of its own time: a channel with one gain an image gives all rounds the same one, and
    needs a coherence or a Doppler spread for anything else. The receiver decodes from the first t rounds until the
    CRCs hold, and what follows is told as not sent: neither its channel uses nor its energy count. While an image
    waits for feedback, others are sent (NR has 16 processes): those channel uses are not its own, and stand in the
    frame as QPSK. Rounds are scrambled like codewords of another cell each, so that chase combining does not repeat
    the symbols with the bits.

    `ratio` is a budget: with `Harq.budget` "most" of all rounds together, so that no image takes more; with "mean" of
    the channel uses that the transmitter expects, which it makes the rounds so long for as it knows the channel; with
    `Harq.round_ratio` nothing but a name. What was really spent is in `Transmission.spent` and `.ratio`.

    ACK and NACK go beside the channel uses, a bit a round, in the ledger as "feedback". Whether one is mistaken is
    drawn from the finest digits of the noise on the first symbol of the round.

    Args:
        source: as of `SeparateCodec`.
        mcs: a scheme by name, "adaptive" (by the average Es/N0, on AWGN) or "outage" (with `fading`'s statistics).
        ratio: bandwidth ratio, complex channel uses / (c·h·w).
        harq: the rounds.
        fading: the channel, for "outage".

    Raises:
        ValueError: an unknown source or scheme, a ratio that is not positive, or a mean budget with a fixed scheme.
    """

    closed_loop = True

    def __init__(
        self,
        *,
        source: str | SourceCoder = "jpeg",
        mcs: str = "16qam-1/2",
        ratio: float = 1 / 6,
        harq: Harq | None = None,
        fading: Channel | None = None,
    ) -> None:
        check_ratio(ratio)
        self.source, self.budget, self.harq = link_source(source), ratio, harq or Harq()
        if mcs == "genie":
            raise ValueError("mcs='genie' knows the fades and asks for no second round; HARQ takes adaptive or outage")
        if mcs == "outage" and fading is None:
            raise ValueError("mcs='outage' needs `fading`, the channel whose statistics are known")
        self.mcs = None if mcs in CHOICES else parse_mcs(mcs)
        if self.mcs is not None and self.harq.budget == "mean":
            raise ValueError(
                f"budget=mean expects channel uses from what adaptive or outage knows of the channel; mcs='{self.mcs}' "
                "is fixed: give round=RATIO"
            )
        self.fading = fading if mcs == "outage" else None
        self._known: dict[tuple[int, float], tuple[list[int], np.ndarray]] = {}

    @property
    def ignores_n0(self) -> bool:
        """Whether an image is sent as the same symbols at every Es/N0."""
        return self.mcs is not None

    def encode(self, image: Float[Tensor, "b c h w"], n0: float) -> Frame:
        """Images in [0, 1] to the symbols of all rounds, (b, n), for an average noise variance `n0`.

        Raises:
            ValueError: a round carries no code block, the rounds and the waiting are longer than is simulated, or the
                images have other than 1 or 3 channels.
        """
        pixels, shape = to_uint8(image), image.shape[1:]
        self._check_length(shape)
        try:
            plans = self._plans(pixels, shape, n0)
        except ValueError as error:
            n = self._most(shape)
            said = too_small(image.shape, n / math.prod(shape), n, error, "nr")
            raise ValueError(f"a round of {n} channel uses: {said}") from None
        codings, symbols = [b""] * len(pixels), self._filling(shape).repeat(len(pixels), 1)
        information: dict[int, Tensor] = {}  # by row
        coded: dict[int, Tensor] = {}
        for plan in dict.fromkeys(plans):
            rows = [row for row, own in enumerate(plans) if own == plan]
            for row, coding in zip(rows, code_images(self.source, list(pixels[rows]), plan.payload_bytes), strict=True):
                codings[row] = coding.data
            bits = torch.from_numpy(np.stack([to_bits(codings[row], plan.info_bits) for row in rows]))
            rounds = self._rounds(bits, plan)
            for t, sent in enumerate(rounds):
                start = t * (plan.symbols + self.harq.delay)
                symbols[rows, start : start + plan.symbols] = QAM(plan.mcs.order).map(sent)
            information |= dict(zip(rows, bits.bool(), strict=True))
            coded |= dict(zip(rows, torch.cat(rounds, dim=1).bool(), strict=True))
        most, header = self._most(shape), None
        uses = {"payload": self.harq.rounds * most, "others": (self.harq.rounds - 1) * self.harq.delay}
        if self.mcs is None:
            header = [(NR_SCHEMES.index(plan.mcs), plan.symbols) for plan in plans]
        notes = {**source_notes(self.source, image.shape), **self._notes(most)}
        if b"" in codings:
            at = codings.index(b"")
            notes["budget"] = what_would_fit(self.source, pixels[at], plans[at])
        return Frame(
            symbols.to(image.device),
            {purpose: count for purpose, count in uses.items() if count},
            power="constellation",
            notes=notes,
            header=header,
            bits=self._bits(plans, codings, most),
            modes=[str(plan.mcs) for plan in plans],
            words=Words(in_order(information), in_order(coded), [plan.block_size for plan in plans]),
        )

    def decode(self, received: Received) -> Decoded:
        """Images (b, c, h, w) in [0, 1], which failed, their code blocks in error, and what had to be sent.

        Raises:
            ValueError: no header where the scheme adapts, or another number of symbols than this codec sends.
        """
        received, shape = received.unbiased(), self._shape(received)
        plans = self._told_plans(received, shape)
        mistaken = _even_digits(received, [plan.symbols + self.harq.delay for plan in plans], self.harq.rounds)
        images, count = torch.empty(len(plans), *shape), len(plans)
        errors, rounds = torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.int64)
        failed = torch.zeros(count, dtype=torch.bool)
        information: dict[int, Tensor] = {}  # by row
        coded: dict[int, Tensor] = {}
        c, h, w = shape
        for plan in dict.fromkeys(plans):
            rows = [row for row, own in enumerate(plans) if own == plan]
            heard = self._heard(received, rows, plan)
            got = self._combine(heard, plan, mistaken[rows])
            information |= dict(zip(rows, got.bits.bool(), strict=True))
            coded |= {row: one[:sent].flatten() < 0 for row, one, sent in zip(rows, heard, got.sent, strict=True)}
            data = np.packbits(got.bits.to(torch.uint8).numpy(), axis=1)
            arrived = got.ok.cumprod(dim=1).sum(dim=1).tolist()
            for row, one, blocks in zip(rows, data, arrived, strict=True):
                pixels, whole = image_of(self.source, one, plan.bits_of(blocks), plan, (h, w, c))
                images[row] = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
                failed[row] = not whole
            failed[rows] |= ~got.ok.all(dim=1)
            errors[rows], rounds[rows] = (~got.ok).sum(dim=1), got.sent
        spent = Spent(
            rounds * torch.tensor([plan.symbols for plan in plans]),
            {
                "parity": torch.tensor([plan.coded_bits for plan in plans]) * rounds
                - torch.tensor([plan.info_bits + plan.crc_bits for plan in plans]),
                "feedback": rounds * (self.harq.rounds > 1),
            },
        )
        blocks = torch.tensor([plan.blocks for plan in plans])
        device = received.symbols.device
        decisions = Decisions(in_order(information), in_order(coded))
        return Decoded(images.to(device), failed.to(device), errors.to(device), blocks.to(device), decisions, spent)

    def _plans(self, pixels: np.ndarray, shape: Sequence[int], n0: float) -> list[Plan]:
        if self.mcs is not None:
            return [plan_blocks(self._most(shape), self.mcs, "nr")] * len(pixels)
        lengths, fails = self._expected(shape, round(-10 * math.log10(n0), 9))
        schemes = best_schemes(self.source, list(pixels), lengths, fails, "nr")
        return [plan_blocks(lengths[NR_SCHEMES.index(mcs)], mcs, "nr") for mcs in schemes]

    def _expected(self, shape: Sequence[int], esno_db: float) -> tuple[list[int], Float[np.ndarray, " schemes"]]:
        symbols = _uses(shape, self.budget)
        if (key := (symbols, esno_db)) not in self._known:
            length = None if self.harq.budget == "mean" else self._most(shape)
            self._known[key] = rounds_by_scheme(symbols, esno_db, self.harq, self.fading, length=length)
        return self._known[key]

    def _most(self, shape: Sequence[int]) -> int:
        """Channel uses of the longest round that there may be."""
        if self.harq.round_ratio is not None:
            return _uses(shape, self.harq.round_ratio)
        symbols = _uses(shape, self.budget)
        return symbols if self.harq.budget == "mean" else symbols // self.harq.rounds

    def _symbols(self, shape: Sequence[int]) -> int:
        """Of a frame."""
        return self.harq.rounds * self._most(shape) + (self.harq.rounds - 1) * self.harq.delay

    def _check_length(self, shape: Sequence[int]) -> None:
        if (n := self._symbols(shape)) > MOST_SYMBOLS:
            raise ValueError(
                f"delay={self.harq.delay}: {self.harq.rounds} rounds and the waiting between them take {n} channel "
                f"uses, longer than what is simulated of an image, {MOST_SYMBOLS}"
            )

    def _filling(self, shape: Sequence[int]) -> Complex[Tensor, "1 n"]:
        """A frame of others' symbols."""
        return QAM(4).map(scramble(torch.zeros(1, 2 * self._symbols(shape), dtype=torch.uint8), C_INIT))

    def _rounds(self, bits: Num[Tensor, "b k"], plan: Plan) -> list[Num[Tensor, "b n"]]:
        """The bits of every round as they are mapped to symbols."""
        block = plan.transport
        assert block is not None
        return [scramble(block.encode(bits, version), C_INIT + t) for t, version in enumerate(self.harq.versions)]

    def _heard(self, received: Received, rows: list[int], plan: Plan) -> Float[Tensor, "b rounds n"]:
        """LLRs of the bits of every round as they were mapped to symbols."""
        every, m = demap(received, rows, plan.mcs).cpu(), plan.mcs.bits_per_symbol
        starts = [t * (plan.symbols + self.harq.delay) * m for t in range(self.harq.rounds)]
        return torch.stack([every[:, start : start + plan.coded_bits] for start in starts], dim=1)

    def _combine(self, heard: Float[Tensor, "b rounds n"], plan: Plan, digits: Float[Tensor, "b rounds"]) -> _Combined:
        """Decode from ever more rounds until the transmitter hears an ACK, rightly or not."""
        block, b, harq = plan.transport, len(heard), self.harq
        assert block is not None
        llr = torch.stack([descramble_llr(heard[:, t], C_INIT + t) for t in range(harq.rounds)], dim=1)
        bits = torch.zeros(b, plan.info_bits, dtype=torch.uint8)
        ok, sent = torch.zeros(b, plan.blocks, dtype=torch.bool), torch.zeros(b, dtype=torch.int64)
        going = torch.ones(b, dtype=torch.bool)
        for t in range(harq.rounds):
            sent += going
            open_ = (going & ~ok.all(dim=1)).nonzero()[:, 0]
            if len(open_):
                decoded, good = block.decode(llr[open_, : t + 1].flatten(1), harq.versions[: t + 1])
                bits[open_], ok[open_] = decoded.to(torch.uint8), good
            have = ok.all(dim=1)
            going &= torch.where(have, digits[:, t] < harq.ack_lost, digits[:, t] >= harq.nack_lost)
        return _Combined(bits, ok, sent)

    def _shape(self, received: Received) -> tuple[int, int, int]:
        if received.image_shape is None:
            raise ValueError("image_shape=None: how long the rounds are follows from the image's size; set image_shape")
        if (n := received.symbols.shape[1]) != (own := self._symbols(received.image_shape)):
            raise ValueError(f"received has {n} symbols; all rounds of such an image take {own}")
        return received.image_shape

    def _told_plans(self, received: Received, shape: Sequence[int]) -> list[Plan]:
        """Of each image, by its header."""
        if self.mcs is not None:
            return [plan_blocks(self._most(shape), self.mcs, "nr")] * len(received.symbols)
        if received.header is None:
            raise ValueError("header=None: an adaptive link needs the burst header that tells the scheme")
        plans, most = [], self._most(shape)
        for entry in received.header:
            index, length = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, 0)
            if not isinstance(length, int) or not 1 <= length <= most:
                raise ValueError(f"header tells {entry!r}; it must be a scheme and a round of 1 … {most} channel uses")
            plans.append(plan_blocks(length, scheme_of(index, "nr"), "nr"))
        return plans

    def _bits(self, plans: Sequence[Plan], codings: Sequence[bytes], most: int) -> dict[str, Int[Tensor, " b"]]:
        """Of all rounds; `decode` tells which parity had to be sent."""
        source = torch.tensor([8 * len(one) for one in codings])
        info, crc, coded = (
            torch.tensor([getattr(plan, name) for plan in plans]) for name in ("info_bits", "crc_bits", "coded_bits")
        )
        overhead = getattr(self.source, "overhead", {})
        beside = {purpose: 8 * count * (source > 0).long() for purpose, count in overhead.items()}
        bits = {
            "source": source - sum(beside.values(), torch.zeros_like(source)),
            **beside,
            "padding": info - source,
            "crc": crc,
            "parity": self.harq.rounds * coded - info - crc,
        }
        if self.mcs is None:
            length = math.ceil(math.log2(max(2, most))) if self.harq.budget == "mean" else 0
            bits["header"] = torch.full_like(info, HEADER_BITS + length)
        return bits

    def _notes(self, most: int) -> dict[str, str]:
        harq = self.harq
        said = {"ir": "incremental redundancy, versions", "chase": "chase combining, version"}[harq.combining]
        versions = harq.versions if harq.combining == "ir" else harq.versions[:1]
        budget = "the ratio is that of all rounds"
        if harq.round_ratio is not None:
            budget = "the ratio is what comes of that"
        if harq.budget == "mean":
            budget = "so long that the expected channel uses are those of the ratio"
        length = f"at most {most}" if harq.budget == "mean" else f"{most}"
        wrong = f"an ACK is lost with probability {harq.ack_lost:g}, a NACK with {harq.nack_lost:g}"
        notes = {
            "harq": f"up to {harq.rounds} rounds of {length} channel uses, {budget}; {said} "
            f"{', '.join(map(str, versions))}; what was not sent has neither channel uses nor energy in the account",
            "feedback": f"one bit a round, beside the channel uses; {harq.delay} others' uses between rounds; {wrong}",
            "receiver": "knows the image size, the scheme and the ratio",
        }
        if self.mcs is None:
            told = "the scheme and how long a round is" if harq.budget == "mean" else "the scheme"
            knows = "the average Es/N0" + ("" if self.fading is None else " and the fading statistics")
            notes["receiver"] = f"knows the image size and the ratio; the header tells {told}"
            notes["transmitter"] = f"knows {knows}, and picks the scheme of least expected squared error for each image"
        return notes


@dataclass(frozen=True)
class _Combined:
    """What came of all rounds: payload bits, which code blocks are good, and how many rounds had to be sent."""

    bits: Num[Tensor, "b k"]
    ok: Bool[Tensor, "b blocks"]
    sent: Int[Tensor, " b"]


def _even_digits(received: Received, steps: Sequence[int], rounds: int) -> Float[Tensor, "b rounds"]:
    """Draws that are uniform in [0, 1) and independent of all that a decoder looks at: one a round and image.

    A real part in units of the noise's deviation over `_FINE`, less its whole part: what noise of so many units leaves
    is uniform to within exp(-π²·_FINE²), whatever was sent. A channel's draws are the only ones there are at a
    receiver, and depend on seed, image and realisation as they should.
    """
    places = torch.tensor([[t * step for t in range(rounds)] for step in steps], device=received.symbols.device)
    symbols, n0 = received.symbols.gather(1, places), received.n0.expand(received.symbols.shape).gather(1, places)
    scaled = _FINE * symbols.real.double() / n0.double().sqrt()
    return (scaled - scaled.floor()).cpu()


def _uses(shape: Sequence[int], ratio: float) -> int:
    c, h, w = shape
    return channel_uses((c, h, w), ratio)
