"""A rate-adaptive JSCC codec for photographs: a linear code with symbols where there is detail, and a network about it.

Cells of 16×16 pixels go through a fixed linear transform, the principal components of photographs, whose coefficients
are sent with the amplitudes of Lee and Petersen ("Optimal Linear Coding for Vector Channels", IEEE Trans. Commun.
24(12), 1976): in proportion to λ^(−1/4). How many coefficients of a cell are sent depends on what is in it
(`semlink.neural.plan`), as in NTSCC (Dai et al., "Nonlinear Transform Source-Channel Coding for Semantic
Communications", IEEE JSAC 40(8), 2022), whose rates are learned; the levels are told digitally
(`semlink.neural.side`), and a receiver that misses them falls back on the first symbols of every cell, whose places
and amplitudes do not depend on the levels.

To that the encoder adds what it makes of the image, and the decoder restores what the linear code gives. Both work at
strides 2, 4 and 8 with convolutions and at stride 16 with the blocks of Swin (`semlink.neural.swin`), and meet Es/N0,
rate and the level of detail as scale and shift of features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from semlink.neural import side
from semlink.neural.fixed_rate import as_pairs, as_symbols, noise_level
from semlink.neural.grid import check_rgb, check_whole
from semlink.neural.inference import channels_last
from semlink.neural.plan import BASE, CELL, LATENTS, LEVELS, MAX_SYMBOLS, UNKNOWN, cells, choose, extras
from semlink.neural.swin import EMBEDDING, ConvBlock, SwinBlock
from semlink.phy.link import Decoded, Frame, Received, channel_uses

PIXELS = 3 * CELL**2
CONDITIONS = 4
MIN_RATIO, MAX_RATIO = 1 / 48, 1 / 6
NODES = tuple(1 / k for k in (48, 24, 16, 12, 8, 6))  # ratios at which the energies are known
MOST_SIDE = 0.2  # of the channel uses, for levels: where they would take more, all cells are alike
NUMBERS = 2  # beside the levels: the step and the scale of the extra symbols
WIDTH = 12  # bits of each
FINE = 64  # parts of an octave in which they are told
SCALE_USES = side.SCALE_BITS * side.REPEATED  # of the base's scale, which even a deep fade should leave readable


class Plan:
    """What the receiver is told of an image: levels, step and scales.

    Attributes:
        levels: of cells, `UNKNOWN` where nothing was told.
        numbers: log2 of the step between energies that are sent and that are not, and of the scale of extra symbols.
        base: log2 of the scale of the base, in whole quarters.
    """

    def __init__(
        self, levels: Int[Tensor, "b cells"], numbers: Float[Tensor, "b 2"], base: Float[Tensor, " b"]
    ) -> None:
        self.levels, self.numbers, self.base = levels, numbers, base

    @property
    def known(self) -> Bool[Tensor, " b"]:
        """Of which images anything is known."""
        return self.levels[:, 0] != UNKNOWN

    def to_bits(self) -> Int[Tensor, "b k"]:
        """Levels and numbers as bits."""
        numbers = ((self.numbers * FINE).round().long() + (1 << WIDTH - 1)).clamp(0, (1 << WIDTH) - 1)
        return torch.cat([side.to_bits(self.levels, 2), side.to_bits(numbers, WIDTH)], dim=1)

    @staticmethod
    def from_bits(bits: Int[Tensor, "b k"], fine: Bool[Tensor, " b"]) -> Plan:
        """From bits, and which of them are right."""
        levels = side.from_bits(bits[:, : -NUMBERS * WIDTH], 2)
        numbers = (side.from_bits(bits[:, -NUMBERS * WIDTH :], WIDTH) - (1 << WIDTH - 1)).float() / FINE
        return Plan(torch.where(fine[:, None], levels, UNKNOWN), numbers * fine[:, None], torch.zeros(len(bits)))

    @staticmethod
    def unknown(images: int, count: int) -> Plan:
        """Of images of `count` cells that nobody was told anything of."""
        return Plan(torch.full((images, count), UNKNOWN), torch.zeros(images, NUMBERS), torch.zeros(images))


@dataclass(frozen=True)
class Layout:
    """How the n symbols of an image of h×w pixels are divided: base, side, extra, in that order."""

    h: int
    w: int
    n: int

    @property
    def cells(self) -> int:
        """Cells of the image."""
        return math.prod(cells(self.h, self.w))

    @property
    def bits(self) -> int:
        """Bits of a plan; 0 where it would take too many symbols."""
        bits = 2 * self.cells + NUMBERS * WIDTH
        return bits if side.uses(bits) + SCALE_USES <= MOST_SIDE * self.n else 0

    @property
    def side(self) -> int:
        """Symbols of the plan: the base's scale, then the rest."""
        return SCALE_USES + side.uses(self.bits) if self.bits else 0

    @property
    def base(self) -> int:
        """Symbols that are known without a plan."""
        return min(BASE * self.cells, self.n - self.side)

    @property
    def extra(self) -> int:
        """The rest."""
        return self.n - self.side - self.base

    def places(self, levels: Int[Tensor, "b cells"]) -> Int[Tensor, "b n"]:
        """Where among the (symbol, cell) pairs base and extra belong."""
        base = torch.arange(self.base).expand(len(levels), -1)
        return torch.cat([base, extras(levels, self.h, self.w, self.extra)], dim=1)


