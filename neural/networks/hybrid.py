"""The hybrid link: a small digital picture that outlives deep fades, and neural symbols of what it leaves over.

A frame is base, then detail. The base is the whole photograph in some hundred bits (`base_picture.py`) by an LDPC code
of 5G NR of a rate as low as that of NR's most robust schemes, by QPSK. The detail is `SwinPhoto`'s frame, but of what
its latents differ by from those of the base: this takes less power, as the base has told the colours. How much power
the base's symbols and the plan's have is chosen by the average Es/N0, all that the transmitter knows (`SPLITS`).

A receiver adds what it estimates of the difference, which is less the more it fades, and where next to nothing of the
detail is left it shows the base alone.

After Mittal and Phamdo, "Hybrid Digital-Analog (HDA) Joint Source-Channel Codes for Broadcasting and Robust
Communications", IEEE Trans. Inf. Theory 48(5), 2002.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural.inference import at_home
from semlink.neural.networks import base_picture
from semlink.neural.networks.grid import check_ratio, check_rgb, check_sent
from semlink.neural.networks.held import noise_level
from semlink.neural.networks.linear_code import NODES, Amplitudes, gather
from semlink.neural.networks.photo_plan import CELL, LATENTS, Layout, Plan, cells
from semlink.neural.networks.photo_side import from_bits, qpsk, to_bits
from semlink.neural.networks.swin_photo import MAX_RATIO, MIN_RATIO, SwinPhoto, condition
from semlink.phy.link import Decoded, Frame, Received, channel_uses

if TYPE_CHECKING:
    from semlink.phy.fec import LDPC5G

BITS_OF_CELL = 0.5  # of the base for 16×16 pixels, beside those of its head
CHECK = 16  # bits of the CRC
SHARE = 0.08  # of the channel uses, for the base
HIGHEST_RATE = 0.5  # of the base's code
FLOOR_DB = -12.0  # mean Es/N0 of a reception below which the base is shown alone
FIT_DB = 7.0  # average Es/N0 for which `fit` measures what the encoder adds
FIT_NODE = 2  # 1/16, at which it is measured how the latents follow the base


class Split(NamedTuple):
    """Energies of the symbols of base and plan; the rest of a frame's is the detail's."""

    base: float
    plan: float


SPLITS = (Split(4.0, 2.0), Split(2.5, 2.0), Split(1.6, 1.6))
FROM_DB = (3.0, 9.0)  # average Es/N0 from which the next one is taken
UNTOLD = 1  # is taken in training, and where the base that would tell another one did not arrive
SPLIT_BITS = 2  # of the base's message, which tell the split


def split_for(esno_db: float) -> int:
    """Which of `SPLITS` is taken for an average Es/N0."""
    return sum(esno_db >= level for level in FROM_DB)


class Parts(NamedTuple):
    """How the symbols of an image are divided.

    Attributes:
        bits: of the picture of the base.
        base: its symbols, which come first.
        detail: the layout of the others.
        number: of the split among `SPLITS`.
    """

    bits: int
    base: int
    detail: Layout
    number: int

    @property
    def split(self) -> Split:
        """Energies of the symbols."""
        return SPLITS[self.number]

    @staticmethod
    def of(h: int, w: int, n: int, split: int = UNTOLD) -> Parts | None:
        """Of n symbols for h×w pixels; None where there is no room for a base, or none for a plan beside it.

        A plan is worth more than a base, so an image that has room for one of them has the plan.
        """
        base, bits = math.ceil(SHARE * n), base_bits(h, w)
        detail = Layout(h, w, n - base)
        room = _coded(bits) <= base and bool(detail.bits or not Layout(h, w, n).bits)
        return Parts(bits, base, detail, split) if room else None

    @property
    def budget(self) -> float:
        """Energy of the detail without its plan, for a frame of unit mean energy."""
        layout = self.detail
        return self.base + layout.n - self.base * self.split.base - layout.side * self.split.plan

    @property
    def share(self) -> float:
        """Energy of one of those symbols on average."""
        return self.budget / (self.detail.n - self.detail.side)

    def loudness(self, device: torch.device) -> Float[Tensor, " n"]:
        """Amplitudes of the detail's symbols, beside those that the plan tells."""
        loudness = torch.ones(self.detail.n, device=device)
        loudness[self.detail.base : self.detail.base + self.detail.side] = math.sqrt(self.split.plan)
        return loudness