@dataclass(frozen=True)
class Size:
    """Features at strides 2, 4, 8 and 16, blocks at the last three, and the attention's own."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int]
    heads: int
    window: int
    mlp_ratio: float

    def __post_init__(self) -> None:
        check_whole("widths", self.widths, count=4)
        check_whole("depths", self.depths, count=3, least=0)
        check_whole("heads", self.heads)
        check_whole("window", self.window)
        if self.widths[3] % self.heads:
            raise ValueError(f"widths={self.widths}: the last must be a multiple of heads={self.heads}")
        if round(self.mlp_ratio * self.widths[3]) < 1:
            raise ValueError(f"mlp_ratio={self.mlp_ratio!r} must leave the MLP a feature")


class Trunk(nn.Module):
    """What both ways share: the condition's embedding, the levels' and the blocks."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        _, quarter, eighth, coarse = size.widths
        self.embed = nn.Sequential(nn.Linear(CONDITIONS, EMBEDDING), nn.GELU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.levels = nn.Embedding(LEVELS + 1, coarse)
        nn.init.normal_(self.levels.weight, std=0.1)
        self.quarter = nn.ModuleList([ConvBlock(quarter) for _ in range(size.depths[0])])
        self.eighth = nn.ModuleList([ConvBlock(eighth) for _ in range(size.depths[1])])
        shifts = [size.window // 2 * (i % 2) for i in range(size.depths[2])]
        shape = {"heads": size.heads, "window": size.window}
        self.coarse = nn.ModuleList(
            [SwinBlock(coarse, **shape, shift=shift, mlp_ratio=size.mlp_ratio) for shift in shifts]
        )

    def attend(self, x: Float[Tensor, "b d rows columns"], levels: Tensor, embedding: Tensor) -> Tensor:
        """The blocks at stride 16."""
        tokens = x.permute(0, 2, 3, 1)
        tokens = tokens + self.levels(levels).view(len(x), *tokens.shape[1:])
        for block in self.coarse:
            tokens = block(tokens, embedding)
        return tokens.permute(0, 3, 1, 2)


class Encoder(Trunk):
    """Pixels to what is added to the latents of cells."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        half, quarter, eighth, coarse = size.widths
        self.enter = nn.Conv2d(12, half, 3, padding=1)
        self.to_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.to_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.to_coarse = nn.Conv2d(eighth, coarse, 2, stride=2)
        self.leave = _small(nn.Conv2d(coarse, LATENTS, 1))

    def forward(self, x: Float[Tensor, "b 3 h w"], levels: Tensor, condition: Tensor) -> Float[Tensor, "b k cells"]:
        """Of an image of whole cells."""
        embedding = F.gelu(self.embed(condition))
        x = self.to_quarter(F.gelu(self.enter(channels_last(F.pixel_unshuffle(x, 2)))))
        for block in self.quarter:
            x = block(x, embedding)
        x = self.to_eighth(x)
        for block in self.eighth:
            x = block(x, embedding)
        latents: Tensor = self.leave(self.attend(self.to_coarse(x), levels, embedding))
        return latents.flatten(2)


class Decoder(Trunk):
    """The linear code's estimates, of latents and of pixels, to what is added to the pixels."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        half, quarter, eighth, coarse = size.widths
        self.seen = nn.Conv2d(LATENTS + MAX_SYMBOLS, coarse, 1)
        self.to_eighth = nn.Conv2d(coarse, 4 * eighth, 1)
        self.to_quarter = nn.Conv2d(eighth, 4 * quarter, 1)
        self.to_half = nn.Conv2d(quarter, 4 * half, 1)
        self.enter = nn.Conv2d(12, half, 3, padding=1)
        self.enter_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.leave = _small(nn.Conv2d(half, 12, 3, padding=1))

    def forward(
        self, seen: Float[Tensor, "b k rows columns"], linear: Float[Tensor, "b 3 h w"], levels: Tensor, condition: Tensor
    ) -> Float[Tensor, "b 3 h w"]:
        """Of an image of whole cells."""
        embedding = F.gelu(self.embed(condition))
        fine = self.enter(channels_last(F.pixel_unshuffle(linear, 2)))
        x = self.attend(self.seen(seen), levels, embedding)
        x = F.pixel_shuffle(self.to_eighth(x), 2)
        for block in self.eighth:
            x = block(x, embedding)
        x = F.pixel_shuffle(self.to_quarter(x), 2) + self.enter_quarter(F.gelu(fine))
        for block in self.quarter:
            x = block(x, embedding)
        x = F.gelu(F.pixel_shuffle(self.to_half(x), 2) + fine)
        return F.pixel_shuffle(self.leave(x), 2)


class SwinPhoto(nn.Module):
    """A `Codec`: images of at least 8 pixels a side to floor(ratio·3·h·w) symbols at any ratio from 1/48 to 1/6.

    Args:
        ratio: complex channel uses / (3·h·w) of `encode`; `symbols` takes another one if asked.
        widths: features at strides 2, 4, 8 and 16.
        depths: blocks of the encoder at strides 4 and 8, of convolutions, and 16, of attention.
        decoder_depths: those of the decoder.
        heads: of the attention.
        window: tokens a side of a window.
        mlp_ratio: features within the MLP for each one of a token.

    Raises:
        ValueError: a ratio or a size out of range.

    The receiver is assumed to know the image size and the ratio. Images whose sides are no multiples of 16 are padded
    by reflection and cropped back; a cell with fewer true pixels gets fewer symbols, so the padding costs little.
    """

    min_ratio, max_ratio = MIN_RATIO, MAX_RATIO
    basis: Tensor
    mean: Tensor
    energies: Tensor
    gains: Tensor

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
        super().__init__()
        _check_ratio(ratio)
        self.ratio = ratio
        self.encoder = Encoder(Size(widths, depths, heads, window, mlp_ratio))
        self.decoder = Decoder(Size(widths, decoder_depths, heads, window, mlp_ratio))
        self.allocation = _zero_linear(CONDITIONS, LATENTS)
        self.expectation = _zero_linear(CONDITIONS, LATENTS)
        # What `fit` takes from photographs: the transform, and log2 of the energy of each coefficient at each ratio of
        # `NODES` by level, relative to the step; at an unknown level, as it is. `gains`: log2 of the base's scale.
        self.register_buffer("basis", torch.eye(LATENTS, PIXELS))
        self.register_buffer("mean", torch.zeros(PIXELS))
        self.register_buffer("energies", torch.zeros(len(NODES), LEVELS + 1, LATENTS))
        self.register_buffer("gains", torch.zeros(len(NODES), 2))

    def encode(self, image: Float[Tensor, "b 3 h w"], n0: float) -> Frame:
        """Encode images into floor(ratio·3·h·w) symbols each, normalised to unit mean energy.

        Raises:
            ValueError: a ratio out of range, or images that are not RGB, float32 in [0, 1], 8 pixels a side or more.
        """
        check_rgb(image, "swin-photo")
        _check_ratio(self.ratio)
        with torch.no_grad():
            symbols = torch.cat([self.symbols(one[None], torch.full((1,), n0, device=one.device)) for one in image])
        layout = Layout(*image.shape[-2:], symbols.shape[1])
        notes = {"receiver": "image size and ratio known", "transmitter": "average Es/N0 known"}
        uses = {"payload": layout.n - layout.side, "side": layout.side}
        return Frame(symbols, uses, power="exact", notes=notes)

    def decode(self, received: Received) -> Decoded:
        """Decode to images of the size the burst header tells (a square one where there is no header)."""
        received = received.unbiased()
        shape = received.shape_for(self.ratio)
        rows = zip(received.symbols, received.n0, strict=True)
        with torch.no_grad():
            images = [self.reconstruct(Received(symbols[None], n0[None]), shape) for symbols, n0 in rows]
        return Decoded(torch.cat(images).clamp(0, 1))

    def hidden_weights(self) -> list[nn.Parameter]:
        """What Muon is to train: the matrices and kernels of the trunks, without those of the conditions."""
        named = [pair for trunk in (self.encoder, self.decoder) for pair in trunk.named_parameters()]
        apart = ("embed.", "modulation.", "levels.")
        return [p for name, p in named if name.endswith("weight") and p.ndim >= 2 and not any(a in name for a in apart)]

    def symbols(
        self, image: Float[Tensor, "b 3 h w"], n0: Float[Tensor, " b"], *, ratio: float | None = None
    ) -> Complex[Tensor, "b n"]:
        """What `encode` sends, differentiable, with an average noise variance for each image, at `ratio`."""
        h, w = image.shape[-2:]
        ratio = self.ratio if ratio is None else ratio
        layout = Layout(h, w, channel_uses((3, h, w), ratio))
        image = F.pad(image, (0, -w % CELL, 0, -h % CELL), mode="replicate") * 2 - 1
        coefficients = self.analyse(image)
        plan = self._plan(coefficients, layout)
        condition = _condition(n0[:, None], layout, plan)
        gain, _ = self._amplitudes(plan, layout)
        gain = gain * self.allocation(condition).exp()[:, :, None]
        latents = coefficients * gain + self.encoder(image, plan.levels, condition)
        sent = _gather(latents, layout.places(plan.levels))
        return self._frame(sent, plan, layout)

    def reconstruct(self, received: Received, shape: tuple[int, int, int]) -> Float[Tensor, "b 3 h w"]:
        """What `decode` shows before clipping, differentiable; `received` without bias."""
        h, w = shape[1:]
        layout = Layout(h, w, received.symbols.shape[1])
        plan = self._read(received, layout)
        condition = _condition(received.n0, layout, plan)
        estimate, seen = self._estimate(received, plan, layout)
        estimate = estimate * self.expectation(condition).exp()[:, :, None]
        rows, columns = cells(h, w)
        linear = self.synthesise(estimate, rows, columns)
        grid = seen.reshape(len(seen), -1, rows, columns)
        image = linear + self.decoder(grid, linear, plan.levels, condition)
        return (image * 0.5 + 0.5)[:, :, :h, :w]

    def analyse(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b latents cells"]:
        """Coefficients of cells of pixels in −1 … 1."""
        pixels = F.pixel_unshuffle(image, CELL).flatten(2)
        return torch.einsum("kp,bpc->bkc", self.basis, pixels - self.mean[:, None])

    def synthesise(self, coefficients: Float[Tensor, "b latents cells"], rows: int, columns: int) -> Tensor:
        """Pixels of cells of coefficients."""
        pixels = torch.einsum("kp,bkc->bpc", self.basis, coefficients) + self.mean[:, None]
        return F.pixel_shuffle(pixels.unflatten(2, (rows, columns)), CELL)

    def _plan(self, coefficients: Tensor, layout: Layout) -> Plan:
        """The plan of images, without scales."""
        plan = Plan.unknown(len(coefficients), layout.cells)
        if layout.bits:
            plan.levels, plan.numbers[:, 0] = choose(coefficients.detach().double(), layout.n / layout.cells)
        return plan

    def _amplitudes(self, plan: Plan, layout: Layout) -> tuple[Tensor, Tensor]:
        """The gain of each coefficient of each cell, and log2 of its energy."""
        energies = _between(self.energies, layout)
        log_energy = energies[plan.levels].transpose(1, 2) + plan.numbers[:, 0, None, None]  # (b, latents, cells)
        common = energies[UNKNOWN, : 2 * BASE]
        scale = _between(self.gains, layout)
        gain = torch.cat(
            [
                (scale[0] - common / 4)[None, :, None].expand(len(log_energy), -1, layout.cells),
                scale[1] - log_energy[:, 2 * BASE :] / 4,
            ],
            dim=1,
        )
        return gain.exp2(), log_energy

    def _frame(self, sent: Float[Tensor, "b n 2"], plan: Plan, layout: Layout) -> Complex[Tensor, "b n"]:
        """Base, side and extra with the power of each, which together have unit mean energy."""
        base, extra = sent.split([layout.base, layout.extra], dim=1)
        energy, more = (part.square().sum(dim=(1, 2)).clamp_min(1e-9) for part in (base, extra))
        budget = layout.n - layout.side
        if layout.bits:
            wanted = self._base_share(plan, layout) * budget / energy.detach()
            plan.base = ((2 * wanted.log2()).round() / 4).clamp(-2, 1.75)
        scale = plan.base.exp2() * (0.9 * budget / energy).sqrt().clamp_max(1) if layout.extra else (budget / energy).sqrt()
        extra_scale = ((budget - energy * scale.square()).clamp_min(0) / more).sqrt()
        plan.numbers[:, 1] = extra_scale.detach().log2().clamp(-30, 30)
        parts = [as_symbols(base * scale[:, None, None])]
        if layout.bits:
            parts += [side.encode_scale(plan.base), side.encode(plan.to_bits()).to(sent.device)]
        return torch.cat([*parts, as_symbols(extra * extra_scale[:, None, None])], dim=1)

    def _base_share(self, plan: Plan, layout: Layout) -> Float[Tensor, " b"]:
        """The share of an image's energy that its base is worth: amplitudes of coefficients as a share of all sent."""
        _, log_energy = self._amplitudes(plan, layout)
        amplitudes = _gather(log_energy.div(2).exp2(), layout.places(plan.levels)).sum(dim=2)
        return amplitudes[:, : layout.base].sum(dim=1) / amplitudes.sum(dim=1)

    def _read(self, received: Received, layout: Layout) -> Plan:
        """The plan that was received."""
        plan = Plan.unknown(len(received.symbols), layout.cells)
        if layout.bits:
            part = slice(layout.base, layout.base + layout.side)
            symbols, n0 = received.symbols[:, part].detach(), received.n0[:, part].detach()
            plan = Plan.from_bits(*side.decode(symbols[:, SCALE_USES:], n0[:, SCALE_USES:], layout.bits))
            plan.base = side.decode_scale(symbols[:, :SCALE_USES], n0[:, :SCALE_USES])
        return plan

    def _estimate(
        self, received: Received, plan: Plan, layout: Layout
    ) -> tuple[Float[Tensor, "b latents cells"], Float[Tensor, "b seen cells"]]:
        """The linear code's estimate of the coefficients, and the same of unit energy with its weights."""
        gain, log_energy = self._amplitudes(plan, layout)
        scales = torch.stack([plan.base, plan.numbers[:, 1]], dim=1).exp2()
        per_latent = scales.repeat_interleave(torch.tensor([2 * BASE, LATENTS - 2 * BASE]), dim=1)
        gain = gain * per_latent[:, :, None]
        pairs = _without(as_pairs(received.symbols), layout)
        noise = _without(received.n0, layout)[:, :, None].expand_as(pairs) / 2
        known = torch.ones_like(noise)
        if layout.bits:  # the extra symbols of a plan that was missed might be those of any cell
            known = known * (plan.known[:, None] | (torch.arange(known.shape[1]) < layout.base))[:, :, None]
        places = layout.places(plan.levels)
        amplitude = log_energy.mul(0.5).exp2()
        power = _gather((gain * amplitude).square(), places)
        weight = known * power / (power + noise)
        got = pairs * weight / power.clamp_min(1e-12).sqrt()  # of unit energy
        got, weight = _scatter(torch.stack([got, weight]).flatten(0, 1), places.repeat(2, 1), layout).chunk(2)
        return got * amplitude, torch.cat([got, weight[:, ::2]], dim=1)

    @torch.no_grad()
    def fit(self, images: Float[Tensor, "b 3 h w"]) -> None:
        """Take the transform and the energies of coefficients from photographs, as training does before it begins."""
        images = images * 2 - 1
        pixels = F.pixel_unshuffle(images, CELL).flatten(2)
        self.mean.copy_(pixels.mean(dim=(0, 2)))
        centred = (pixels - self.mean[:, None]).transpose(1, 2).flatten(0, 1)
        _, vectors = torch.linalg.eigh((centred.T @ centred / len(centred)).double())
        basis = vectors.flip(1)[:, :LATENTS].T
        self.basis.copy_(basis * basis.gather(1, basis.abs().argmax(dim=1, keepdim=True)).sign())
        coefficients = self.analyse(images)
        for node, ratio in enumerate(NODES):
            layout = Layout(*images.shape[-2:], channel_uses((3, *images.shape[-2:]), ratio))
            self._fit_energies(coefficients, layout, node)

    def _fit_energies(self, coefficients: Tensor, layout: Layout, node: int) -> None:
        levels, step = choose(coefficients.double(), layout.n / layout.cells)
        energy = coefficients.square()
        relative = alike = (energy * (-step.float()).exp2()[:, None, None]).transpose(1, 2).flatten(0, 1)  # (b · cells, latents)
        for level in range(LEVELS):
            alike = relative[levels.flatten() == level] if bool((levels == level).any()) else alike  # of the level below
            self.energies[node, level] = alike.mean(dim=0).clamp_min(1e-6).log2()
        self.energies[node, UNKNOWN] = energy.mean(dim=(0, 2)).clamp_min(1e-9).log2()
        plan = Plan(levels, torch.stack([step.float(), 0 * step.float()], dim=1), 0 * step.float())
        self.gains[node] = 0
        gain, _ = self._amplitudes(plan, layout)
        fair = gain.clone()
        fair[:, : 2 * BASE] = self.energies[node][levels].transpose(1, 2)[:, : 2 * BASE].add(step[:, None, None]).div(-4).exp2()
        sent = _gather(coefficients * fair, layout.places(levels))
        scale = (layout.n - layout.side) / sent.square().sum(dim=(1, 2))  # of the energy of the best allocation
        base = (coefficients * gain)[:, : 2 * BASE].square().sum(dim=(1, 2))
        best = (coefficients * fair)[:, : 2 * BASE].square().sum(dim=(1, 2)) * scale
        self.gains[node] = torch.stack([(best.mean() / base.mean()).log2(), scale.mean().log2()]) / 2


def _gather(latents: Float[Tensor, "b latents cells"], places: Int[Tensor, "b n"]) -> Float[Tensor, "b n 2"]:
    """The pairs of latents at places of (symbol, cell)."""
    pairs = latents.unflatten(1, (MAX_SYMBOLS, 2)).transpose(2, 3).flatten(1, 2)  # (b, symbols · cells, 2)
    return pairs.gather(1, places[:, :, None].expand(-1, -1, 2))


def _scatter(
    pairs: Float[Tensor, "b n 2"], places: Int[Tensor, "b n"], layout: Layout
) -> Float[Tensor, "b latents cells"]:
    """What `_gather` took, in its places; 0 elsewhere."""
    grid = pairs.new_zeros(len(pairs), MAX_SYMBOLS * layout.cells, 2)
    grid = grid.scatter(1, places[:, :, None].expand(-1, -1, 2), pairs)
    return grid.unflatten(1, (MAX_SYMBOLS, layout.cells)).transpose(2, 3).flatten(1, 2)


def _without(x: Tensor, layout: Layout) -> Tensor:
    """Base and extra of what was received."""
    return torch.cat([x[:, : layout.base], x[:, layout.base + layout.side :]], dim=1)


def _between(table: Float[Tensor, "nodes *rest"], layout: Layout) -> Float[Tensor, "*rest"]:
    """A table over `NODES` at the ratio of a layout: linear in octaves."""
    ratio = math.log2(min(max(layout.n / (3 * layout.h * layout.w), MIN_RATIO), MAX_RATIO))
    places = [math.log2(node) for node in NODES]
    upper = next((i for i, place in enumerate(places) if place >= ratio and i), len(NODES) - 1)
    share = (ratio - places[upper - 1]) / (places[upper] - places[upper - 1])
    return torch.lerp(table[upper - 1], table[upper], share)


def _condition(n0: Float[Tensor, "b n"], layout: Layout, plan: Plan) -> Float[Tensor, "b 4"]:
    """Es/N0 and its square, about 10 dB, the rate in octaves about 1/16, and the step in 8 octaves about 2^-5."""
    level = noise_level(n0) - 1
    rate = torch.full_like(level, math.log2(16 * layout.n / (3 * layout.h * layout.w)))
    step = torch.where(plan.known, (plan.numbers[:, 0] + 5) / 8, 0)[:, None]
    return torch.cat([level, level.square(), rate, step], dim=1)


def _check_ratio(ratio: float) -> None:
    if not MIN_RATIO - 1e-6 <= ratio <= MAX_RATIO + 1e-6:
        raise ValueError(f"ratio={ratio:g} must be, for swin-photo, from 1/48 to 1/6")


def _small(conv: nn.Conv2d) -> nn.Conv2d:
    """With small weights, so that the linear code leads at first."""
    with torch.no_grad():
        conv.weight *= 0.1
    return conv


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