class Rest(Amplitudes):
    """Amplitudes of what bases leave of latents.

    Attributes:
        follow: what of a coefficient of the base is in the latent, which the encoder has made something else of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.follow = nn.Parameter(torch.ones(LATENTS), requires_grad=False)

    def of_base(self, coefficients: Float[Tensor, "b latents cells"]) -> Float[Tensor, "b latents cells"]:
        """The latents that one expects where a base has these coefficients."""
        return coefficients * self.follow[:, None]

    def fit_follow(self, wanted: Tensor, base: Tensor) -> None:
        """By least squares over images and cells."""
        both, own = (wanted * base).sum(dim=(0, 2)), base.square().sum(dim=(0, 2))
        self.follow.copy_((both / own.clamp_min(1e-9)).clamp(0, 1.5))


class HybridPhoto(SwinPhoto):
    """A `Codec`: `SwinPhoto` with a digital base, at the same ratios and with the same arguments.

    Small images, which have no room for a base and a plan, are sent as by `SwinPhoto`. The receiver is assumed to know
    the image size and the ratio; the base tells it the split.
    """

    def __init__(
        self,
        *,
        ratio: float = 1 / 16,
        widths: tuple[int, int, int, int] = (24, 48, 96, 192),
        depths: tuple[int, int, int] = (0, 1, 1),
        decoder_depths: tuple[int, int, int] = (1, 1, 2),
        heads: int = 6,
        window: int = 8,
        mlp_ratio: float = 2.0,
    ) -> None:
        super().__init__(
            ratio=ratio,
            widths=widths,
            depths=depths,
            decoder_depths=decoder_depths,
            heads=heads,
            window=window,
            mlp_ratio=mlp_ratio,
        )
        self.rest = Rest()

    @at_home
    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        """Encode images into floor(ratio·3·h·w) symbols each, normalised to unit mean energy.

        Raises:
            ValueError: a ratio out of range, or images that are not RGB, float32 in [0, 1], 8 pixels a side or more.
        """
        check_rgb(image, "hybrid")
        check_ratio(self.ratio, ratios=(MIN_RATIO, MAX_RATIO), codec="hybrid")
        h, w = image.shape[-2:]
        parts = Parts.of(h, w, channel_uses((3, h, w), self.ratio), split_for(-10 * math.log10(n0)))
        if parts is None:
            return super().encode(image, n0)
        with torch.no_grad():
            symbols = torch.cat([self._send(one, one.new_full((1,), n0), parts) for one in torch.split(image, 1)])
        uses = {"base": parts.base, "payload": parts.detail.n - parts.detail.side, "side": parts.detail.side}
        notes = {"receiver": "image size and ratio known", "transmitter": "average Es/N0 known"}
        return Frame(symbols, uses, power="exact", notes=notes)

    @at_home
    def decode(self, received: Received) -> Decoded:
        """Decode to images of the size the burst header tells (a square one where there is no header).

        Images whose base did not arrive are marked as failed, and show what there is of the rest.

        Raises:
            ValueError: as many symbols as `encode` makes at no ratio that it takes, or a side below 8 pixels.
        """
        received = received.unbiased()
        shape, n = received.shape_for(self.ratio), received.symbols.shape[1]
        check_sent(n, *shape[1:], ratios=(MIN_RATIO, MAX_RATIO), codec="hybrid")
        parts = Parts.of(*shape[1:], n)
        if parts is None:
            return super().decode(replace(received, image_shape=shape))
        rows = zip(torch.split(received.symbols, 1), torch.split(received.n0, 1), strict=True)
        with torch.no_grad():
            shown = [self._receive(Received(symbols, n0), parts) for symbols, n0 in rows]
        images, fine = (torch.cat(part) for part in zip(*shown, strict=True))
        return Decoded(images.clamp(0, 1), ~fine)

    def symbols(
        self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"], *, ratio: float | None = None
    ) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable, always with the split `UNTOLD`."""
        h, w = image.shape[-2:]
        parts = Parts.of(h, w, channel_uses((3, h, w), self.ratio if ratio is None else ratio))
        return super().symbols(image, n0, ratio=ratio) if parts is None else self._send(image, n0, parts)

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Float[Tensor, "b 3 h w"]:
        """What `decode` shows of it before clipping, differentiable; `received` without bias."""
        parts = Parts.of(*shape[1:], received.symbols.shape[1])
        return super().reconstruct(received, shape) if parts is None else self._receive(received, parts)[0]

    @torch.no_grad()
    def fit(self, images: Float[Tensor, "b 3 h w"]) -> None:
        """Take from photographs the energies of what bases leave of the latents of the first weights.

        Where the linear code has taken nothing from photographs yet, it does so before.
        """
        if self.linear.blank:
            super().fit(images)
        h, w = images.shape[-2:]
        images = images * 2 - 1
        base = self.linear.analyse(_shown(_told(images, base_bits(h, w)), h, w).to(images.device))
        coefficients = self.linear.analyse(images)
        n0 = images.new_full((len(images),), 10 ** (-FIT_DB / 10))
        for node, ratio in sorted(enumerate(NODES), key=lambda one: one[0] != FIT_NODE):
            n = channel_uses((3, h, w), ratio)
            layout = Layout(h, w, n - math.ceil(SHARE * n))
            plan = self.linear.plan(coefficients, layout)
            each = zip(
                torch.split(images, 1), torch.split(coefficients, 1), plan.apart(), torch.split(n0, 1), strict=True
            )
            wanted = torch.cat([self._wanted(*one[:3], layout, one[3]) for one in each])
            if node == FIT_NODE:
                self.rest.fit_follow(wanted, base)
            left = wanted - self.rest.of_base(base)
            self.rest.fit_energies(left, plan.levels, plan.numbers[:, 0], node)
            self.rest.fit_gains(left, plan, layout, node)

    def _wanted(self, image: Tensor, coefficients: Tensor, plan: Plan, layout: Layout, n0: Tensor) -> Tensor:
        """What the decoder should get of each coefficient: `SwinPhoto`'s latents without their gain."""
        known = condition(self.sent_level(n0), layout, plan)
        gain, _ = self.linear.amplitudes(plan, layout)
        added: Tensor = self.encoder(image, plan.levels, known)
        allocation: Tensor = self.allocation(known)
        return coefficients * allocation.exp()[:, :, None] + added / gain

    def _send(self, image: Tensor, n0: Tensor, parts: Parts) -> Complex[Tensor, "b n"]:
        layout, (h, w) = parts.detail, image.shape[-2:]
        image = F.pad(image, (0, -w % CELL, 0, -h % CELL), mode="replicate") * 2 - 1
        told = _told(image, parts.bits)
        coefficients = self.linear.analyse(image)
        plan = self.linear.plan(coefficients, layout)
        left = self._wanted(image, coefficients, plan, layout, n0 / parts.share)
        left = left - self.rest.of_base(self.linear.analyse(_shown(told, *image.shape[-2:]).to(image.device)))
        gain, _ = self.rest.amplitudes(plan, layout)
        detail = self.rest.frame(gather(left * gain, layout.places(plan.levels)), plan, layout, budget=parts.budget)
        number = to_bits(torch.full((len(told), 1), parts.number), SPLIT_BITS)
        base = encode_base(torch.cat([number, told], dim=1), parts.base)
        base = math.sqrt(parts.split.base) * base.to(image.device)
        return torch.cat([base, detail * parts.loudness(image.device)], dim=1)

    def _receive(self, received: Received, parts: Parts) -> tuple[Float[Tensor, "b 3 h w"], Bool[Tensor, " b"]]:
        """Images before clipping, and of which the base arrived; all are of one split."""
        layout, (h, w) = parts.detail, (parts.detail.h, parts.detail.w)
        grid = cells(h, w)
        base, fine, parts = self._base(received, parts)
        symbols, n0 = received.symbols[:, parts.base :], received.n0[:, parts.base :]
        loudness = parts.loudness(n0.device)
        detail = Received(symbols / loudness, n0 / loudness.square())
        plan = layout.plan_of(detail)
        known = condition(self.seen_level(n0 / parts.share), layout, plan)
        estimate, seen = self._estimate(detail, plan, layout, self.linear.analyse(base), fine)
        linear = self.linear.synthesise(estimate * self.expectation(known).exp()[:, :, None], *grid)
        image: Tensor = linear + self.decoder(seen.reshape(*seen.shape[:2], *grid), linear, plan.levels, known)
        alone = fine & (noise_level(n0)[:, 0] < FLOOR_DB / 10)
        image = torch.where(alone[:, None, None, None], base, image)
        return (image * 0.5 + 0.5)[:, :, :h, :w], fine

    def _estimate(
        self, detail: Received, plan: Plan, layout: Layout, told: Tensor, fine: Bool[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b latents cells"], Float[Tensor, "b seen cells"]]:
        """Latents, and what the decoder sees of them, in the units of `SwinPhoto`.

        The Wiener factors that the decoder sees say how much of a coefficient's own energy is known.
        """
        left, seen = self.rest.estimate(detail, plan, layout)
        _, own = self.linear.amplitudes(plan, layout)
        _, rest = self.rest.amplitudes(plan, layout)
        weight = seen[:, LATENTS:]
        unknown = (rest - own)[:, ::2].exp2().clamp(max=1) * (1 - weight)
        weight = torch.where((weight > 0) & fine[:, None, None], 1 - unknown, weight)
        estimate = left + self.rest.of_base(told)
        return estimate, torch.cat([estimate * own.div(-2).exp2(), weight], dim=1)

    def _base(self, received: Received, parts: Parts) -> tuple[Float[Tensor, "b 3 h w"], Bool[Tensor, " b"], Parts]:
        """The base of each image, of whole cells, whether it arrived, and the split that it tells.

        Where it did not arrive, the mean of photographs. The decoder of LDPC minds no scale: it needs no split.
        """
        rows, columns = cells(parts.detail.h, parts.detail.w)
        symbols, n0 = (x[:, : parts.base].detach() for x in (received.symbols, received.n0))
        told, fine = decode_base(symbols, n0, SPLIT_BITS + parts.bits)
        fine &= from_bits(told[:, :SPLIT_BITS], SPLIT_BITS)[:, 0] < len(SPLITS)  # or noise has met the CRC
        shown = self.linear.synthesise(n0.new_zeros(len(n0), LATENTS, rows * columns), rows, columns)
        for i in fine.nonzero().flatten().tolist():
            shown[i] = base_picture.decode(told[i, SPLIT_BITS:].tolist(), CELL * rows, CELL * columns)
            parts = parts._replace(number=int(from_bits(told[i : i + 1, :SPLIT_BITS], SPLIT_BITS)))
        return shown, fine, parts


def base_bits(h: int, w: int) -> int:
    """Bits of the picture of the base of an image."""
    return base_picture.least_bits() + round(BITS_OF_CELL * math.prod(cells(h, w)))


def _coded(bits: int) -> int:
    """The fewest symbols that carry the message of a base."""
    return math.ceil((SPLIT_BITS + bits + CHECK) / (2 * HIGHEST_RATE))


def encode_base(bits: Int[Tensor, "b k"], n: int) -> Complex[Tensor, "b n"]:
    """Bits to n symbols of unit energy, with a CRC."""
    from semlink.phy.fec import crc

    coded = _code(bits.shape[1], n).encode(1 - crc.append(bits, CHECK))  # inverted: of nothing the decoder makes zeros
    return qpsk().map(coded)


def decode_base(
    symbols: Complex[Tensor, "b n"], n0: Float[Tensor, "b n"], k: int
) -> tuple[Int[Tensor, "b k"], Bool[Tensor, " b"]]:
    """Symbols to k bits, and in which images the CRC says that these are what was sent."""
    from semlink.phy.fec import crc

    bits, fine = crc.check(1 - _code(k, symbols.shape[1]).decode(qpsk().llr(symbols, n0)), CHECK)
    return bits.long(), fine


@lru_cache(maxsize=64)
def _code(k: int, n: int) -> LDPC5G:
    from semlink.phy.fec import LDPC5G

    return LDPC5G(k + CHECK, 2 * n)


def _told(pixels: Float[Tensor, "b 3 h w"], bits: int) -> Int[Tensor, "b k"]:
    return torch.tensor([base_picture.encode(one.detach().cpu(), bits) for one in pixels])


def _shown(told: Int[Tensor, "b k"], h: int, w: int) -> Float[Tensor, "b 3 h w"]:
    return torch.stack([base_picture.decode(row, h, w) for row in told.tolist()])
